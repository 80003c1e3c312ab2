//! The workspace's own programs, built for this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::Step;

/// Builds every program and example, and gives the folder that they are in.
///
/// The choice of packages and targets is that of the tests: with another, cargo would choose other features of the
/// dependencies and compile them once more.
pub(crate) fn build(step: &Step) -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--workspace", "--bins", "--examples"]);
    step.run(&mut cargo)?;
    let xtask = std::env::current_exe().context("where this program is")?;
    Ok(xtask.parent().context("this program is in no folder")?.to_owned())
}
