//! For tests of services: the real server on a free port of the loopback, with a database of its own.

#![expect(
    clippy::missing_panics_doc,
    reason = "to stop the test is what an assertion is for"
)]

mod browser;
mod conformance;
mod contract;
mod database;
mod described;
mod postgres;
mod process;
mod publisher;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};
use tracewell_telemetry::Telemetry;

use self::{described::Described, publisher::Publisher};
use crate::{alone, config::Env, db::Engine, idempotency::REPLAYED, server::Server, service::Service};

pub use browser::Browser;
pub use conformance::{assert_conforms, python};
pub use contract::{assert_committed, assert_contract};
pub use database::TestDatabase;
pub use postgres::{Identity, TlsServer};
pub use process::Process;
pub use publisher::CALLER;

/// A service that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    url: String,
    ops_url: String,
    client: reqwest::Client,
    described: Described,
    database: TestDatabase,
    /// Who signs the tokens that it trusts, where it cannot keep a key beside its database.
    publisher: Option<Publisher>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Stops the test unless this is a problem of that status and code with all that a problem must have.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(
            self.headers.get("content-type").map(http::HeaderValue::as_bytes),
            Some(&b"application/problem+json"[..])
        );
        assert_eq!(body["status"], status, "{}", self.text);
        assert!(
            body["title"].is_string() && body["detail"].is_string() && body["type"].is_string(),
            "{}",
            self.text
        );
        assert!(
            body["instance"]
                .as_str()
                .is_some_and(|path| path.starts_with('/')),
            "{}",
            self.text
        );
    }

    /// Whether it was given to an earlier request with the same `Idempotency-Key`.
    pub fn is_replayed(&self) -> bool {
        self.headers.contains_key(REPLAYED)
    }

    /// Stops the test unless this request made something.
    #[track_caller]
    pub fn assert_made(&self) {
        assert_eq!(self.status, 201, "{}", self.text);
        assert!(!self.is_replayed(), "{self:?}");
    }

    /// Stops the test unless this is the `first` answer once more.
    #[track_caller]
    pub fn assert_replays(&self, first: &Self) {
        assert_eq!((self.status, &self.text), (first.status, &first.text));
        assert_eq!(self.headers["content-type"], first.headers["content-type"]);
        assert_eq!(self.headers[REPLAYED], "true");
    }

    /// JSON Pointers of the parts of the body that a problem complains of.
    pub fn pointers(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| error["pointer"].as_str().map(str::to_owned))
            .collect()
    }
}

/// A test that cannot be set up has failed.
pub type Setup<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Running {
    /// Starts `S` with these variables beside a free port and a new file for a database.
    pub async fn start<S: Service>(variables: &[(&str, &str)]) -> Setup<Self> {
        Self::start_on::<S>(Engine::Sqlite, variables).await
    }

    /// Starts `S` with these variables beside a free port and a new database of this kind.
    pub async fn start_on<S: Service>(engine: Engine, variables: &[(&str, &str)]) -> Setup<Self> {
        let database = TestDatabase::create(engine).await?;
        let publisher = match engine {
            Engine::Postgres if S::TRUSTS_OWN_KEY => Some(Publisher::start().await?),
            _ => None,
        };
        let url = database.variable();
        let own = [("HOST", "127.0.0.1"), ("PORT", "0"), ("DATABASE_URL", &url)];
        let auth = publisher
            .as_ref()
            .map(|publisher| ("AUTH_URL", publisher.url.as_str()));
        let env = Env::from_pairs(own.into_iter().chain(auth).chain(variables.iter().copied()));
        let server = Server::start::<S>(env, &Telemetry::detached()).await?;
        let url = format!("http://{}", server.address()?);
        let ops_url = match server.metrics_address() {
            Some(address) => format!("http://{}", address?),
            None => url.clone(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async {
            // A dropped sender stops the service too.
            let _ = stopped.await;
        }));
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            url,
            ops_url,
            client,
            described: Described::of::<S>()?,
            database,
            publisher,
            stop: Some(stop),
            task,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens for those who operate it.
    pub fn ops_url(&self) -> &str {
        &self.ops_url
    }

    /// Its database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// A token of the key that the service trusts unless it was given an `AUTH_URL`.
    pub fn own_token(&self, user: &str) -> Setup<String> {
        match &self.publisher {
            Some(publisher) => publisher.token(user),
            None => Ok(alone::access_token(self.database.url(), user)?),
        }
    }

    /// GET, with a token unless it is empty.
    pub async fn get(&self, path: &str, token: &str) -> Setup<Answer> {
        self.send(self.request(Method::GET, path, token)).await
    }

    /// POST of JSON, with a token unless it is empty.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Setup<Answer> {
        self.send(self.request(Method::POST, path, token).json(body))
            .await
    }

    /// A request to be changed before it is sent.
    pub fn request(&self, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        }
    }

    /// Sends a request. Stops the test if the answer is none that the service's API document lists.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Setup<Answer> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer {
            status,
            headers,
            text: response.text().await?,
        };
        self.described.assert_lists(&method, &path, &answer);
        Ok(answer)
    }

    /// Stops the service in order and waits for its end.
    pub async fn stop(mut self) -> Setup<()> {
        drop(self.stop.take());
        Ok((&mut self.task).await??)
    }
}
