//! The program as a child process, and what it took of the machine, as Linux tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a second has of the units in which Linux tells the time of a processor.
const TICKS: u64 = 100;
/// How often the memory of the program is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// The program under measurement.
pub struct Program(PathBuf);

/// What a run of it took.
pub struct Used {
    /// From its start to its end.
    pub elapsed: Duration,
    /// Of all processors, for it and for what the kernel did in its name.
    pub cpu: Duration,
    /// Pages of memory that it was given.
    pub faults: u64,
    /// The most bytes that it had in memory.
    pub peak: u64,
    /// What it wrote.
    pub output: String,
}

impl Program {
    pub fn new(binary: PathBuf) -> Self {
        Self(binary)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// One run, in a folder of its own.
    pub fn poll(&self, settings: Vec<(String, String)>) -> Used {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoints = folder.path().display().to_string();
        let before = children();
        let begun = now();
        let mut child = self.start(&["poll"], settings, &[("CHECKPOINT_DIR", &checkpoints)]);
        let mut peak = 0;
        while child.try_wait().expect("a child").is_none() {
            peak = peak.max(memory(child.id(), "VmHWM").unwrap_or(0));
            pause(INTERVAL);
        }
        let elapsed = begun.elapsed();
        let after = children();
        let output = child.wait_with_output().expect("its output");
        let output = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        Used {
            elapsed,
            cpu: after.0 - before.0,
            faults: after.1 - before.1,
            peak,
            output,
        }
    }

    /// Starts a command of the program.
    pub fn start(
        &self,
        arguments: &[&str],
        settings: Vec<(String, String)>,
        more: &[(&str, &str)],
    ) -> Child {
        let mut command = Command::new(&self.0);
        command
            .args(arguments)
            .env_clear()
            .envs(settings)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }
}

/// A figure of a process's memory, in bytes.
pub fn memory(process: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// The time that this process has taken of all processors.
pub fn own_cpu() -> Duration {
    cpu(std::process::id())
}

/// The time that a process has taken of all processors.
pub fn cpu(process: u32) -> Duration {
    ticks(process, 14) + ticks(process, 15)
}

/// The same of children that have ended, and the pages that they were given.
fn children() -> (Duration, u64) {
    let own = std::process::id();
    (ticks(own, 16) + ticks(own, 17), stat(own, 11))
}

fn ticks(process: u32, field: usize) -> Duration {
    Duration::from_secs(stat(process, field)) / u32::try_from(TICKS).expect("a hundred")
}

/// A field of `/proc/PID/stat`, by its number in proc(5).
fn stat(process: u32, field: usize) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    // Before it the name of the program is in parentheses, which may hold anything.
    let after = stat.rsplit(") ").next().expect("a name");
    let text = after.split_whitespace().nth(field - 3);
    text.and_then(|it| it.parse().ok()).expect("a number")
}

#[allow(clippy::disallowed_methods, reason = "real time is what is measured")]
pub fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "there is no runtime to block")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
