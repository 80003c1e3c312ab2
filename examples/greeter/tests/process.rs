//! The service as a process: whom it greets, whom it does not know, its ports and its end; and what its page says of it.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod page;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The longest that a condition may take to hold.
const LIMIT: Duration = Duration::from_secs(20);

/// A greeter that ends with its test.
struct Greeter {
    child: Child,
    log: Receiver<String>,
    port: u16,
}

impl Greeter {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut greeter = Self::spawn(variables);
        greeter.port = greeter.said_port("listening");
        greeter
    }

    /// Its port is yet to be heard.
    fn spawn(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_greeter"))
            .env_clear()
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, log) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, log, port: 0 }
    }

    /// The port in the next line with this message.
    fn said_port(&self, message: &str) -> u16 {
        let message = format!("\"msg\":\"{message}\"");
        loop {
            let line = self.log.recv_timeout(LIMIT).unwrap();
            if let Some((_, port)) = line.split_once("\"port\":").filter(|_| line.contains(&message)) {
                let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
                return digits.parse().unwrap();
            }
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        get(self.port, path).await
    }

    fn stop(&self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    }
}

async fn get(port: u16, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://127.0.0.1:{port}{path}"));
    let answer = answer.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

impl Drop for Greeter {
    fn drop(&mut self) {
        // It fails where the process has ended.
        let _ = self.child.kill();
    }
}

#[tokio::test]
async fn it_greets_whom_it_knows_and_ends_in_order() {
    let mut greeter = Greeter::start(&[]);
    assert_eq!(greeter.get("/hello/ada").await, (200, "Hello, ada!".to_owned()));
    assert_eq!(greeter.get("/hello/eve").await.0, 404);
    assert_eq!(greeter.get("/readyz").await.0, 200);
    assert!(greeter.get("/metrics").await.1.contains("/hello/{name}"));

    greeter.stop();
    assert!(greeter.child.wait().unwrap().success());
    let log: Vec<String> = greeter.log.iter().collect();
    assert!(
        log.iter()
            .any(|line| line.contains("GET /hello/{name}") || line.contains("/hello/ada")),
        "{log:#?}"
    );
}

#[tokio::test]
async fn metrics_have_the_port_that_the_platform_says_and_probes_ask_the_other() {
    let mut greeter = Greeter::spawn(&[("METRICS_PORT", "0")]);
    let metrics = greeter.said_port("listening for scrapes");
    greeter.port = greeter.said_port("listening");
    assert_eq!(greeter.get("/hello/ada").await.0, 200);
    assert!(get(metrics, "/metrics").await.1.contains("/hello/{name}"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(greeter.get(path).await.0, 200, "{path}");
        assert_eq!(get(metrics, path).await.0, 200, "{path}");
    }
    assert_eq!(greeter.get("/metrics").await.0, 404, "clients get there");
    assert_eq!(get(metrics, "/hello/ada").await.0, 404);
}

#[tokio::test]
async fn told_to_stop_it_serves_on_until_everybody_knows() {
    const DELAY: Duration = Duration::from_secs(3);
    let mut greeter = Greeter::start(&[("SHUTDOWN_DELAY_SECONDS", "3")]);
    greeter.stop();
    let stopped = Instant::now();
    while greeter.get("/readyz").await.0 != 503 {
        assert!(stopped.elapsed() < LIMIT, "it is ready for ever");
    }
    assert_eq!(greeter.get("/hello/ada").await.0, 200);
    assert!(greeter.child.wait().unwrap().success());
    assert!(stopped.elapsed() >= DELAY, "{:?}", stopped.elapsed());
}
