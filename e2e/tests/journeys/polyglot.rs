//! Services in other languages, instrumented by the standard SDKs alone, stand in one trace with ours.

use anyhow::{Context, Result};
use http::{Request, StatusCode};
use serde_json::Value;
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::jaeger::{Kind, Trace};
use tracewell_e2e::platform::Handle;
use tracewell_e2e::trace_context;

/// The manifest that the documentation shows.
const EXAMPLE: &str = include_str!("../../../examples/polyglot.yaml");
/// A request goes from each to the next.
const WAY: [&str; 4] = ["gateway", "catalog", "stock", "billing"];

/// What the trace lacks: a SERVER span of each service, below a CLIENT span of the one before.
fn missing(trace: &Trace, root: &str) -> Vec<String> {
    let calls = WAY.windows(2).filter_map(|pair| {
        let &[caller, called] = pair else { return None };
        let found = trace.spans.iter().any(|span| {
            span.service == called
                && span.kind == Kind::Server
                && trace
                    .parent(span)
                    .is_some_and(|parent| parent.service == caller && parent.kind == Kind::Client)
        });
        (!found).then(|| format!("{called} called by {caller}"))
    });
    calls
        .chain(
            trace
                .orphans(root)
                .into_iter()
                .map(|span| format!("the parent of {span}")),
        )
        .collect()
}

#[tokio::test]
async fn spans_of_javascript_and_python_stand_between_ours() -> Result<()> {
    let manifest: Value = serde_saphyr::from_str(EXAMPLE)?;
    let platform = Handle::create("polyglot", manifest["spec"].clone()).await?;
    platform.until_ready().await?;
    let target = format!("services/{}:3000", platform.object_name("gateway"));
    let gateway = Endpoint::proxied(platform.cluster.client.clone(), &platform.namespace, &target);

    let context = trace_context::fresh();
    let request = Request::get("/catalog/things/1").header("traceparent", context.header());
    let answer = gateway.send(request.body(String::new())?).await?;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let thing: Value = answer.json()?;
    assert_eq!(thing["name"], "teapot");
    let plans = thing["plans"].as_array().context("billing's plans")?;
    assert!(!plans.is_empty(), "{thing}");

    let trace = platform
        .jaeger()
        .until_complete(&context.trace_id, |trace| missing(trace, &context.span_id))
        .await?;
    println!("{trace}");
    let language = |service: &str| {
        let span = trace.spans.iter().find(|span| span.service == service)?;
        span.resource.get("telemetry.sdk.language").map(String::as_str)
    };
    assert_eq!(language("catalog"), Some("nodejs"));
    assert_eq!(language("stock"), Some("python"));
    for span in &trace.spans {
        assert_eq!(
            span.resource.get("service.namespace").map(String::as_str),
            Some("polyglot"),
            "{span}"
        );
    }
    platform.remove().await
}
