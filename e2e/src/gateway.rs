//! The platform as a user sees it: requests through the gateway.

use anyhow::{Context, Result, ensure};
use http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::endpoint::{Answer, Endpoint};
use crate::trace_context::{self, TraceContext};

/// Where the demo's gateway and Jaeger are reached from this machine.
pub const DEMO_GATEWAY: &str = "http://localhost:30080";
/// See [`DEMO_GATEWAY`].
pub const DEMO_JAEGER: &str = "http://localhost:30686";

/// Somebody who uses the platform; all requests belong to one trace.
#[derive(Clone)]
pub struct User {
    gateway: Endpoint,
    /// The trace.
    pub trace: TraceContext,
    email: String,
    password: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct SignedIn {
    access_token: String,
}

impl User {
    /// Somebody whom the platform does not know yet.
    pub fn unknown_to(gateway: Endpoint) -> Self {
        let trace = trace_context::fresh();
        Self {
            gateway,
            email: format!("{}@example.com", trace.trace_id),
            password: Uuid::now_v7().to_string(),
            trace,
            token: None,
        }
    }

    /// A request as this user, of any method and body.
    pub async fn send(&self, method: Method, path: &str, body: Option<&str>) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("traceparent", self.trace.header());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.gateway
            .send(request.body(body.unwrap_or_default().to_owned())?)
            .await
    }

    /// GET, which must succeed.
    pub async fn get(&self, path: &str) -> Result<Value> {
        expect(&self.send(Method::GET, path, None).await?, StatusCode::OK, path)
    }

    /// POST of JSON, which must be answered with `status`.
    pub async fn post(&self, path: &str, body: &Value, status: StatusCode) -> Result<Value> {
        expect(
            &self.send(Method::POST, path, Some(&body.to_string())).await?,
            status,
            path,
        )
    }

    /// Creates the account.
    pub async fn sign_up(&self) -> Result<()> {
        let account = json!({"email": self.email, "password": self.password, "display_name": "Ada"});
        let path = "/auth/v1/signup";
        let answer = self.send(Method::POST, path, Some(&account.to_string())).await?;
        expect_status(&answer, StatusCode::ACCEPTED, path)
    }

    /// Signs in; later requests carry the access token.
    pub async fn sign_in(&mut self) -> Result<Value> {
        let credentials = json!({"email": self.email, "password": self.password});
        let answer = self.post("/auth/v1/signin", &credentials, StatusCode::OK).await?;
        self.token = Some(serde_json::from_value::<SignedIn>(answer.clone())?.access_token);
        Ok(answer)
    }

    /// The same user with another token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The access token, once signed in.
    pub fn token(&self) -> Result<&str> {
        self.token.as_deref().context("the user has not signed in")
    }

    /// The user's e-mail address.
    pub fn email(&self) -> &str {
        &self.email
    }
}

fn expect(answer: &Answer, status: StatusCode, path: &str) -> Result<Value> {
    expect_status(answer, status, path)?;
    answer.json()
}

fn expect_status(answer: &Answer, status: StatusCode, path: &str) -> Result<()> {
    ensure!(
        answer.status == status,
        "{path}: expected {status}, got {}: {}",
        answer.status,
        answer.body
    );
    Ok(())
}
