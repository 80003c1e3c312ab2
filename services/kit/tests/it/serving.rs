//! Ports, layers, and the orderly end.

use tokio::sync::oneshot;
use tracewell_kit::{
    config::Env,
    server::Server,
    testing::{Running, Setup, assert_contract},
};
use tracewell_telemetry::Telemetry;

use crate::Probe;

#[tokio::test]
async fn a_service_keeps_the_contract() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    let token = probe.own_token("usr_ada")?;
    assert_eq!(probe.get("/v1/whoami", &token).await?.json(), "usr_ada");
    probe.get("/v1/open", "").await?;
    assert_contract::<Probe>(&probe, &token).await
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    probe.get("/v1/wait", "").await?.assert_problem(504, "timeout");
    Ok(())
}

#[tokio::test]
async fn a_panic_is_an_answer_and_not_the_end() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    let answer = probe.get("/v1/panic", "").await?;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (500, &"application/problem+json".parse()?)
    );
    assert!(!answer.text.contains("the test asked for it"), "{}", answer.text);
    assert_eq!(probe.get("/healthz", "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn only_known_origins_may_call_from_a_browser() -> Setup<()> {
    let probe = Running::start::<Probe>(&[("CORS_ORIGINS", "https://app.example")]).await?;
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let answer = probe
            .send(
                probe
                    .request(http::Method::GET, "/v1/open", "")
                    .header("origin", origin),
            )
            .await?;
        assert_eq!(
            answer.headers.contains_key("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
    }
    Ok(())
}

/// A server with these variables on free ports, and what stops it.
async fn server(variables: &[(&str, &str)]) -> Setup<(Server, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite://{}", folder.path().join("probe.db").display());
    let own = [
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("DATABASE_URL", database.as_str()),
    ];
    let env = Env::from_pairs(own.into_iter().chain(variables.iter().copied()));
    Ok((Server::start::<Probe>(env, &Telemetry::detached()).await?, folder))
}

#[tokio::test]
async fn metrics_keep_to_their_own_port() -> Setup<()> {
    let (server, _folder) = server(&[("METRICS_PORT", "0")]).await?;
    let api = format!("http://{}", server.address()?);
    let ops = format!("http://{}", server.metrics_address().ok_or("no metrics port")??);
    let (_stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async { drop(stopped.await) }));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let status = async |url: String| Ok::<_, reqwest::Error>(client.get(url).send().await?.status().as_u16());
    assert_eq!(status(format!("{ops}/metrics")).await?, 200);
    assert_eq!(status(format!("{ops}/readyz")).await?, 200);
    assert_eq!(status(format!("{api}/readyz")).await?, 200);
    assert_eq!(status(format!("{api}/healthz")).await?, 200);
    assert_eq!(status(format!("{api}/metrics")).await?, 404);
    Ok(())
}

#[tokio::test]
async fn a_stop_is_announced_and_lets_requests_finish() -> Setup<()> {
    // Long enough for the steps below on a busy machine.
    let (server, _folder) = server(&[("SHUTDOWN_DELAY_SECONDS", "3")]).await?;
    let url = format!("http://{}", server.address()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.run(async { drop(stopped.await) }));
    let client = reqwest::Client::builder().no_proxy().build()?;
    assert_eq!(client.get(format!("{url}/readyz")).send().await?.status(), 200);
    drop(stop);
    while client.get(format!("{url}/readyz")).send().await?.status() == 200 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn(client.get(format!("{url}/v1/wait")).send());
    assert_eq!(
        client.get(format!("{url}/v1/open")).send().await?.status(),
        200,
        "still served while not ready"
    );
    assert_eq!(waiting.await??.status(), 200);
    task.await??;
    assert!(
        client.get(format!("{url}/healthz")).send().await.is_err(),
        "the port is free"
    );
    Ok(())
}

#[tokio::test]
async fn a_busy_port_is_named() -> Setup<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = taken.local_addr()?.port().to_string();
    let error = server(&[("PORT", &port)]).await.err().ok_or("it started")?;
    assert_eq!(
        error.to_string(),
        format!("cannot listen on 127.0.0.1:{port} (set by HOST, PORT)")
    );
    Ok(())
}
