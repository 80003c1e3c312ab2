//! A real browser with a virtual authenticator, by `WebDriver` (W3C; Web Authentication, 11).

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tracewell_kit::testing::Setup;

/// Headless Chromium, which ends with this.
pub(crate) struct Browser {
    client: reqwest::Client,
    session: String,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Setup<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!("chromedriver: {error}; `make assets` installs it, as Debian's chromium-driver")
            })?;
        let mut lines = BufReader::new(driver.stdout.take().ok_or("no output")?).lines();
        let port = loop {
            let line = lines.next_line().await?.ok_or("chromedriver ended")?;
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let profile = tempfile::tempdir()?;
        // As root there is no sandbox; the rest keeps it from calling home.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
        }}});
        let client = reqwest::Client::builder().no_proxy().build()?;
        let root = format!("http://127.0.0.1:{port}/session");
        let created: Value = client
            .post(&root)
            .json(&capabilities)
            .send()
            .await?
            .json()
            .await?;
        let id = created["value"]["sessionId"].as_str();
        let id = id.ok_or_else(|| format!("no browser: {created}"))?;
        let browser = Self {
            session: format!("{root}/{id}"),
            client,
            _driver: driver,
            _profile: profile,
        };
        browser
            .command(
                "webauthn/authenticator",
                &json!({
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": true,
                    "hasUserVerification": true,
                    "isUserVerified": true,
                }),
            )
            .await?;
        Ok(browser)
    }

    pub(crate) async fn open(&self, url: &str) -> Setup<()> {
        self.command("url", &json!({"url": url})).await.map(drop)
    }

    /// The value that a script gives, the body of an async function with these arguments.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> Setup<Value> {
        let script = format!(
            "const [done, ...args] = [arguments[arguments.length - 1], ...arguments]; \
             (async (...args) => {{ {script} }})(...args).then(done, error => done({{error: String(error)}}));"
        );
        self.command("execute/async", &json!({"script": script, "args": arguments}))
            .await
    }

    async fn command(&self, name: &str, body: &Value) -> Setup<Value> {
        let request = self.client.post(format!("{}/{name}", self.session)).json(body);
        let mut answer: Value = request.send().await?.json().await?;
        match answer["value"]["error"].as_str() {
            Some(error) if answer["value"]["stacktrace"].is_string() => {
                Err(format!("{name}: {error}: {}", answer["value"]["message"]).into())
            }
            _ => Ok(answer["value"].take()),
        }
    }

    pub(crate) async fn close(self) -> Setup<()> {
        self.client.delete(&self.session).send().await?;
        Ok(())
    }
}
