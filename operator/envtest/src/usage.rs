//! What a process takes of the machine.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use nix::{time::clock_getcpuclockid, unistd::Pid};

/// What a process takes now, and has taken so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most resident memory that it ever had, in bytes.
    pub peak: u64,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Open files, connections among them.
    pub open_files: usize,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(process: u32) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let status = fs::read_to_string(folder.join("status"))
            .with_context(|| format!("there is no process {process}"))?;
        // The clock of the process has nanoseconds; /proc counts hundredths of a second.
        let cpu = clock_getcpuclockid(Pid::from_raw(process.cast_signed()))?.now()?;
        Ok(Self {
            resident: memory(&status, "VmRSS")?,
            peak: memory(&status, "VmHWM")?,
            cpu: cpu.into(),
            open_files: fs::read_dir(folder.join("fd"))?.count(),
        })
    }
}

/// A line such as `VmRSS:   20480 kB`, in bytes.
fn memory(status: &str, name: &str) -> Result<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .with_context(|| format!("/proc does not say {name}"))?;
    Ok(value.trim().parse::<u64>()? * 1024)
}
