//! The program: hands the environment to the command line.

use std::collections::HashMap;
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    auth0_poller::cli::main(environment())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment() -> HashMap<String, String> {
    // Invalid UTF-8 in a value is replaced, not dropped: the setting would look unset.
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        })
        .collect()
}
