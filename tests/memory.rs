//! Tests on this machine the memory functions that replace musl's in the packaged program.

#![cfg(all(unix, target_arch = "x86_64"))]

use std::process::Command;

#[test]
fn memory_is_copied_and_compared_as_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    for sanitizers in ["-fsanitize=address,undefined", "-fno-sanitize=all"] {
        let program = folder.path().join(sanitizers);
        let compiled = Command::new("cc")
            .args(["-O2", "-fno-builtin", "-Wall", "-Wextra", "-Werror"])
            .args([sanitizers, "-fno-sanitize-recover"])
            .args(["-Dmemcpy=memory_copy", "-Dmemmove=memory_move"])
            .args(["-Dmemcmp=memory_compare", "-Dbcmp=memory_differ"])
            .args(["src/musl/memory.c", "tests/memory.c", "-o"])
            .arg(&program)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("a C compiler, `cc`, with its sanitizers: the package gcc has both");
        let errors = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{errors}");
        let run = Command::new(&program).output().unwrap();
        let said = [run.stdout, run.stderr].concat();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}
