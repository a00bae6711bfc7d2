//! Compiles what the program of the package uses in place of musl's functions for memory.

#[allow(clippy::disallowed_methods, reason = "so Cargo tells a build script")]
fn main() {
    println!("cargo::rerun-if-changed=src/musl/memory.c");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        cc::Build::new()
            .file("src/musl/memory.c")
            // No function may be made of a call of itself.
            .flag("-fno-builtin")
            .flag("-fno-tree-loop-distribute-patterns")
            .opt_level(2)
            .compile("memory");
    }
}
