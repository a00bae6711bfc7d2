//! The program as a child process, and the resources that it used, as Linux reports them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks a second, the unit in which Linux reports CPU time.
const TICKS: u64 = 100;
/// How often the memory of the program is sampled.
const INTERVAL: Duration = Duration::from_millis(10);

/// The measured program.
pub struct Program(PathBuf);

/// What a run used.
pub struct Used {
    /// The time from start to end.
    pub elapsed: Duration,
    /// CPU time on all processors, in the program and in the kernel on its behalf.
    pub cpu: Duration,
    /// Page faults.
    pub faults: u64,
    /// Its peak memory, in bytes.
    pub peak: u64,
    /// Its output.
    pub output: String,
}

impl Program {
    pub fn new(binary: PathBuf) -> Self {
        Self(binary)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes one run, in a folder of its own.
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

/// A figure from `/proc/PID/status`, in bytes.
pub fn memory(process: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// The CPU time of this process, on all processors.
pub fn own_cpu() -> Duration {
    cpu(std::process::id())
}

/// The CPU time of a process, on all processors.
pub fn cpu(process: u32) -> Duration {
    ticks(process, 14) + ticks(process, 15)
}

/// The CPU time and the page faults of all children that have ended.
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
    // The field before these is the program's name in parentheses, which may contain anything.
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
