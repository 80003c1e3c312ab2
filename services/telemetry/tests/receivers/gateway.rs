//! What the gateway tells of what goes through it: failures that are not its own, and connections that last.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tracewell_e2e::jaeger::Kind;

use crate::fixture::{Answer, Greeter, JaegerProcess, Service, Spotlight, Tools, free_ports};

/// The caller's own span, which nobody records.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn line<'a>(log: &'a [Value], url: &str) -> &'a Value {
    let line = log.iter().find(|line| line["req"]["url"] == url);
    line.unwrap_or_else(|| panic!("no line of {url} in {log:#?}"))
}

#[tokio::test]
async fn a_failure_behind_the_gateway_is_one_event_whose_id_client_and_logs_have() {
    let Some(tools) = Tools::find() else { return };
    let spotlight = Spotlight::start(&tools).await;
    let dsn = spotlight.dsn();
    let to_sentry = [("SENTRY_DSN", dsn.as_str()), ("SENTRY_TRACES_SAMPLE_RATE", "0")];
    // Nobody listens where it asks for more.
    let alone = [("ELDER_URL", "http://127.0.0.1:1")];
    let greeter = Greeter::start(&[&to_sentry[..], &alone].concat()).await;
    let gateway = Service::gateway(&greeter, &to_sentry).await;

    let failed = gateway.get("/greeter/hello/eve").await;
    assert_eq!(failed.status, 502);
    assert_eq!(gateway.get("/greeter/hello/%ff").await.status, 400);
    spotlight.until_events(2).await;
    // The first to end sends what it has: nothing of its own.
    let (gateway, greeter) = (gateway.end().await, greeter.end().await);

    let items = spotlight.everything().await;
    let events: Vec<_> = items.iter().filter(|item| item.kind == "event").collect();
    assert_eq!(events.len(), 2, "{events:#?}");
    for event in &events {
        assert_eq!(event.payload["tags"]["service"], "greeter", "{event:#?}");
    }
    let id = failed.headers["x-sentry-event-id"].to_str().unwrap();
    let error = events.iter().find(|event| event.payload["event_id"] == id);
    assert!(
        error.is_some_and(|error| error.payload["exception"]["values"].is_array()),
        "no error {id} in {events:#?}"
    );
    let (outside, inside) = (
        line(&gateway.log, "/greeter/hello/eve"),
        line(&greeter.log, "/hello/eve"),
    );
    assert_eq!(
        (&outside["sentry"], &inside["sentry"]),
        (&"relayed".into(), &"sent".into())
    );
    for line in [outside, inside] {
        assert_eq!(line["sentry_event_id"], id);
        assert_eq!(line["trace_id"], inside["trace_id"]);
        assert_eq!(
            line["req"]["id"],
            failed.headers["x-request-id"].to_str().unwrap()
        );
    }
}

#[tokio::test]
async fn each_time_that_a_refused_request_is_sent_again_is_a_span_which_says_so() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let [nobody] = free_ports();
    let (endpoint, routes) = (jaeger.endpoint(), format!("/auth=http://127.0.0.1:{nobody}"));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("GATEWAY_ROUTES", &routes),
    ];
    let gateway = Service::start("tracewell-gateway", &variables).await;
    let request = gateway
        .request(Method::POST, "/auth/v1/signup")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(Answer::to(request).await.status, 502);
    gateway.end().await;

    let trace = jaeger.query.trace(TRACE).await.unwrap().unwrap();
    let (server, calls) = trace.spans.split_first().unwrap();
    assert_eq!(
        (server.kind, server.attribute("error.type")),
        (Kind::Server, "upstream_unreachable")
    );
    let resends: Vec<_> = calls
        .iter()
        .map(|call| (call.kind, call.attribute("http.request.resend_count")))
        .collect();
    assert_eq!(
        resends,
        ["", "1", "2", "3", "4"].map(|count| (Kind::Client, count))
    );
}

/// Takes one connection, agrees to a WebSocket, and says nothing until the other side ends.
async fn silent_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .await
            .unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_websocket_is_a_trace_of_its_own_that_links_to_the_request_which_opened_it() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let routes = format!("/chat=http://{}", silent_upstream().await);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("GATEWAY_ROUTES", &routes),
    ];
    let gateway = Service::start("tracewell-gateway", &variables).await;
    let opened = gateway
        .request(Method::GET, "/chat/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .send()
        .await
        .unwrap();
    assert_eq!(opened.status(), StatusCode::SWITCHING_PROTOCOLS);
    drop(opened);
    gateway.end().await;

    let (_, cause) = jaeger.root_linked_to("gateway", "websocket chat", TRACE).await;
    assert_eq!(cause, "GET /chat/{*path}");
}
