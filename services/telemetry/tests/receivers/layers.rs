//! The order of the layers, by what each receiver gets: with any two of them swapped something here is missing or wrong.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tracewell_e2e::{jaeger::Trace, trace_context};

use crate::fixture::{Answer, Ended, Greeter, Item, JaegerProcess, Service, Spotlight, Tools};

/// The receivers, and the variables by which services send to them.
struct Receivers {
    jaeger: JaegerProcess,
    spotlight: Spotlight,
    variables: [(&'static str, String); 5],
}

impl Receivers {
    async fn start(tools: &Tools) -> Self {
        let (jaeger, spotlight) = (JaegerProcess::start(tools).await, Spotlight::start(tools).await);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.endpoint()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("SENTRY_DSN", spotlight.dsn()),
            ("SENTRY_TRACES_SAMPLE_RATE", "0".to_owned()),
            ("DEBUG_ENDPOINTS", "1".to_owned()),
        ];
        Self {
            jaeger,
            spotlight,
            variables,
        }
    }

    /// These variables, and those by which services send here.
    fn variables<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let to_here = self.variables.iter().map(|(name, value)| (*name, value.as_str()));
        to_here.chain(own.iter().copied()).collect()
    }

    async fn trace(&self, id: &str) -> Trace {
        self.jaeger.query.trace(id).await.unwrap().unwrap()
    }

    /// The events, once there are as many; more are a failure.
    async fn events(&self, count: usize) -> Vec<Value> {
        let items = self.spotlight.everything().await;
        let events = items.into_iter().filter(|item| item.kind == "event");
        let events: Vec<_> = events.map(|Item { payload, .. }| payload).collect();
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }
}

fn line<'a>(ended: &'a Ended, trace: &str) -> &'a Value {
    let line = ended
        .log
        .iter()
        .find(|line| line["trace_id"] == trace && line["req"].is_object());
    line.unwrap_or_else(|| panic!("no request of {trace} in {:#?}", ended.log))
}

/// The gateway's own layers name the request; the service's scope is around what reports, and the catching of panics inside it.
#[tokio::test]
async fn a_panic_is_a_500_that_client_span_log_and_sentry_know_by_the_same_ids() {
    let Some(tools) = Tools::find() else { return };
    let receivers = Receivers::start(&tools).await;
    let greeter = Greeter::start(&receivers.variables(&[])).await;
    // To the gateway, what fails on purpose is an API as any other.
    let routes = format!("/broken={}/debug", greeter.url());
    let gateway = receivers.variables(&[("GATEWAY_ROUTES", &routes)]);
    let gateway = Service::start("tracewell-gateway", &gateway).await;

    let context = trace_context::fresh();
    let request = gateway
        .request(Method::GET, "/broken/panic")
        .header("traceparent", context.header())
        .header("x-request-id", "order-42")
        .header("user-agent", "judge/1");
    let answer = Answer::to(request).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.headers["x-request-id"], "order-42");
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&problem["code"], &problem["trace_id"]),
        (&json!("internal"), &json!(context.trace_id))
    );
    receivers.spotlight.until_events(1).await;
    let (gateway, greeter) = (gateway.end().await, greeter.end().await);

    let trace = receivers.trace(&context.trace_id).await;
    assert_eq!(
        trace.to_string(),
        "\
gateway SERVER GET /broken/{*path} 500 ERROR
  gateway CLIENT GET 500 ERROR
    greeter SERVER GET /debug/panic 500 ERROR
"
    );
    let span = trace.spans.last().unwrap();
    let id = answer.headers["x-sentry-event-id"].to_str().unwrap();
    assert_eq!(
        (span.attribute("error.type"), span.attribute("sentry.event_id")),
        ("panic", id)
    );
    let events = receivers.events(1).await;
    let event = &events[0];
    assert_eq!(
        (&event["event_id"], &event["level"]),
        (&json!(id), &json!("fatal"))
    );
    let of_event = &event["contexts"]["trace"];
    assert_eq!(
        (&of_event["trace_id"], &of_event["span_id"]),
        (&json!(context.trace_id), &json!(span.id))
    );
    // Without its own scope it would not know of which request it is.
    let url = event["request"]["url"].as_str().unwrap_or_default();
    assert!(url.ends_with("/debug/panic"), "{event:#}");
    assert_eq!(event["request"]["headers"]["user-agent"], "judge/1");

    let (outside, inside) = (
        line(&gateway, &context.trace_id),
        line(&greeter, &context.trace_id),
    );
    assert_eq!(
        (&inside["level"], &inside["err"]["type"], &inside["span_id"]),
        (&json!(60), &json!("panic"), &json!(span.id))
    );
    for line in [outside, inside] {
        assert_eq!(
            (
                &line["req"]["id"],
                &line["res"]["statusCode"],
                &line["sentry_event_id"]
            ),
            (&json!("order-42"), &json!(500), &json!(id))
        );
    }
}

/// What a page sends to a service, and what becomes of it. Each would be refused by all layers from the one that refuses it on.
struct Refused {
    origin: &'static str,
    method: Method,
    path: &'static str,
    body: String,
    status: u16,
    code: &'static str,
    span: &'static str,
}

const OWN: &str = "https://app.example";
const FOREIGN: &str = "https://evil.example";

fn refusals() -> [Refused; 5] {
    let (json, none) = (|| r#"{"email": 1}"#.to_owned(), String::new);
    let signin = "auth SERVER POST /v1/signin";
    [
        // Pages that may can read why,
        Refused {
            origin: OWN,
            method: Method::GET,
            path: "/v1/sessions/x%00",
            body: none(),
            status: 400,
            code: "null_character",
            span: "auth SERVER GET /v1/sessions/{id}",
        },
        // and it is before anybody looks where a request comes from,
        Refused {
            origin: FOREIGN,
            method: Method::DELETE,
            path: "/v1/sessions/x%00",
            body: none(),
            status: 400,
            code: "null_character",
            span: "auth SERVER DELETE /v1/sessions/{id}",
        },
        // which is before its body is read,
        Refused {
            origin: FOREIGN,
            method: Method::POST,
            path: "/v1/signin",
            body: json(),
            status: 403,
            code: "cross_origin",
            span: signin,
        },
        // whose length is limited by a layer around the routes,
        Refused {
            origin: OWN,
            method: Method::POST,
            path: "/v1/signin",
            body: " ".repeat(100_000) + &json(),
            status: 413,
            code: "body_too_large",
            span: signin,
        },
        // and which the route itself takes apart.
        Refused {
            origin: OWN,
            method: Method::POST,
            path: "/v1/signin",
            body: json(),
            status: 422,
            code: "invalid_body",
            span: signin,
        },
    ]
}

#[tokio::test]
async fn what_each_layer_of_a_service_refuses_has_the_headers_span_line_and_event_of_those_around() {
    let Some(tools) = Tools::find() else { return };
    let receivers = Receivers::start(&tools).await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("auth.db").display());
    let auth = receivers.variables(&[("DATABASE_URL", &database), ("CORS_ORIGINS", OWN)]);
    let auth = Service::start("tracewell-auth", &auth).await;
    let mut traces = Vec::new();
    for refused in refusals() {
        let context = trace_context::fresh();
        let request = auth
            .request(refused.method.clone(), refused.path)
            .header("traceparent", context.header())
            .header("origin", refused.origin)
            .header("content-type", "application/json")
            .body(refused.body.clone());
        let answer = Answer::to(request).await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (answer.status.as_u16(), &problem["code"], &problem["trace_id"]),
            (refused.status, &json!(refused.code), &json!(context.trace_id)),
            "{problem:#}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{problem:#}");
        let allowed = answer.headers.get("access-control-allow-origin");
        let allowed = allowed.map(|origin| origin.to_str().unwrap());
        assert_eq!(allowed, (refused.origin == OWN).then_some(OWN), "{problem:#}");
        traces.push((refused, context.trace_id));
    }
    receivers.spotlight.until_events(traces.len()).await;
    let auth = auth.end().await;
    let events = receivers.events(traces.len()).await;
    for ((refused, trace_id), event) in traces.iter().zip(events) {
        let trace = receivers.trace(trace_id).await;
        let tree = format!("{} {}\n", refused.span, refused.status);
        assert_eq!(trace.to_string(), tree, "nothing of it reaches the database");
        let line = line(&auth, trace_id);
        assert_eq!(
            (&line["level"], &line["res"]["statusCode"], &line["span_id"]),
            (&json!(40), &json!(refused.status), &json!(trace.spans[0].id))
        );
        assert_eq!(line["sentry_event_id"], event["event_id"]);
        assert_eq!(
            (&event["level"], &event["contexts"]["trace"]["trace_id"]),
            (&json!("warning"), &json!(trace_id))
        );
    }
}
