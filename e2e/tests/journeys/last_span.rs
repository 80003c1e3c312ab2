//! The last span of a pod that is being deleted arrives too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::jaeger::{Kind, Span, Trace};
use tracewell_e2e::platform::{Handle, billing_alone};
use tracewell_e2e::trace_context;

/// Between two requests: the pod goes on for some seconds, and each answer is looked up in Jaeger afterwards.
const PACE: Duration = Duration::from_millis(50);
/// Answers before the pod is deleted.
const WARM_UP: usize = 10;

#[tokio::test]
async fn every_request_that_a_dying_pod_answered_is_in_jaeger() -> Result<()> {
    let platform = Handle::create("last-span", billing_alone()).await?;
    platform.until_ready().await?;
    let pods = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "billing")
        .await?;
    let pod = pods.first().context("a pod of billing")?.name_any();
    let target = Endpoint::proxied(
        platform.cluster.client.clone(),
        &platform.namespace,
        &format!("pods/{pod}:3003"),
    );

    let mut answered = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        if answered.len() == WARM_UP {
            platform
                .cluster
                .namespaced::<Pod>(&platform.namespace)
                .delete(&pod, &DeleteParams::default())
                .await?;
        }
        let trace = trace_context::fresh();
        let request = Request::get("/v1/plans")
            .header("traceparent", trace.header())
            .body(String::new())?;
        // The pod's end is a refused connection, which the API server turns into a 5xx.
        match target.send(request).await {
            Ok(answer) if answer.status == StatusCode::OK => answered.push(trace),
            _ => break,
        }
    }
    ensure!(
        answered.len() > WARM_UP,
        "a pod serves on while load balancers still choose it"
    );

    println!(
        "{} requests answered, {} of them after the pod was deleted",
        answered.len(),
        answered.len() - WARM_UP
    );
    let jaeger = platform.jaeger();
    for sent in &answered {
        let missing = |trace: &Trace| {
            let server = trace
                .children(&sent.span_id)
                .find(|span| span.kind == Kind::Server);
            match server {
                None => vec!["the request itself".to_owned()],
                Some(server) if !trace.children(&server.id).any(Span::is_database) => {
                    vec!["its query".to_owned()]
                }
                Some(_) => trace
                    .orphans(&sent.span_id)
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            }
        };
        jaeger.until_complete(&sent.trace_id, missing).await?;
    }
    platform.remove().await
}
