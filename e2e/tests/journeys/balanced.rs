//! Several collectors decide about whole traces: those in front bring the spans of a trace together in one of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::jaeger::{Kind, Trace};
use tracewell_e2e::platform::{Handle, condition};
use tracewell_e2e::trace_context;
use tracewell_e2e::wait::{Look, until};

/// The one of the OpenTelemetry project: it has the exporter that Jaeger's image lacks.
const IMAGE: &str = "docker.io/otel/opentelemetry-collector-contrib:0.144.0";
/// Each belongs to one of two samplers: that all belong to the same one by chance happens once in 500,000 runs.
const FAILURES: usize = 20;
const LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn several_collectors_decide_about_whole_traces() -> Result<()> {
    let tail_sampling = json!({"errors": "Keep", "otherPercent": 0});
    let gateway = json!({"replicas": 2, "tailSampling": tail_sampling});
    let platform = Handle::create(
        "balanced",
        json!({
            "services": [{"name": "gateway"}, {"name": "billing"}],
            "telemetry": {"collector": {"mode": "Gateway", "image": IMAGE, "gateway": gateway}},
        }),
    )
    .await?;
    platform.until_ready().await?;
    let endpoint =
        |target: &str| Endpoint::proxied(platform.cluster.client.clone(), &platform.namespace, target);
    let pods = async |app| {
        platform
            .cluster
            .pods(&platform.namespace, &platform.name, app)
            .await
    };
    // The number of the first of a collector's counters whose name begins so.
    let counted = async |pod: &Pod, name: &str| {
        let metrics = endpoint(&format!("pods/{}:8888", pod.name_any()));
        let answer = metrics.get("/metrics").await?;
        let line = answer.body.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        anyhow::Ok(value.unwrap_or("none").to_owned())
    };
    let gateway = endpoint(&format!("services/{}:3000", platform.object_name("gateway")));
    let ask = async |path: &str, status: StatusCode| {
        let trace = trace_context::fresh();
        let request = Request::get(path)
            .header("traceparent", trace.header())
            .body(String::new())?;
        let answer = gateway.send(request).await?;
        ensure!(answer.status == status, "{answer:?}");
        anyhow::Ok(trace)
    };

    // Until each of those in front knows both samplers, they bring traces to different ones.
    let front = pods("collector").await?;
    until("the collectors in front know both samplers", LIMIT, async || {
        let mut known = Vec::new();
        for pod in &front {
            known.push(counted(pod, "otelcol_loadbalancer_num_backends").await?);
        }
        Ok(if known.len() == 2 && known.iter().all(|known| known == "2") {
            Look::Done(())
        } else {
            Look::NotYet(format!("{known:?}"))
        })
    })
    .await?;

    // Of these traces the gateway's call alone has failed: billing's spans have no reason of their own to be kept.
    let fine = ask("/billing/v1/plans", StatusCode::OK).await?;
    let mut failed = Vec::new();
    for _ in 0..FAILURES {
        failed.push(ask("/billing/v1/nothing", StatusCode::NOT_FOUND).await?);
    }
    let jaeger = platform.jaeger();
    for sent in &failed {
        let missing = |trace: &Trace| {
            let serves = |service: &str| {
                let mut spans = trace.spans.iter();
                spans.any(|span| span.service == service && span.kind == Kind::Server)
            };
            let absent = ["gateway", "billing"]
                .into_iter()
                .filter(|service| !serves(service));
            absent
                .map(|service| format!("the request to {service}"))
                .collect()
        };
        jaeger.until_complete(&sent.trace_id, missing).await?;
    }
    ensure!(
        jaeger.trace(&fine.trace_id).await?.is_none(),
        "a trace without failure is left out"
    );

    let samplers = pods("collector-sampler").await?;
    ensure!(samplers.len() == 2, "{samplers:?}");
    for sampler in &samplers {
        let taken = counted(sampler, "otelcol_receiver_accepted_spans").await?;
        ensure!(
            taken.parse::<u64>()? > 0,
            "{} got nothing: {taken}",
            sampler.name_any()
        );
    }
    platform
        .until("the operator's own span passes", LIMIT, |platform| {
            condition(platform, "TelemetryFlowing").is_some_and(|flow| flow.status == "True")
        })
        .await?;
    platform.remove().await
}
