//! A real PostgreSQL server for the tests of a binary: started when it is first needed, ended with the process.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::Setup;
use crate::db::DatabaseUrl;

/// The superuser, and its password.
const USER: &str = "tracewell";
const PASSWORD: &str = "not a secret";

static SERVER: LazyLock<Result<Server, String>> = LazyLock::new(|| Server::start(None));

/// What a server shows to who connects by TLS, in PEM.
#[derive(Debug)]
pub struct Identity {
    /// Its certificate.
    pub certificate: String,
    /// The key of it.
    pub key: String,
}

/// A server of its own that can be reached by TLS, and ends when this is dropped.
pub struct TlsServer(Server);

impl TlsServer {
    /// Starts it.
    pub fn start(identity: &Identity) -> Setup<Self> {
        Ok(Self(Server::start(Some(identity))?))
    }

    /// The value of `DATABASE_URL`, with these parameters.
    pub fn variable(&self, parameters: &str) -> Setup<String> {
        Ok(format!("{}?{parameters}", self.0.url("postgres")?.expose()))
    }
}

struct Server {
    port: u16,
    databases: AtomicU32,
    /// The script that runs the server waits for its end.
    _lifeline: ChildStdin,
}

/// The URL of a new, empty database.
pub(super) async fn create_database() -> Setup<DatabaseUrl> {
    let server = SERVER.as_ref().map_err(String::as_str)?;
    let name = format!("test_{}", server.databases.fetch_add(1, Ordering::Relaxed));
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server.url("postgres")?.expose()).await?;
    let create = format!("CREATE DATABASE {name}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await?;
    connection.close().await?;
    server.url(&name)
}

impl Server {
    fn start(identity: Option<&Identity>) -> Result<Self, String> {
        let programs = programs().ok_or(
            "PostgreSQL's initdb is not there: `make assets` installs it, as Debian's package postgresql",
        )?;
        // Taken and given back: somebody else may take it in between, and then the start fails and says so.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port: {error}"))?
            .port();
        let mut script = as_nobody();
        script
            .args(["sh", "-c", include_str!("postgres.sh"), "postgres.sh"])
            .arg(&programs)
            .args([&port.to_string(), PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(Identity { certificate, key }) = identity {
            script.env("TLS_CERTIFICATE", certificate).env("TLS_KEY", key);
        }
        let mut child = script
            .spawn()
            .map_err(|error| format!("cannot start a shell: {error}"))?;
        let lifeline = child.stdin.take().ok_or("no standard input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut said = String::new();
        let read = output.read_line(&mut said);
        if said != "ready\n" {
            let rest = output.read_to_string(&mut said);
            return Err(format!("PostgreSQL does not start: {said} {read:?} {rest:?}"));
        }
        Ok(Self {
            port,
            databases: AtomicU32::new(0),
            _lifeline: lifeline,
        })
    }

    fn url(&self, database: &str) -> Setup<DatabaseUrl> {
        let password = PASSWORD.replace(' ', "%20");
        let url = format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", self.port);
        Ok(url.parse()?)
    }
}

/// The newest server that Debian's packages installed, or else the one on PATH.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .map(|version| {
            Path::new("/usr/lib/postgresql")
                .join(version.to_string())
                .join("bin")
        });
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .into_iter()
        .chain(std::env::split_paths(&on_path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}

/// PostgreSQL refuses to run as root.
fn as_nobody() -> Command {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command
}
