//! What the idle program takes. Under the Functions host it spends almost all its time waiting for
//! the next minute.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::process::{self, Program};

/// After this time the program has done all that it does at its start.
const SETTLED: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints how soon the program listens, and its memory after that: the medians.
#[allow(clippy::print_stdout, reason = "a benchmark reports there")]
pub fn measure(program: &Program, rounds: usize) {
    let rounds: Vec<_> = (0..rounds.max(5)).map(|_| start(program)).collect();
    let mut delays: Vec<_> = rounds.iter().map(|it| it.0).collect();
    let mut memory: Vec<_> = rounds.iter().map(|it| it.1).collect();
    delays.sort_unstable();
    memory.sort_unstable();
    println!(
        "idle: listens {:.1} ms after its start (at most {:.1}), and has {:.1} MB resident",
        delays[delays.len() / 2].as_secs_f64() * 1e3,
        delays[delays.len() - 1].as_secs_f64() * 1e3,
        memory[memory.len() / 2] as f64 / 1e6,
    );
}

/// How soon it accepts a connection, and the bytes that it has in memory once it has settled.
fn start(program: &Program) -> (Duration, u64) {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let settings = [
        ("DOMAIN", "https://acme.eu.auth0.com"),
        ("CLIENT_ID", "simulated"),
        ("CLIENT_SECRET", "simulated-client-secret"),
        ("WorkspaceID", "01234567-89ab-cdef-0123-456789abcdef"),
        ("WorkspaceKey", "c2ltdWxhdGVk"),
        ("CHECKPOINT_DIR", &folder),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let port_text = port.to_string();
    let begun = process::now();
    let more = [("FUNCTIONS_CUSTOMHANDLER_PORT", &*port_text)];
    let mut child = program.start(&[], settings.into(), &more);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not listen");
        process::pause(Duration::from_micros(200));
    }
    let delay = begun.elapsed();
    process::pause(SETTLED);
    let memory = process::memory(child.id(), "VmRSS").expect("it runs");
    child.kill().expect("it runs");
    let _ = child.wait();
    (delay, memory)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
