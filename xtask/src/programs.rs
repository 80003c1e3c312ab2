//! The workspace's own programs, built for this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::steps::Step;

/// Builds every program and example, and gives the folder that they are in.
///
/// The choice of packages and targets is that of the tests: with another, cargo would choose other features of the
/// dependencies and compile them once more.
pub(crate) fn build(step: &Step) -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--workspace", "--bins", "--examples"]);
    step.run(&mut cargo)?;
    folder()
}

/// Where [`build`] puts programs, as cargo put this one.
pub(crate) fn folder() -> Result<PathBuf> {
    let xtask = std::env::current_exe().context("where this program is")?;
    Ok(xtask.parent().context("this program is in no folder")?.to_owned())
}

const FLAGS: &str = "-C target-feature=+crt-static -C force-frame-pointers=yes";
/// Packs the addresses that a program adapts to where it is loaded: unpacked they are 1.1 MB of every image, and of every
/// process's memory, since all are read at its start.
const PACKED: &str = "-C link-arg=-Wl,-z,pack-relative-relocs";
/// The first release of glibc that unpacks them (its NEWS). A static program with an older one would end at its start.
const UNPACKS: (u32, u32) = (2, 36);

/// `cargo build` or `cargo run` of static release programs, in a target folder of their own, so that they never wait
/// for or spoil a developer's. Everything that is built for release goes through here and shares its dependencies.
pub(crate) fn release(task: &str, cache: &Cache) -> Command {
    let target = release_target();
    let mut cargo = Command::new("cargo");
    // The target is named, or the flags would reach procedural macros too, which cannot be static.
    cargo.args([task, "--release", "--locked", "--target", &target]);
    let flags = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.to_uppercase().replace('-', "_")
    );
    cargo.env(flags, rustflags(glibc()));
    cargo
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", cache.root().join("cargo"));
    cargo
}

fn rustflags(glibc: Option<(u32, u32)>) -> String {
    let packed = glibc.filter(|glibc| *glibc >= UNPACKS).map(|_| PACKED);
    [Some(FLAGS), packed]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Version of the machine's glibc, which is linked into the programs; None where it has another C library.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    parse_glibc(&String::from_utf8(told.stdout).ok()?)
}

/// Of `glibc 2.36`.
fn parse_glibc(told: &str) -> Option<(u32, u32)> {
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where [`release`] puts programs.
pub(crate) fn release_folder(cache: &Cache) -> PathBuf {
    cache.root().join("cargo").join(release_target()).join("release")
}

fn release_target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relocations_are_packed_where_the_c_library_unpacks_them() {
        let is_packed = |told: &str| rustflags(parse_glibc(told)).contains(PACKED);
        assert!(is_packed("glibc 2.36\n"));
        assert!(is_packed("glibc 2.41"));
        assert!(!is_packed("glibc 2.35"));
        assert!(!is_packed("musl libc"));
    }
}
