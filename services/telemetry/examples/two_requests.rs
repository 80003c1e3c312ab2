//! A whole instrumented process in little: two requests, one of which panics, and an orderly end within its deadline.
//!
//! Run it with `cargo run -p tracewell-telemetry --example two_requests`, or with OTEL_* variables of your own.

#![expect(
    clippy::panic,
    reason = "one of the two requests shows what a panic looks like"
)]

use std::{error::Error, time::Duration};

use axum::{Router, body::Body, extract::Request, routing::get};
use tower::ServiceExt;
use tracewell_telemetry::{InitError, Readiness, ServiceInfo, Telemetry};

async fn get_stuck() -> &'static str {
    panic!("card 4111111111111111 is stuck")
}

async fn answer_two_requests() -> Result<(), Box<dyn Error>> {
    let telemetry = Telemetry::init(ServiceInfo::new("shop", "1.2.3"))?;
    let Err(InitError::AlreadyInitialised) = Telemetry::init(ServiceInfo::new("twice", "1")) else {
        return Err("telemetry is global to a process, and a second one was not refused".into());
    };
    let routes = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/panic", get(get_stuck));
    let app = telemetry
        .wrap(routes)
        .merge(telemetry.ops_routes(Readiness::new()));
    for path in ["/hello", "/panic", "/healthz"] {
        let answer = app
            .clone()
            .oneshot(Request::get(path).body(Body::empty())?)
            .await?;
        axum::body::to_bytes(answer.into_body(), usize::MAX).await?;
    }
    let deadline = std::env::var("SHUTDOWN_SECONDS").map_or(Ok(0.5), |seconds| seconds.parse())?;
    telemetry.shutdown(Duration::from_secs_f64(deadline)).await;
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    if let Err(error) = answer_two_requests().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
    // Not through the runtime's end: a request to a backend that never answers would be waited for.
    std::process::exit(0)
}
