//! What Sentry gets of each outcome of a request, as Spotlight receives it and as Sentry's own normaliser judges it.

use serde_json::{Value, json};
use tracewell_e2e::jaeger::Kind;

use crate::fixture::{Answer, Greeter, Item, JaegerProcess, Spotlight, Tools, free_ports, relay_complaints};

/// A greeter that reports to a Spotlight of its own.
struct Scene {
    tools: Tools,
    spotlight: Spotlight,
    greeter: Greeter,
}

/// What was logged and sent until the greeter had ended.
struct Outcome {
    log: Vec<Value>,
    items: Vec<Item>,
}

impl Scene {
    async fn start(variables: &[(&str, &str)]) -> Option<Self> {
        let tools = Tools::find()?;
        let spotlight = Spotlight::start(&tools).await;
        let dsn = spotlight.dsn();
        let own = [
            ("SENTRY_DSN", dsn.as_str()),
            ("SENTRY_RELEASE", "greeter@1.2.3"),
            ("SENTRY_ENVIRONMENT", "test"),
            ("SENTRY_PROFILES_SAMPLE_RATE", "0"),
        ];
        let greeter = Greeter::start(&[&own, variables].concat()).await;
        Some(Self {
            tools,
            spotlight,
            greeter,
        })
    }

    /// Ends the greeter once that many events have arrived; later ones count too. Finding the names of a stack's functions
    /// can take a debug build longer than the end of a process waits for Sentry.
    async fn end_after(self, events: usize) -> Outcome {
        self.spotlight.until_events(events).await;
        let ended = self.greeter.end().await;
        assert!(ended.status.success(), "{:?}", ended.status);
        let items = self.spotlight.everything().await;
        let judged: Vec<&Value> = items
            .iter()
            .filter(|item| ["event", "transaction"].contains(&item.kind.as_str()))
            .map(|item| &item.payload)
            .collect();
        let complaints = relay_complaints(&self.tools, &judged);
        assert!(complaints.is_empty(), "{complaints:#?}\nabout {judged:#?}");
        Outcome {
            log: ended.log,
            items,
        }
    }
}

impl Outcome {
    fn payloads(&self, kind: &str) -> Vec<&Value> {
        let of_kind = self.items.iter().filter(|item| item.kind == kind);
        of_kind.map(|item| &item.payload).collect()
    }

    /// The one event, where there must be one.
    fn event(&self) -> &Value {
        let events = self.payloads("event");
        let [event] = events[..] else {
            panic!("{} events: {events:#?}", events.len())
        };
        event
    }

    /// The access log's line of this URL.
    fn line(&self, url: &str) -> &Value {
        let line = self.log.iter().find(|line| line["req"]["url"] == url);
        line.unwrap_or_else(|| panic!("no line of {url} in {:#?}", self.log))
    }
}

#[tokio::test]
async fn a_success_is_no_event() {
    let Some(scene) = Scene::start(&[]).await else {
        return;
    };
    assert_eq!(scene.greeter.get("/hello/ada").await.status, 200);
    let outcome = scene.end_after(0).await;
    assert_eq!(outcome.payloads("event"), [] as [&Value; 0]);
    assert_eq!(outcome.line("/hello/ada")["level"], 30);
}

#[tokio::test]
async fn client_errors_are_one_warning_per_group() {
    let Some(scene) = Scene::start(&[]).await else {
        return;
    };
    for name in ["eve", "mallory", "eve"] {
        let answer = scene.greeter.get(&format!("/hello/{name}")).await;
        assert_eq!(answer.status, 404);
    }
    let outcome = scene.end_after(1).await;
    let event = outcome.event();
    assert_eq!(event["level"], "warning");
    assert_eq!(
        event["fingerprint"],
        json!(["greeter", "GET", "/hello/{name}", "404"])
    );
    assert_eq!(event["exception"], Value::Null, "it has no stack");
    assert_eq!(outcome.line("/hello/eve")["level"], 40);
}

#[tokio::test]
async fn statuses_that_are_not_asked_for_are_no_events() {
    let Some(scene) = Scene::start(&[("SENTRY_CAPTURE_STATUS", "500-599")]).await else {
        return;
    };
    assert_eq!(scene.greeter.get("/hello/eve").await.status, 404);
    assert_eq!(scene.greeter.get("/debug/error").await.status, 500);
    let outcome = scene.end_after(1).await;
    assert_eq!(
        outcome.event()["event_id"],
        outcome.line("/debug/error")["sentry_event_id"]
    );
    assert_eq!(outcome.line("/hello/eve")["sentry_event_id"], Value::Null);
}

#[tokio::test]
async fn a_server_error_is_one_event_with_stack_causes_user_and_what_happened_before() {
    let elder = format!("http://127.0.0.1:{}", free_ports::<1>()[0]);
    let Some(scene) = Scene::start(&[("ELDER_URL", &elder)]).await else {
        return;
    };
    let request = scene
        .greeter
        .request(http::Method::GET, "/hello/eve")
        .header("user-agent", "judge/1");
    let answer = Answer::to(request).await;
    assert_eq!(answer.status, 502);
    let outcome = scene.end_after(1).await;
    let event = outcome.event();

    assert_eq!(event["level"], Value::Null, "left out, it is `error`");
    let id = answer.headers["x-sentry-event-id"].to_str().unwrap();
    assert_eq!(event["event_id"], id);
    // Sentry lists the root cause first.
    let chain = event["exception"]["values"].as_array().unwrap();
    let last = chain.last().unwrap();
    assert_eq!(
        (&last["type"], &last["value"]),
        (&"GreetError".into(), &"the elder greeter gives no answer".into())
    );
    assert!(
        chain[0]["value"].as_str().unwrap().contains("refused"),
        "no root cause in {chain:#?}"
    );
    let frames = last["stacktrace"]["frames"].as_array().unwrap();
    let of_ours = frames.iter().find(|frame| {
        frame["function"]
            .as_str()
            .is_some_and(|name| name.contains("greeter::hello"))
    });
    let of_ours = of_ours.unwrap_or_else(|| panic!("no frame of the greeter in {frames:#?}"));
    assert_eq!(of_ours["in_app"], true);
    assert!(of_ours["lineno"].is_u64(), "{of_ours}");
    assert_eq!(event["user"]["id"], "eve");
    let breadcrumbs = event["breadcrumbs"]["values"].as_array().unwrap();
    assert!(
        breadcrumbs
            .iter()
            .any(|crumb| crumb["message"] == "not in our own table"),
        "{breadcrumbs:#?}"
    );
    assert_eq!(
        (&event["release"], &event["environment"]),
        (&"greeter@1.2.3".into(), &"test".into())
    );
    assert_eq!(event["request"]["method"], "GET");
    assert_eq!(event["contexts"]["k8s"]["pod_name"], "greeter-0");
    let line = outcome.line("/hello/eve");
    assert_eq!(event["contexts"]["trace"]["trace_id"], line["trace_id"]);
    assert_eq!(line["sentry_event_id"], id);
    assert_eq!(line["level"], 50);
}

#[tokio::test]
async fn a_panic_is_one_fatal_event() {
    let Some(scene) = Scene::start(&[]).await else {
        return;
    };
    assert_eq!(scene.greeter.get("/debug/panic").await.status, 500);
    let outcome = scene.end_after(1).await;
    let event = outcome.event();
    assert_eq!(event["level"], "fatal");
    let frames = event["exception"]["values"][0]["stacktrace"]["frames"].as_array();
    let place = &frames.unwrap().last().unwrap()["function"];
    assert!(
        place.as_str().unwrap().contains("debug::panicking"),
        "{frames:#?}"
    );
    assert_eq!(outcome.line("/debug/panic")["level"], 60);
}

#[tokio::test]
async fn a_panic_while_the_body_is_sent_is_one_too() {
    let Some(scene) = Scene::start(&[]).await else {
        return;
    };
    let request = scene.greeter.request(http::Method::GET, "/debug/body");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap_err();
    let outcome = scene.end_after(1).await;
    assert_eq!(outcome.event()["level"], "fatal");
    let line = outcome.line("/debug/body");
    assert_eq!(
        (&line["level"], &line["err"]["type"], &line["sentry_event_id"]),
        (&60.into(), &"panic".into(), &outcome.event()["event_id"])
    );
}

#[tokio::test]
async fn a_captured_message_carries_the_breadcrumbs_of_its_request_only() {
    let Some(scene) = Scene::start(&[]).await else {
        return;
    };
    scene.greeter.get("/debug/breadcrumbs").await;
    scene.greeter.get("/debug/message").await;
    let outcome = scene.end_after(2).await;
    let events = outcome.payloads("event");
    let [with_breadcrumbs, message] = events[..] else {
        panic!("{events:#?}")
    };
    assert!(
        !with_breadcrumbs["breadcrumbs"]["values"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(message["message"].is_string(), "{message:#}");
    assert_eq!(message["breadcrumbs"], Value::Null, "those of another request");
}

#[tokio::test]
async fn the_same_ids_lead_from_the_log_to_jaeger_to_sentry_and_back() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ("TRACE_UI_URL", "http://jaeger.test"),
        ("SENTRY_UI_URL", "https://sentry.test/organizations/acme"),
    ];
    let Some(scene) = Scene::start(&variables).await else {
        return;
    };
    scene.greeter.get("/hello/ada").await;
    let failed = scene.greeter.get("/debug/error").await;
    scene.greeter.get("/debug/panic").await;
    let outcome = scene.end_after(2).await;

    let line = outcome.line("/debug/error");
    let trace_id = line["trace_id"].as_str().unwrap();
    let id = failed.headers["x-sentry-event-id"].to_str().unwrap();
    let events = outcome.payloads("event");
    let event = events.iter().find(|event| event["event_id"] == id);
    let event = event.unwrap_or_else(|| panic!("no event {id} in {events:#?}"));
    assert_eq!(event["contexts"]["trace"]["trace_id"], trace_id);
    assert!(
        event["contexts"]
            .to_string()
            .contains(&format!("http://jaeger.test/trace/{trace_id}")),
        "no link to the trace in {:#}",
        event["contexts"]
    );
    let trace = jaeger.query.trace(trace_id).await.unwrap().unwrap();
    let server = &trace.spans[0];
    assert_eq!(server.kind, Kind::Server);
    assert_eq!(server.attribute("sentry.event_id"), id);
    // Sentry's search leads from the id of an event to the event itself.
    let url = format!("https://sentry.test/organizations/acme/issues/?query={id}");
    assert_eq!(server.attribute("sentry.event_url"), url);
    assert_eq!(line["sentry_event_url"], url);
    assert_eq!(
        (server.is_error, server.attribute("error.type")),
        (true, "LoadError")
    );
    let panic = outcome.line("/debug/panic")["trace_id"].as_str().unwrap();
    let panic = jaeger.query.trace(panic).await.unwrap().unwrap();
    assert_eq!(
        (panic.spans[0].is_error, panic.spans[0].attribute("error.type")),
        (true, "panic")
    );

    let trace_id = outcome.line("/hello/ada")["trace_id"].as_str().unwrap();
    let trace = jaeger.query.trace(trace_id).await.unwrap().unwrap();
    let transactions = outcome.payloads("transaction");
    let transaction = transactions
        .iter()
        .find(|transaction| transaction["contexts"]["trace"]["trace_id"] == trace_id)
        .unwrap_or_else(|| panic!("no transaction of {trace_id} in {transactions:#?}"));
    assert_eq!(transaction["transaction"], "GET /hello/{name}");
    assert_eq!(transaction["contexts"]["trace"]["op"], "http.server");
    assert_eq!(transaction["contexts"]["trace"]["span_id"], trace.spans[0].id);
    let [query] = &transaction["spans"].as_array().unwrap()[..] else {
        panic!("{transaction:#}")
    };
    assert_eq!(
        (&query["span_id"], &query["parent_span_id"]),
        (
            &trace.spans[1].id.as_str().into(),
            &trace.spans[0].id.as_str().into()
        )
    );
    assert_eq!(query["op"], "db");
}
