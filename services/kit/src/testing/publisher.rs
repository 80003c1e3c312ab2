//! An auth service as far as other services know it: it publishes the key that signs the tokens, and knows an address of
//! every caller.

use axum::{Json, Router, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Setup;
use crate::{
    clock,
    token::{Claims, JwkSet, SigningKey},
};

/// Every caller's e-mail address.
pub const CALLER: &str = "caller@example.com";

/// Publishes a key until it is dropped.
pub(super) struct Publisher {
    key: SigningKey,
    /// Where.
    pub(super) url: String,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Publisher {
    pub(super) async fn start() -> Setup<Self> {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?;
        let keys = JwkSet {
            keys: vec![key.jwk()],
        };
        let answer = || async { Json(keys) };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let account = || async { Json(serde_json::json!({"email": CALLER})) };
        let routes = Router::new()
            .route("/.well-known/jwks.json", get(answer))
            .route("/v1/me", get(account));
        Ok(Self {
            key,
            url,
            serving: tokio::spawn(axum::serve(listener, routes).into_future()),
        })
    }

    pub(super) fn token(&self, user: &str) -> Setup<String> {
        Ok(self.key.sign(&Claims::new(user, clock::now()))?)
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publisher({})", self.url)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
