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
    assert_eq!(made.status(), 202);
    assert!(
        auth.call(&["print-config"])
            .await?
            .contains("DATABASE_URL=sqlite://./auth.db  # default")
    );
    assert!(auth.call(&["openapi"]).await?.starts_with('{'));
    let signed_in = client
        .post(format!("{}/v1/signin", auth.url))
        .json(&json!({"email": "ada@example.com", "password": crate::PASSWORD}))
        .send()
        .await?
        .json::<Value>()
        .await?;
    let refresh = json!({"refresh_token": signed_in["refresh_token"]});
    let refreshed = client
        .post(format!("{}/v1/refresh", auth.url))
        .json(&refresh)
        .send()
        .await?;
    assert_eq!(refreshed.status(), 200);
    let (status, log) = auth.terminate().await?;
    assert!(status.success(), "{status}");
    // Every line is JSON: nothing but the log may be written to standard output.
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()?;
    assert!(lines.iter().any(|line| line["msg"] == "stopped"), "{log:?}");
    assert!(!log.concat().contains(crate::PASSWORD), "no password in the log");
    // Who signs in has no token that names them; errors and log lines of such a request are somebody's all the same.
    let user = signed_in["user"]["id"].as_str().ok_or("no user")?;
    for path in ["/v1/signin", "/v1/refresh"] {
        let of_user = log.iter().any(|line| line.contains(path) && line.contains(user));
        assert!(of_user, "{path}: {log:?}");
    }
    Ok(())
}
