//! W3C Baggage on its way through the gateway and a service to the next one, each a process: what arrives there is what
//! was sent.

use axum::{Json, Router};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracewell_e2e::trace_context;

use crate::fixture::{Answer, Greeter, Service};

/// W3C Baggage, section 3.3.2: so much is passed on whole.
const MAX_BYTES: usize = 8192;
const MAX_MEMBERS: usize = 64;

/// An elder that greets everybody with the context that came with the request.
async fn mirror() -> String {
    async fn context(headers: HeaderMap) -> Json<Value> {
        let of = |name| {
            let values = headers.get_all(name).iter();
            let texts: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
            texts.join(" | ")
        };
        Json(json!({"baggage": of("baggage"), "traceparent": of("traceparent")}))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().fallback(context)).into_future());
    url
}

/// The gateway, before a greeter, before a mirror.
struct Chain {
    gateway: Service,
    _greeter: Greeter,
}

impl Chain {
    async fn start(of_gateway: &[(&str, &str)], of_greeter: &[(&str, &str)]) -> Self {
        let elder = mirror().await;
        let greeter = Greeter::start(&[&[("ELDER_URL", elder.as_str())], of_greeter].concat()).await;
        Self {
            gateway: Service::gateway(&greeter, of_gateway).await,
            _greeter: greeter,
        }
    }

    /// What of `headers` arrives at the end: baggage, and the trace's id.
    async fn arrives(&self, headers: &[(&'static str, &str)]) -> (String, String) {
        let request = self.gateway.request(Method::GET, "/greeter/hello/eve");
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = Answer::to(request).await;
        let context: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        let text = |name: &str| context[name].as_str().unwrap().to_owned();
        let trace = text("traceparent")
            .split('-')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        (text("baggage"), trace)
    }
}

/// `count` members that are `bytes` long together, commas included.
fn members(count: usize, bytes: usize) -> String {
    let keys: Vec<_> = (0..count).map(|member| format!("k{member:03}=")).collect();
    let short = keys.join(",");
    format!("{short}{}", "v".repeat(bytes - short.len()))
}

#[tokio::test]
async fn it_arrives_as_it_was_sent_and_within_the_limits_whole() {
    let chain = Chain::start(&[], &[]).await;
    let context = trace_context::fresh();
    let traceparent = ("traceparent", context.header());
    let trace = (traceparent.0, traceparent.1.as_str());
    // Encoded, encoded twice, with `=` in a value and with properties, in this order.
    let odd = "zone=%C3%A9t%C3%A9%2C%2041%2541,token=YWJj==,user=7;level=%3Bgold%2Cadmin=1;vip,a=%5C%22";
    for sent in [odd, &members(MAX_MEMBERS, MAX_BYTES)] {
        let (baggage, trace_id) = chain.arrives(&[trace, ("baggage", sent)]).await;
        assert_eq!((baggage.as_str(), &trace_id), (sent, &context.trace_id));
    }
    // A list may come in several headers.
    let parted = [trace, ("baggage", "a=1"), ("baggage", "b=2,c=3")];
    assert_eq!(chain.arrives(&parted).await.0, "a=1,b=2,c=3");

    let too_long = members(MAX_MEMBERS, MAX_BYTES + 1);
    let (kept, _) = too_long.rsplit_once(',').unwrap();
    assert_eq!(chain.arrives(&[("baggage", &too_long)]).await.0, kept);
    let too_many = members(MAX_MEMBERS + 1, 1000);
    let (kept, _) = too_many.rsplit_once(',').unwrap();
    assert_eq!(chain.arrives(&[("baggage", &too_many)]).await.0, kept);
    assert_eq!(chain.arrives(&[("baggage", "no member")]).await.0, "");
}

/// Also by the gateway, which passes on most headers of its callers as they are.
#[tokio::test]
async fn propagators_that_are_not_listed_pass_nothing_on() {
    let context = trace_context::fresh();
    let (traceparent, trace_id) = (context.header(), context.trace_id.as_str());
    let sent = [("traceparent", traceparent.as_str()), ("baggage", "a=1")];
    let without_baggage = [("OTEL_PROPAGATORS", "tracecontext")];
    for (of_gateway, of_greeter) in [(&without_baggage[..], &[][..]), (&[], &without_baggage)] {
        let chain = Chain::start(of_gateway, of_greeter).await;
        let (baggage, trace) = chain.arrives(&sent).await;
        assert_eq!((baggage.as_str(), trace.as_str()), ("", trace_id));
    }
    let chain = Chain::start(&[("OTEL_PROPAGATORS", "baggage")], &[]).await;
    let (baggage, trace) = chain.arrives(&sent).await;
    assert_eq!(baggage, "a=1");
    assert_ne!(trace, trace_id, "the greeter begins a trace of its own");
}
