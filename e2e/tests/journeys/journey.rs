//! One user's journey through every service, then its trace in Jaeger.

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use serde_json::json;
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::gateway::{DEMO_GATEWAY, DEMO_JAEGER, User};
use tracewell_e2e::jaeger::{Jaeger, Kind, Span, Trace};
use tracewell_e2e::platform::Handle;

/// One request of the journey, as the trace must tell it.
struct Step {
    method: &'static str,
    /// The gateway's route.
    prefix: &'static str,
    service: &'static str,
    /// The service's route.
    route: &'static str,
    status: u16,
    /// The request that the service itself makes meanwhile: service, span name.
    calls: Option<(&'static str, &'static str)>,
}

const JOURNEY: [Step; 8] = [
    step("POST", "/auth/{*path}", "auth", "/v1/signup", 202),
    step("POST", "/auth/{*path}", "auth", "/v1/signin", 200),
    step("GET", "/auth/{*path}", "auth", "/v1/me", 200),
    step("GET", "/billing/{*path}", "billing", "/v1/plans", 200),
    step("POST", "/billing/{*path}", "billing", "/v1/subscriptions", 201).calling("auth", "GET /v1/me"),
    step("POST", "/chat/{*path}", "chat", "/v1/conversations", 201)
        .calling("billing", "GET /v1/entitlements"),
    step(
        "POST",
        "/chat/{*path}",
        "chat",
        "/v1/conversations/{id}/messages",
        201,
    ),
    step(
        "GET",
        "/chat/{*path}",
        "chat",
        "/v1/conversations/{id}/messages",
        200,
    ),
];

const fn step(
    method: &'static str,
    prefix: &'static str,
    service: &'static str,
    route: &'static str,
    status: u16,
) -> Step {
    Step {
        method,
        prefix,
        service,
        route,
        status,
        calls: None,
    }
}

impl Step {
    const fn calling(mut self, service: &'static str, span: &'static str) -> Self {
        self.calls = Some((service, span));
        self
    }

    /// What the trace lacks of this step: gateway SERVER → gateway CLIENT → service SERVER → … → other SERVER.
    fn missing_in(&self, trace: &Trace, root: &str) -> Option<String> {
        let name = format!("{} {}", self.method, self.route);
        let is_answered = |span: &Span| {
            span.attribute("http.response.status_code") == self.status.to_string()
                && span.attribute("http.request.method") == self.method
                && !span.is_error
        };
        let found = trace.children(root).any(|outer| {
            let is_outer = outer.service == "gateway"
                && outer.kind == Kind::Server
                && outer.attribute("http.route") == self.prefix
                && outer.name == format!("{} {}", self.method, self.prefix)
                && is_answered(outer);
            is_outer
                && trace
                    .children(&outer.id)
                    .filter(|proxied| {
                        proxied.service == "gateway" && proxied.kind == Kind::Client && is_answered(proxied)
                    })
                    .flat_map(|proxied| trace.children(&proxied.id))
                    .any(|inner| {
                        inner.service == self.service
                            && inner.kind == Kind::Server
                            && inner.name == name
                            && inner.attribute("http.route") == self.route
                            && is_answered(inner)
                            && self.calls.is_none_or(|call| calls(trace, inner, call))
                    })
        });
        (!found).then(|| {
            format!(
                "{name} of {} with {}, behind {}",
                self.service, self.status, self.prefix
            )
        })
    }
}

/// Whether the service that recorded `server` called another within: a CLIENT span with the other's SERVER below it.
fn calls(trace: &Trace, server: &Span, (service, name): (&str, &str)) -> bool {
    trace.descendants(&server.id).into_iter().any(|called| {
        called.service == service
            && called.kind == Kind::Server
            && called.name == name
            && called.attribute("http.response.status_code") == "200"
            && trace
                .parent(called)
                .is_some_and(|call| call.service == server.service && call.kind == Kind::Client)
    })
}

/// Everything that a complete trace of the journey has and this one has not.
fn missing(trace: &Trace, root: &str) -> Vec<String> {
    let steps = JOURNEY.iter().filter_map(|step| step.missing_in(trace, root));
    let orphans = trace
        .orphans(root)
        .into_iter()
        .map(|span| format!("the parent of {span}"));
    steps.chain(orphans).collect()
}

/// Takes the journey as a new user, and gives its trace, complete.
pub(crate) async fn take(platform: &Handle, gateway: Endpoint, jaeger: &Jaeger) -> Result<Trace> {
    let mut user = User::unknown_to(gateway);

    user.sign_up().await?;
    let account = &user.sign_in().await?["user"];
    assert_eq!(account["email"], user.email());
    assert_eq!(user.get("/auth/v1/me").await?["id"], account["id"]);
    let plans = user.get("/billing/v1/plans").await?;
    let plan = plans["plans"][1]["id"].as_str().context("a second plan")?;
    let subscription = user
        .post(
            "/billing/v1/subscriptions",
            &json!({"plan_id": plan}),
            StatusCode::CREATED,
        )
        .await?;
    assert_eq!(
        subscription["billing_email"],
        user.email(),
        "billing asks auth for it"
    );
    let conversation = user
        .post(
            "/chat/v1/conversations",
            &json!({"title": "Hello"}),
            StatusCode::CREATED,
        )
        .await?;
    let id = conversation["id"].as_str().context("the conversation's id")?;
    let messages = format!("/chat/v1/conversations/{id}/messages");
    let message = json!({"body": "Is anybody there?", "client_msg_id": "m-1"});
    let sent = user.post(&messages, &message, StatusCode::CREATED).await?;
    let listed = user.get(&messages).await?;
    assert_eq!(listed["messages"][0]["id"], sent["id"]);

    let root = &user.trace.span_id;
    let trace = jaeger
        .until_complete(&user.trace.trace_id, |trace| missing(trace, root))
        .await?;
    println!("{trace}");

    assert_eq!(
        trace.children(root).count(),
        JOURNEY.len(),
        "one span of the gateway for each request\n{trace}"
    );
    for service in ["auth", "billing", "chat"] {
        let queries: Vec<_> = trace
            .spans
            .iter()
            .filter(|span| span.service == service && span.is_database())
            .collect();
        assert!(!queries.is_empty(), "{service} asks its database\n{trace}");
        for query in queries {
            let within = |above: &Span| above.service == service && above.kind == Kind::Server;
            assert!(
                query.kind == Kind::Client && trace.ancestors(query).any(within),
                "{query} belongs to a request\n{trace}"
            );
            assert_ne!(query.attribute("db.query.text"), "", "{query}");
        }
    }
    for span in &trace.spans {
        assert_eq!(
            span.resource.get("service.namespace").map(String::as_str),
            Some(platform.name.as_str()),
            "{span}"
        );
        let pod = span.resource.get("k8s.pod.name").map_or("", String::as_str);
        assert!(
            pod.starts_with(&platform.object_name(&span.service)),
            "{span} comes from the pod {pod:?}"
        );
    }
    Ok(trace)
}

#[tokio::test]
async fn the_trace_of_a_journey_holds_every_service_in_the_right_order() -> Result<()> {
    let demo = Handle::demo().await?;
    let jaeger = Jaeger::at(Endpoint::url(DEMO_JAEGER)?);
    take(&demo, Endpoint::url(DEMO_GATEWAY)?, &jaeger).await.map(drop)
}

#[tokio::test]
async fn what_a_request_says_of_itself_never_reaches_a_span() -> Result<()> {
    Handle::demo().await?;
    let mut user = User::unknown_to(Endpoint::url(DEMO_GATEWAY)?);
    user.sign_up().await?;
    user.sign_in().await?;
    let path = "/auth/v1/me?token=planted-in-the-query";
    let answer = user.send(Method::GET, path, None).await?;
    assert_eq!(
        answer.status,
        StatusCode::BAD_REQUEST,
        "a parameter that is not documented"
    );
    let jaeger = Jaeger::at(Endpoint::url(DEMO_JAEGER)?);
    let root = &user.trace.span_id;
    let all_there = |trace: &Trace| {
        if trace
            .descendants(root)
            .iter()
            .any(|span| span.name == "GET /v1/me")
        {
            return trace.orphans(root).iter().map(ToString::to_string).collect();
        }
        vec!["GET /v1/me".to_owned()]
    };
    let trace = jaeger.until_complete(&user.trace.trace_id, all_there).await?;
    let token = user.token()?;
    for span in &trace.spans {
        for (name, value) in &span.attributes {
            assert!(
                !value.contains(token) && !value.contains("planted"),
                "{span}: {name} = {value}"
            );
        }
    }
    Ok(())
}
