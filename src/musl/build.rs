//! Compiles what the program of the package uses in place of musl's functions for memory, and what
//! sets up its allocator.

#[allow(clippy::disallowed_methods, reason = "so Cargo tells a build script")]
fn main() {
    println!("cargo::rerun-if-changed=src/musl");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        cc::Build::new()
            .file("src/musl/memory.c")
            // A loop of `memcpy` must not become a call of `memcpy`.
            .flag("-fno-builtin")
            .flag_if_supported("-fno-tree-loop-distribute-patterns")
            // musl copies before there is anything by which a stack could be checked.
            .flag("-fno-stack-protector")
            .opt_level(2)
            .compile("memory");
    }
    // Where its header is, if it is the allocator of this target.
    if let Some(headers) = std::env::var_os("DEP_MIMALLOC_INCLUDE_DIR") {
        cc::Build::new()
            .file("src/musl/allocator.c")
            .include(headers)
            // Nothing refers to it.
            .link_lib_modifier("+whole-archive")
            .compile("allocator");
    }
}
