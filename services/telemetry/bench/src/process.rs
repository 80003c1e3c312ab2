//! The servers, and what all of them share.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bench_kit::{
    process::{Node, Process, own_program},
    sink::Sink,
};
use clap::ValueEnum as _;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStderr, Command},
    time::timeout,
};

use crate::{
    server::{self, DATABASE, LISTENING},
    variant::{Backends, Stack, Variant},
};

const START_LIMIT: Duration = Duration::from_secs(20);

/// What all servers share: the database and the backends.
pub(crate) struct Bench {
    pub(crate) sink: Sink,
    pub(crate) backends: Backends,
    node: Option<Node>,
    folder: TempDir,
    /// Never accepts: its connections are the kernel's.
    _stalled: TcpListener,
}

impl Bench {
    /// Makes the database and starts the backends.
    pub(crate) async fn prepare() -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        server::create_database(&database(folder.path())).await?;
        let (sink, address) = Sink::start(Variant::value_variants().len()).await?;
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
            node: Node::installed(),
            folder,
            _stalled: stalled,
        })
    }

    /// Starts a server and waits until it listens. `None` where the Node stack is not installed.
    pub(crate) async fn serve(&self, variant: Variant) -> Result<Option<Server>> {
        let mut command = match (variant.stack(), &self.node) {
            (Stack::Node, None) => return Ok(None),
            (Stack::Node, Some(node)) => node.script(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join("node/server.js"),
                variant == Variant::NodeAll,
            ),
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

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Server {
    async fn start(mut command: Command) -> Result<Self> {
        let mut process = command.stderr(Stdio::piped()).spawn()?;
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
            process: Process::watch(process)?,
        })
    }
}

/// Shows what a server complains about.
async fn pass_on(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{line}");
    }
}
