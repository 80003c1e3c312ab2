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

/// The last one packs the addresses that a program adapts to where it is loaded: unpacked they are 1.1 MB of every image, and
/// of every process's memory, since all are read at its start.
const FLAGS: &str =
    "-C target-feature=+crt-static -C force-frame-pointers=yes -C link-arg=-Wl,-z,pack-relative-relocs";

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
    cargo.env(flags, FLAGS);
    cargo
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", cache.root().join("cargo"));
    cargo
}

/// Where [`release`] puts programs.
pub(crate) fn release_folder(cache: &Cache) -> PathBuf {
    cache.root().join("cargo").join(release_target()).join("release")
}

fn release_target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}
