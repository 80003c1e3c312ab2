//! The servers, and what they share.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bench_kit::{
    backends,
    load::Connection,
    process::{Node, Process, program},
    sink::Sink,
};
use http::{Request, header::HOST};
use http_body_util::Full;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{process::Command, time::sleep};

/// Share of the traces that Sentry gets, and of those that the service profiles.
const SHARE: &str = "0.1";

const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a server that starts is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(1);

/// Numbers of the servers at the backends.
const AUTH: usize = 0;
const EXPRESS: usize = 1;

/// What all servers share: the program of the service, the backends, and the cores.
pub(crate) struct Bench {
    service: PathBuf,
    node: Option<Node>,
    backends: SocketAddr,
    /// As many hashes at a time, with and without the service.
    pub(crate) cores: usize,
}

/// A server that is ready.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    /// From the start of the process until it was ready.
    pub(crate) started_in: Duration,
}

impl Bench {
    pub(crate) async fn prepare(service: PathBuf) -> Result<Self> {
        let (_, backends) = Sink::start(EXPRESS + 1).await?;
        let node = Node::installed();
        if node.is_none() {
            eprintln!("left out, since TRACEWELL_BENCH_NODE is unset: the Express service");
        }
        Ok(Self {
            service,
            node,
            backends,
            cores: thread::available_parallelism()?.get(),
        })
    }

    /// Starts the service on the database in this folder, which is made if there is none.
    pub(crate) async fn auth(&self, folder: &Path) -> Result<Server> {
        let mut command = program(&self.service);
        command
            .env("HOST", "127.0.0.1")
            .env("DATABASE_URL", format!("sqlite://{}", database(folder).display()))
            .env("TRUSTED_PROXIES", "1")
            .env("HASH_CONCURRENCY", self.cores.to_string());
        self.start(command, AUTH)
            .await
            .context("cannot start the service")
    }

    /// Starts Express on the same database, with the service's own public keys; `None` where it is not installed.
    pub(crate) async fn express(&self, folder: &Path, auth: SocketAddr) -> Result<Option<Server>> {
        let Some(node) = &self.node else {
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/server.js");
        let mut command = node.script(&script, true);
        command
            .env("DATABASE", database(folder))
            .env("JWKS", get(auth, "/.well-known/jwks.json").await?.to_string());
        let server = self.start(command, EXPRESS).await;
        server.context("cannot start Express").map(Some)
    }

    /// Starts a server with all its telemetry on, and waits until it is ready.
    async fn start(&self, mut command: Command, number: usize) -> Result<Server> {
        // Taken and given back: somebody else may take it in between, and then the start fails and says so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        command
            .env("PORT", port.to_string())
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "info")
            .envs(backends::tracing(self.backends, number))
            .envs(backends::sentry(self.backends, number, SHARE))
            .stdin(Stdio::null())
            // Written all the same, but nothing reads it: a reader would take CPU time from the server.
            .stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while !is_ready(address).await {
            if let Some(status) = child.try_wait()? {
                bail!("it ended: {status}");
            }
            if started.elapsed() > START_LIMIT {
                bail!("not ready in time");
            }
            sleep(LOOK).await;
        }
        Ok(Server {
            address,
            started_in: started.elapsed(),
            process: Process::watch(child)?,
        })
    }
}

/// A folder for a database.
pub(crate) fn folder() -> Result<TempDir> {
    tempfile::tempdir().context("no temporary folder")
}

fn database(folder: &Path) -> PathBuf {
    folder.join("auth.db")
}

async fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").await.is_ok()
}

/// The JSON that a server answers 200 with.
async fn get(address: SocketAddr, path: &str) -> Result<Value> {
    let request = Request::get(path).header(HOST, "bench").body(Full::default())?;
    let (status, body) = Connection::open(address).await?.send(request).await?;
    if status != 200 {
        bail!("{path}: {status}");
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}
