//! What the linker can do about the size of the release binary.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // Where Rust links with its own LLD: other linkers do not know the first of these.
    let has_lld = is("TARGET", "x86_64-unknown-linux-gnu") && is("HOST", "x86_64-unknown-linux-gnu");
    if is("PROFILE", "release") && has_lld {
        // Functions that are the same to the byte are there once.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // Three quarters of a megabyte of addresses become some kilobytes. An older C library cannot read them.
        if glibc() >= Some((2, 36)) {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// The version of the C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
