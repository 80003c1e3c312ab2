//! A small instrumented service: greets people by a table in SQLite, and asks an elder greeter (`ELDER_URL`) about those
//! whom it does not know. The environment configures its telemetry; see docs/instrument-your-own-service.md.

mod hello;

use std::{env, error::Error, io, net::SocketAddr, num::ParseIntError, time::Duration};

use axum::{Router, body::Body, routing::get};
use hello::{Greeter, hello};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracewell_telemetry::{Readiness, ServiceInfo, Telemetry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = ServiceInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let telemetry = Telemetry::init(service)?;
    let outcome = serve(&telemetry).await;
    // Whatever the outcome: the spans that explain a failure are among the last ones.
    telemetry.shutdown(Duration::from_secs(5)).await;
    outcome
}

async fn serve(telemetry: &Telemetry) -> Result<(), Box<dyn Error>> {
    let greeter = Greeter::open(telemetry.client(reqwest::Client::new())).await?;
    let people = greeter.people.clone();
    let readiness = Readiness::new().check("people", move || {
        let people = people.clone();
        async move { Ok(people.acquire().await.map(drop)?) }
    });
    let api = Router::new()
        .route("/hello/{name}", get(hello))
        .with_state(greeter);
    let (api, ops) = (telemetry.wrap(api), telemetry.ops_routes(readiness.clone()));
    let router = match number("METRICS_PORT")? {
        None => api.merge(ops),
        Some(port) => {
            serve_ops(port, ops.clone()).await?;
            api.merge(health_of(&ops))
        }
    };

    let listener = TcpListener::bind(("0.0.0.0", number("PORT")?.unwrap_or(3000))).await?;
    tracing::info!(port = listener.local_addr()?.port(), "listening");
    let delay = Duration::from_secs(number("SHUTDOWN_DELAY_SECONDS")?.unwrap_or(0).into());
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
        readiness.drain();
        // Load balancers take a while to notice; until then they send requests.
        tokio::time::sleep(delay).await;
    };
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}

fn number(variable: &str) -> Result<Option<u16>, ParseIntError> {
    env::var(variable).ok().map(|value| value.parse()).transpose()
}

/// Where a port is given for them, metrics are not on the one that clients reach.
async fn serve_ops(port: u16, ops: Router) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    tracing::info!(port = listener.local_addr()?.port(), "listening for scrapes");
    tokio::spawn(axum::serve(listener, ops).into_future());
    Ok(())
}

/// What the pod's probes ask, on the port of the API itself.
fn health_of(ops: &Router) -> Router {
    let health = |ops: &Router| ops.clone().into_service::<Body>();
    Router::new()
        .route_service("/healthz", health(ops))
        .route_service("/readyz", health(ops))
}
