//! A gateway on a free port, and upstreams that tell what they received.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracewell_gateway::app::Gateway;
use tracewell_kit::config::Env;
use tracewell_kit::server::Server;
use tracewell_telemetry::Telemetry;

/// A running gateway and its upstreams; all end with it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    _servers: JoinSet<()>,
}

/// Upstreams by name, mounted at `/{name}`.
pub(crate) struct Setup {
    routes: Vec<String>,
    env: Vec<(&'static str, String)>,
    servers: JoinSet<()>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            routes: Vec::new(),
            env: Vec::new(),
            servers: JoinSet::new(),
        }
    }

    /// Serves `router` on a free port.
    pub(crate) async fn upstream(mut self, name: &str, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.routes
            .push(format!("/{name}=http://{}", listener.local_addr().unwrap()));
        self.servers
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        self
    }

    /// An upstream that listens already.
    pub(crate) fn existing(mut self, name: &str, url: &str) -> Self {
        self.routes.push(format!("/{name}={url}"));
        self
    }

    /// An upstream where nothing listens.
    pub(crate) async fn dead_upstream(mut self, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.routes
            .push(format!("/{name}=http://{}", listener.local_addr().unwrap()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub(crate) async fn start(mut self) -> Running {
        let settings = [("HOST", "127.0.0.1".to_owned()), ("PORT", "0".to_owned())];
        let routes = [("GATEWAY_ROUTES", self.routes.join(","))];
        let env = Env::from_pairs(settings.into_iter().chain(routes).chain(self.env));
        let server = Server::start::<Gateway>(env, &Telemetry::detached())
            .await
            .unwrap();
        let address = server.address().unwrap();
        self.servers
            .spawn(async move { server.run(std::future::pending()).await.unwrap() });
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Running {
            address,
            client,
            _servers: self.servers,
        }
    }
}

impl Running {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(Method::GET, path)
    }

    /// The body of the answer to a GET.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.get(path).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Sends bytes as they are, which no honest client library does, and returns the whole answer.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// What an upstream received.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An upstream that answers each request with what it received.
pub(crate) fn mirror() -> Router {
    Router::new().fallback(|request: Request| async {
        let (head, body) = request.into_parts();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        axum::Json(Received {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        })
    })
}

/// An upstream that answers every request alike.
pub(crate) fn always<F>(answer: F) -> Router
where
    F: Fn() -> Response + Clone + Send + Sync + 'static,
{
    Router::new().fallback(move || std::future::ready(answer()))
}

/// Asserts that the answer is a problem of that status and code.
pub(crate) async fn assert_problem(answer: reqwest::Response, status: StatusCode, code: &str) -> Value {
    let (got, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(
        kind.as_ref().map(http::HeaderValue::as_bytes),
        Some(&b"application/problem+json"[..]),
        "{text}"
    );
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&code.into(), &status.as_u16().into()),
        "{text}"
    );
    problem
}
