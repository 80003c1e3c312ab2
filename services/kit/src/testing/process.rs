//! A service's real binary, alone on the machine.

use std::process::{ExitStatus, Stdio};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::Setup;

/// A running binary with an empty environment, in an empty folder, on a free port.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
    binary: String,
    /// Where it listens.
    pub url: String,
}

impl Process {
    /// Starts the binary and waits until it says where it listens.
    pub async fn start(binary: &str) -> Setup<Self> {
        Self::start_with(binary, &[]).await
    }

    /// The same with these variables besides.
    pub async fn start_with(binary: &str, variables: &[(&str, &str)]) -> Setup<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(binary)
            .env_clear()
            .env("PORT", "0")
            .env("HOST", "127.0.0.1")
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        loop {
            let line = output
                .next_line()
                .await?
                .ok_or("the service ended before it listened")?;
            if let Some((_, rest)) = line.split_once(" listens on ") {
                let url = rest.split([',', '"', ' ']).next().unwrap_or_default().to_owned();
                return Ok(Self {
                    child,
                    output,
                    folder,
                    binary: binary.to_owned(),
                    url,
                });
            }
        }
    }

    /// What the binary prints when called with these arguments beside the running one.
    pub async fn call(&self, arguments: &[&str]) -> Setup<String> {
        let port = self.url.rsplit(':').next().unwrap_or_default();
        let output = Command::new(&self.binary)
            .args(arguments)
            .env_clear()
            .env("PORT", port)
            .env("HOST", "127.0.0.1")
            .current_dir(self.folder.path())
            .output()
            .await?;
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Sends SIGTERM and gives the exit status and the lines logged since.
    pub async fn terminate(mut self) -> Setup<(ExitStatus, Vec<String>)> {
        let pid = self.child.id().ok_or("the service has ended")?.to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        let mut lines = Vec::new();
        while let Some(line) = self.output.next_line().await? {
            lines.push(line);
        }
        Ok((self.child.wait().await?, lines))
    }
}
