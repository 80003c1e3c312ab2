//! The real binary with an empty environment.

use tracewell_kit::testing::{Process, Setup};

#[tokio::test]
async fn it_runs_alone_with_a_token_of_its_own() -> Setup<()> {
    let service = Process::start(env!("CARGO_BIN_EXE_tracewell-billing")).await?;
    service.call(&["healthcheck"]).await?;
    let token = service.call(&["token", "--user", "usr_ada"]).await?;
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(format!("{}/v1/entitlements", service.url));
    let body: serde_json::Value = answer
        .bearer_auth(&token)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    assert_eq!(body["plan_id"], "pln_free");
    let (status, log) = service.terminate().await?;
    assert!(status.success(), "{status}");
    assert!(!log.concat().contains(&token), "no token in the log");
    Ok(())
}
