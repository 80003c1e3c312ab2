//! The portal over all API documents.

use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Setup, assert_problem, mirror};

#[tokio::test]
async fn the_document_of_a_service_says_where_it_is_reached() {
    let document = get(|| async {
        Json(json!({"openapi": "3.1.0", "paths": {"/v1/me": {}}, "servers": [{"url": "/"}]}))
    });
    let gateway = Setup::new()
        .upstream("auth", Router::new().route("/api-docs.json", document))
        .await
        .start()
        .await;
    let document: Value = gateway
        .get("/api-docs/auth.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["servers"], json!([{"url": "/auth"}]));
    assert_eq!(document["paths"], json!({"/v1/me": {}}));
}

#[tokio::test]
async fn a_service_without_a_document_is_a_502_that_names_it() {
    let setup = Setup::new()
        .upstream("auth", Router::new())
        .await
        .dead_upstream("chat")
        .await;
    let gateway = setup
        .upstream("web", Router::new().fallback(|| async { "<html>" }))
        .await
        .start()
        .await;
    for name in ["auth", "chat", "web"] {
        let answer = gateway
            .get(&format!("/api-docs/{name}.json"))
            .send()
            .await
            .unwrap();
        let problem = assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_document").await;
        assert_eq!(problem["detail"], format!("{name} offers no API document"));
    }
}

#[tokio::test]
async fn the_portal_offers_the_gateway_and_every_service() {
    let gateway = Setup::new()
        .upstream("auth", mirror())
        .await
        .upstream("chat", mirror())
        .await
        .start()
        .await;
    let index = gateway.get("/api-docs/").send().await.unwrap();
    assert_eq!(index.status(), StatusCode::OK);
    let script = gateway.text("/api-docs/swagger-initializer.js").await;
    for url in ["../api-docs.json", "auth.json", "chat.json"] {
        assert!(script.contains(&format!("\"{url}\"")), "{url} is not in {script}");
    }
}
