//! The real binary with an empty environment.

use serde_json::{Value, json};
use tracewell_kit::testing::{Process, Setup};

#[tokio::test]
async fn it_runs_alone_and_stops_in_order() -> Setup<()> {
    let auth = Process::start(env!("CARGO_BIN_EXE_tracewell-auth")).await?;
    auth.call(&["healthcheck"]).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let account = json!({"email": "ada@example.com", "password": crate::PASSWORD});
    let made = client
        .post(format!("{}/v1/signup", auth.url))
        .json(&account)
        .send()
        .await?;
    assert_eq!(made.status(), 201);
    assert!(
        auth.call(&["print-config"])
            .await?
            .contains("DATABASE_URL=sqlite://./auth.db  # default")
    );
    assert!(auth.call(&["openapi"]).await?.starts_with('{'));
    let (status, log) = auth.terminate().await?;
    assert!(status.success(), "{status}");
    // Every line is JSON: nothing but the log may be written to standard output.
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()?;
    assert!(lines.iter().any(|line| line["msg"] == "stopped"), "{log:?}");
    assert!(!log.concat().contains(crate::PASSWORD), "no password in the log");
    Ok(())
}
