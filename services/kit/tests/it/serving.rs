//! Ports, layers, and the orderly end.

use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
};
use tracewell_kit::{
    config::Env,
    server::{SPAN_PATH, Server},
    testing::{Answer, Running, Setup, assert_contract},
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
        let exposed = answer.headers.get("access-control-expose-headers");
        let exposed = exposed.and_then(|names| names.to_str().ok()).unwrap_or_default();
        for name in ["retry-after", "idempotency-replayed"] {
            assert!(!allowed || exposed.contains(name), "{exposed:?} lacks {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_is_told_what_known_origins_may_send() -> Setup<()> {
    let probe = Running::start::<Probe>(&[("CORS_ORIGINS", "https://app.example")]).await?;
    let ask = async |origin: &str| {
        let request = probe
            .request(http::Method::OPTIONS, "/v1/echo", "")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        probe.send(request).await
    };
    let list = |answer: &Answer, name: &str| {
        let text = answer.headers.get(name).and_then(|value| value.to_str().ok());
        let mut words: Vec<_> = text
            .unwrap_or_default()
            .split(',')
            .map(|word| word.trim().to_lowercase())
            .collect();
        words.sort();
        words
    };
    let known = ask("https://app.example").await?;
    assert_eq!(known.status, 200, "{}", known.text);
    assert_eq!(
        known.headers["access-control-allow-origin"],
        "https://app.example"
    );
    assert_eq!(
        list(&known, "access-control-allow-methods"),
        ["delete", "get", "patch", "post", "put"]
    );
    assert_eq!(
        list(&known, "access-control-allow-headers"),
        [
            "authorization",
            "baggage",
            "content-type",
            "idempotency-key",
            "traceparent",
            "tracestate",
            "x-request-id"
        ]
    );
    assert_eq!(known.headers["access-control-max-age"], "600");
    assert_eq!(known.headers["access-control-allow-credentials"], "true");
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "null",
    ] {
        let answer = ask(origin).await?;
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{origin}: {:?}",
            answer.headers
        );
        // Or a cache would give one origin the answer of another.
        assert!(list(&answer, "vary").contains(&"origin".to_owned()), "{origin}");
    }
    Ok(())
}

/// A refusal of a layer carries what the layers around it add. In another order one of these would lack something.
#[tokio::test]
async fn the_layers_are_in_the_order_that_completes_every_refusal() -> Setup<()> {
    const APP: &str = "https://app.example";
    let probe = Running::start::<Probe>(&[("CORS_ORIGINS", APP)]).await?;
    let call = async |method: Method, path: &str| {
        let request = probe.request(method, path, "").header("origin", APP);
        probe
            .send(request.header("access-control-request-method", "GET"))
            .await
    };
    let whole = |answer: &Answer, status: u16, code: &str, path: &str| {
        answer.assert_problem(status, code);
        assert_eq!(answer.json()["instance"], path, "{}", answer.text);
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.headers[name], value, "{code}");
        }
    };
    whole(&call(Method::GET, "/v1/wait").await?, 504, "timeout", "/v1/wait");
    whole(
        &call(Method::GET, "/v1/x%00").await?,
        400,
        "null_character",
        "/v1/x%00",
    );
    whole(
        &call(Method::GET, "/nowhere").await?,
        404,
        "unknown_route",
        "/nowhere",
    );

    let mut waiting = JoinSet::new();
    let refused = loop {
        waiting.spawn(probe.request(Method::GET, "/v1/wait", "").send());
        let answer = call(Method::GET, "/v1/whoami").await?;
        if answer.status != 401 {
            break answer;
        }
    };
    whole(&refused, 503, "overloaded", "/v1/whoami");
    assert_eq!(refused.headers["retry-after"], "1");
    // What a browser asks first, and whether the service is alive, are answered all the same.
    assert_eq!(call(Method::OPTIONS, "/v1/whoami").await?.status, 200);
    assert_eq!(probe.get("/healthz", "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_body_may_have_64_kibibytes_and_no_byte_more() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    let post = async |length: usize| {
        let frame = r#"{"text":""}"#.len();
        let body = serde_json::json!({"text": "x".repeat(length - frame)});
        assert_eq!(body.to_string().len(), length);
        probe.post("/v1/echo", "", &body).await
    };
    assert_eq!(post(65_536).await?.status, 200);
    post(65_537).await?.assert_problem(413, "body_too_large");
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
async fn without_documents_there_is_still_a_request_that_leaves_a_span_and_nothing_else() -> Setup<()> {
    let probe = Running::start::<Probe>(&[("API_DOCS", "Disabled")]).await?;
    for path in ["/api-docs.json", "/api-docs", "/api-docs/"] {
        probe.get(path, "").await?.assert_problem(404, "unknown_route");
    }
    let answer = probe.get(SPAN_PATH, "").await?;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    // From inside the layers of the API, around which telemetry goes.
    assert_eq!(answer.headers["cache-control"], "no-store");
    Ok(())
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

/// Reads until `end` has come, and gives what came.
async fn read_until(connection: &mut TcpStream, end: &str) -> Setup<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Err(format!("the connection was closed after {text:?}").into());
        }
        text.push_str(std::str::from_utf8(&buffer[..count])?);
    }
    Ok(text)
}

#[tokio::test]
async fn a_client_that_is_still_writing_gets_the_refusal() -> Setup<()> {
    const SIZE: usize = 1 << 20;
    let probe = Running::start::<Probe>(&[]).await?;
    let host = probe.url().trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(&host).await?;
    let head = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {SIZE}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    let half = vec![b' '; SIZE / 2];
    connection.write_all(&half).await?;
    // Not read before all is written, as most clients do.
    connection.readable().await?;
    connection.write_all(&half).await?;
    let refused = read_until(&mut connection, "body_too_large").await?;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");

    // Its body was read to the end, so the connection serves the next request.
    let next = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.write_all(next.as_bytes()).await?;
    read_until(&mut connection, "HTTP/1.1 200 ").await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_read_for_ever() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    let host = probe.url().trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(&host).await?;
    let head = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: {host}\r\ncontent-type: text/plain\r\ncontent-length: 1000000000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    let chunk = vec![b' '; 64 * 1024];
    let mut written = 0;
    while connection.write_all(&chunk).await.is_ok() {
        written += chunk.len();
        assert!(written < 500_000_000, "the service reads on and on");
    }
    Ok(())
}
