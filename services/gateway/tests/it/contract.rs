//! What holds for every endpoint of every service, for the gateway's own.

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tracewell_gateway::app::Gateway;
use tracewell_kit::testing::{Running, Setup, assert_committed, assert_contract};

#[tokio::test]
async fn every_endpoint_of_its_own_refuses_what_it_must() -> Setup<()> {
    let ready = Router::new().route("/readyz", get(|| async {}));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let routes = format!("/auth=http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, ready).await });
    let gateway = Running::start::<Gateway>(&[("GATEWAY_ROUTES", &routes)]).await?;
    assert_contract::<Gateway>(&gateway, "").await
}

#[test]
fn the_committed_document_is_the_codes() {
    assert_committed::<Gateway>(include_str!("../../openapi.json"));
}
