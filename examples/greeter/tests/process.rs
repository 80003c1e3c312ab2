//! The service as a process: whom it greets, whom it does not know, and its end.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A greeter that ends with its test.
struct Greeter {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    port: String,
}

impl Greeter {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_greeter"))
            .env_clear()
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = log.by_ref().map(Result::unwrap).find_map(|line| {
            let (_, port) = line.split_once("\"port\":")?;
            Some(port.chars().take_while(char::is_ascii_digit).collect())
        });
        Self {
            child,
            log,
            port: port.unwrap(),
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(url)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        // It fails where the process has ended.
        let _ = self.child.kill();
    }
}

#[tokio::test]
async fn it_greets_whom_it_knows_and_ends_in_order() {
    let mut greeter = Greeter::start();
    assert_eq!(greeter.get("/hello/ada").await, (200, "Hello, ada!".to_owned()));
    assert_eq!(greeter.get("/hello/eve").await.0, 404);
    assert_eq!(greeter.get("/readyz").await.0, 200);
    assert!(greeter.get("/metrics").await.1.contains("/hello/{name}"));

    kill(Pid::from_raw(greeter.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(greeter.child.wait().unwrap().success());
    let log: Vec<String> = greeter.log.by_ref().map(Result::unwrap).collect();
    assert!(
        log.iter()
            .any(|line| line.contains("GET /hello/{name}") || line.contains("/hello/ada")),
        "{log:#?}"
    );
}
