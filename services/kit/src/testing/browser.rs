//! A real browser: Chromium without a window, driven by the `WebDriver` protocol (<https://www.w3.org/TR/webdriver2/>).

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::Setup;

/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a page is looked at meanwhile: nothing tells when it changes.
const LOOK: Duration = Duration::from_millis(50);

/// The line in which the driver says where it listens, before the port.
const STARTED: &str = "started successfully on port ";

/// A browser with an empty profile and one tab, which ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    client: reqwest::Client,
    session: String,
    /// Of the browser itself, which would outlive its driver.
    pid: u64,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts Debian's `chromedriver`, and it the browser. `arguments` are the browser's own besides the usual ones.
    pub async fn start(arguments: &[&str]) -> Setup<Self> {
        let profile = tempfile::tempdir()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start chromedriver of the package chromium-driver: {error}"))?;
        let mut output = BufReader::new(driver.stdout.take().ok_or("no output")?).lines();
        let port = loop {
            let line = output.next_line().await?.ok_or("chromedriver ended")?;
            if let Some((_, port)) = line.split_once(STARTED) {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let usual = [
            "--headless",
            // Tests may run as root, whom the sandbox refuses.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,1600",
        ];
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<_> = usual
            .iter()
            .chain(arguments)
            .copied()
            .chain([folder.as_str()])
            .collect();
        let mut browser = Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            session: format!("http://127.0.0.1:{port}/session"),
            pid: 0,
            _driver: driver,
            _profile: profile,
        };
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let begun = browser
            .command("", &json!({"capabilities": {"alwaysMatch": wanted}}))
            .await?;
        let id = begun["sessionId"].as_str().ok_or("no session")?;
        browser.session = format!("{}/{id}", browser.session);
        let pid = begun["capabilities"]["goog:processID"].as_u64();
        browser.pid = pid.ok_or("the driver does not say which process the browser is")?;
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Setup<()> {
        self.command("/url", &json!({"url": url})).await.map(drop)
    }

    /// Loads the page anew.
    pub async fn reload(&self) -> Setup<()> {
        self.command("/refresh", &json!({})).await.map(drop)
    }

    /// What a script in the page returns. It is the body of a function, with `arguments`.
    pub async fn script(&self, body: &str, arguments: &Value) -> Setup<Value> {
        self.command("/execute/sync", &json!({"script": body, "args": arguments}))
            .await
    }

    /// What an async function in the page gives in the end. It has this body, and `args`; what it throws is `error` of
    /// the answer.
    pub async fn run(&self, body: &str, args: &[Value]) -> Setup<Value> {
        let script = format!(
            "const [done, ...args] = [arguments[arguments.length - 1], ...arguments]; \
             (async () => {{ {body} }})().then(done, error => done({{error: String(error)}}));"
        );
        self.command("/execute/async", &json!({"script": script, "args": args}))
            .await
    }

    /// Gives the browser an authenticator that makes and uses passkeys without asking anybody (Web Authentication, 11), and
    /// gives its id.
    pub async fn add_authenticator(&self) -> Setup<String> {
        let authenticator = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
        });
        let id = self.command("/webauthn/authenticator", &authenticator).await?;
        Ok(id.as_str().ok_or("no id of the authenticator")?.to_owned())
    }

    /// The passkeys of an authenticator, with their private keys, which no real one gives away.
    pub async fn credentials(&self, authenticator: &str) -> Setup<Vec<Value>> {
        let held = self
            .ask(&format!("/webauthn/authenticator/{authenticator}/credentials"))
            .await?;
        Ok(serde_json::from_value(held)?)
    }

    /// Puts a passkey into an authenticator, as [`Self::credentials`] gave it.
    pub async fn add_credential(&self, authenticator: &str, credential: &Value) -> Setup<()> {
        self.command(
            &format!("/webauthn/authenticator/{authenticator}/credential"),
            credential,
        )
        .await
        .map(drop)
    }

    /// Waits until a script in the page returns something true, and gives it.
    pub async fn until(&self, body: &str) -> Setup<Value> {
        let look = async {
            loop {
                match self.script(body, &json!([])).await? {
                    Value::Null | Value::Bool(false) => sleep(LOOK).await,
                    found => return Ok(found),
                }
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(found) => found,
            Err(_) => Err(format!(
                "the page never came to: {body}\nit shows: {}",
                self.text("body").await?
            )
            .into()),
        }
    }

    /// The text that the first element of this selector shows.
    pub async fn text(&self, selector: &str) -> Setup<String> {
        let body = "const found = document.querySelector(arguments[0]); return found ? found.innerText : ''";
        let text = self.script(body, &json!([selector])).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits for the first element of this selector and clicks on it, as a person does.
    pub async fn click(&self, selector: &str) -> Setup<()> {
        let element = self.element(selector).await?;
        self.command(&format!("/element/{element}/click"), &json!({}))
            .await
            .map(drop)
    }

    /// Waits for the first element of this selector, empties it and types into it.
    pub async fn fill(&self, selector: &str, text: &str) -> Setup<()> {
        let element = self.element(selector).await?;
        self.command(&format!("/element/{element}/clear"), &json!({}))
            .await?;
        self.command(&format!("/element/{element}/value"), &json!({"text": text}))
            .await
            .map(drop)
    }

    /// What the tab shows, as a PNG in Base64.
    pub async fn screenshot(&self) -> Setup<String> {
        let picture = self.ask("/screenshot").await?;
        Ok(picture.as_str().ok_or("no picture")?.to_owned())
    }

    async fn element(&self, selector: &str) -> Setup<String> {
        let place = serde_json::to_string(selector)?;
        self.until(&format!("return document.querySelector({place}) !== null"))
            .await?;
        let search = json!({"using": "css selector", "value": selector});
        let found = self.command("/element", &search).await?;
        // The protocol's name for a reference to an element.
        let id = found["element-6066-11e4-a52e-4f735466cecf"].as_str();
        Ok(id.ok_or("no reference to the element")?.to_owned())
    }

    /// A command of the protocol, and its answer.
    pub async fn command(&self, path: &str, body: &Value) -> Setup<Value> {
        let request = self.client.post(format!("{}{path}", self.session));
        Self::value_of(path, request.json(body)).await
    }

    /// What the protocol has at this path.
    async fn ask(&self, path: &str) -> Setup<Value> {
        let request = self.client.get(format!("{}{path}", self.session));
        Self::value_of(path, request).await
    }

    async fn value_of(path: &str, request: reqwest::RequestBuilder) -> Setup<Value> {
        let answer = request.send().await?;
        let is_good = answer.status().is_success();
        let mut answer: Value = answer.json().await?;
        if is_good {
            Ok(answer["value"].take())
        } else {
            Err(format!("{path}: {}", answer["value"]["message"]).into())
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.pid != 0 {
            // What it fails on is gone already.
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &self.pid.to_string()])
                .status();
        }
    }
}
