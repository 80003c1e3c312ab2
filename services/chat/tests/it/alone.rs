//! The real binary with an empty environment.

use tracewell_kit::testing::{Process, Setup};

#[tokio::test]
async fn it_runs_alone_with_a_token_of_its_own() -> Setup<()> {
    let with_spans = [("RUST_LOG", "info,tracewell::span=debug")];
    let service = Process::start_with(env!("CARGO_BIN_EXE_tracewell-chat"), &with_spans).await?;
    service.call(&["healthcheck"]).await?;
    let token = service.call(&["token", "--user", "usr_ada"]).await?;
    let call = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!("{}/v1/conversations", service.url));
    let body = serde_json::json!({"title": "Lunch"});
    let made: serde_json::Value = call
        .bearer_auth(&token)
        .header("Idempotency-Key", "key-of-adas-lunch")
        .json(&body)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    assert_eq!(made["member_ids"], serde_json::json!(["usr_ada"]));
    let (status, log) = service.terminate().await?;
    assert!(status.success(), "{status}");
    let log = log.concat();
    assert!(
        log.contains("idempotency_keys"),
        "the spans of queries are in the log"
    );
    assert!(!log.contains(&token), "no token in the log");
    assert!(!log.contains("adas-lunch"), "no key in the log");
    Ok(())
}
