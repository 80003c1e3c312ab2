//! What the gateway tells of failures that are not its own.

use serde_json::Value;

use crate::fixture::{Greeter, Service, Spotlight, Tools};

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
