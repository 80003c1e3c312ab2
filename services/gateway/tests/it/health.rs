//! `GET /v1/health`.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tracewell_gateway::routes::health::{Health, HealthSummary};

use crate::support::{Running, Setup};

async fn summary(gateway: &Running, path: &str) -> (StatusCode, HealthSummary) {
    let answer = gateway.get(path).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn readyz(status: StatusCode) -> Router {
    Router::new().route("/readyz", get(move || async move { status }))
}

#[tokio::test]
async fn all_ready_is_200() {
    let setup = Setup::new().upstream("chat", readyz(StatusCode::OK)).await;
    let gateway = setup.upstream("auth", readyz(StatusCode::OK)).await.start().await;
    for path in ["/v1/health", "/health"] {
        let (code, summary) = summary(&gateway, path).await;
        assert_eq!((code, summary.status), (StatusCode::OK, Health::Ready));
        let names: Vec<_> = summary
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        assert_eq!(names, ["auth", "chat"]);
    }
}

#[tokio::test]
async fn one_that_is_not_ready_and_one_that_is_gone_are_told_apart_in_a_503() {
    let setup = Setup::new().upstream("auth", readyz(StatusCode::OK)).await;
    let setup = setup
        .upstream("billing", readyz(StatusCode::SERVICE_UNAVAILABLE))
        .await;
    let gateway = setup.dead_upstream("chat").await.start().await;
    let (code, summary) = summary(&gateway, "/v1/health").await;
    assert_eq!(
        (code, summary.status),
        (StatusCode::SERVICE_UNAVAILABLE, Health::NotReady)
    );
    let statuses: Vec<_> = summary.services.iter().map(|service| service.status).collect();
    assert_eq!(statuses, [Health::Ready, Health::NotReady, Health::Unreachable]);
}

#[tokio::test]
async fn the_gateway_itself_is_ready_without_its_upstreams() {
    let gateway = Setup::new().dead_upstream("auth").await.start().await;
    assert_eq!(
        gateway.get("/readyz").send().await.unwrap().status(),
        StatusCode::OK
    );
}
