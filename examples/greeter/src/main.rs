//! A small instrumented service: greets people by a table in SQLite, and asks an elder greeter (`ELDER_URL`) about those
//! whom it does not know. The environment configures its telemetry; see docs/instrument-your-own-service.md.

mod hello;

use std::{env, error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
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
    let router = telemetry.wrap(api).merge(telemetry.ops_routes(readiness.clone()));

    let port: u16 = env::var("PORT").as_deref().unwrap_or("3000").parse()?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    tracing::info!(port = listener.local_addr()?.port(), "listening");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
        readiness.drain();
    };
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}
