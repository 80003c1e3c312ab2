//! The kit as a service uses it, by a small service of its own.

mod api_docs;
mod database;
mod database_tls;
mod idempotency;
mod serving;
mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use tokio::sync::Semaphore;
use tracewell_kit::{
    auth::{CurrentUser, Verifier},
    config::Env,
    db::Migration,
    docs::Routes,
    json::ValidJson,
    service::{Resources, Service, StartError},
};
use utoipa_axum::routes;

/// A service whose requests do what the tests need.
struct Probe;

#[derive(Clone, axum::extract::FromRef)]
struct ProbeState {
    verifier: Verifier,
    gate: Arc<Semaphore>,
}

/// Opened by `/v1/open`, awaited by `/v1/wait`.
#[utoipa::path(get, path = "/wait", responses((status = 200)))]
async fn wait(State(gate): State<Arc<Semaphore>>) -> &'static str {
    match gate.acquire().await {
        Ok(_) => "done",
        Err(_) => "closed",
    }
}

#[utoipa::path(get, path = "/open", responses((status = 200)))]
async fn open(State(gate): State<Arc<Semaphore>>) {
    gate.add_permits(1);
}

#[utoipa::path(get, path = "/panic", responses((status = 200)))]
#[expect(clippy::panic, reason = "what the service makes of a panic is under test")]
async fn panics() {
    panic!("the test asked for it");
}

/// A body of strings.
#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

#[utoipa::path(post, path = "/echo", request_body = Echo, responses((status = 200, body = Echo)))]
async fn echo(ValidJson(body): ValidJson<Echo>) -> Json<Echo> {
    Json(body)
}

#[utoipa::path(get, path = "/whoami", security(("bearer" = [])), responses((status = 200, body = String)))]
async fn whoami(caller: CurrentUser) -> Json<String> {
    Json(caller.id)
}

impl Service for Probe {
    const NAME: &'static str = "probe";
    const BINARY: &'static str = "tracewell-probe";
    const VERSION: &'static str = "0.0.0";
    const TITLE: &'static str = "Probe";
    const DESCRIPTION: &'static str = "For tests of the kit";
    const PORT: u16 = 0;
    const MIGRATIONS: Option<&'static [Migration]> = Some(&[Migration {
        version: 1,
        name: "notes",
        sql: "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY)",
    }]);
    const TRUSTS_OWN_KEY: bool = true;
    const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
    const REQUESTS_AT_ONCE: usize = 8;

    type Config = Option<tracewell_kit::config::BaseUrl>;
    type State = ProbeState;

    fn configure(env: &mut Env) -> Self::Config {
        env.optional("AUTH_URL", "a URL")
    }

    fn routes() -> Routes<ProbeState> {
        Routes::default()
            .v1(routes!(wait))
            .v1(routes!(open))
            .v1(routes!(panics))
            .v1(routes!(whoami))
            .v1(routes!(echo))
    }

    async fn start(auth: Self::Config, resources: &Resources) -> Result<ProbeState, StartError> {
        let auth = resources.upstream("auth", auth);
        Ok(ProbeState {
            verifier: resources.verifier(auth.as_ref())?,
            gate: Arc::new(Semaphore::new(0)),
        })
    }
}
