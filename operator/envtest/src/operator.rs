//! The operator as a process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use kube::config::Kubeconfig;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Usage, free_ports};

/// The longest that an answer to a probe may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// `tracewell-operator run`; killed when it is dropped before it was told to stop.
#[derive(Debug)]
pub struct Operator {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Operator {
    /// Starts `program` with this kubeconfig and these variables besides; its files are kept in `folder`.
    pub fn start(
        program: &Path,
        kubeconfig: &Kubeconfig,
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let (config, log) = (folder.join("kubeconfig"), folder.join("log"));
        fs::write(&config, serde_json::to_string(kubeconfig)?)?;
        let [port] = free_ports()?;
        let output = File::create(&log)?;
        let process = Command::new(program)
            .args(["run", "--http-port", &port.to_string()])
            .env("KUBECONFIG", config)
            .envs(environment.iter().copied())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, port, log })
    }

    /// The answer to a GET, once there is one with this status line.
    pub async fn answer(&mut self, path: &str, status: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            let answer = self.get(path).await.unwrap_or_default();
            if answer.starts_with(&format!("HTTP/1.1 {status}")) {
                return Ok(answer);
            }
            if let Some(status) = self.process.try_wait()? {
                bail!(
                    "the operator ended by itself ({status}) and said:\n{}",
                    self.log()?
                );
            }
            ensure!(started.elapsed() < PATIENCE, "{path} answers {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Port of its probes, on every address of the machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it takes of the machine.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.id())
    }

    /// Everything that it has printed.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub async fn end(&mut self) -> Result<Option<i32>> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code());
            }
            ensure!(started.elapsed() < PATIENCE, "the operator goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells it to stop, and gives its exit code.
    pub fn terminate(&mut self) -> Result<Option<i32>> {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM)?;
        Ok(self.process.wait()?.code())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
