//! Measures the figures of `docs/benchmarks.md` on a live cluster and prints them as a table.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use platform_core::labels;
use serde_json::json;
use tracewell_e2e::cluster::Cluster;
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::figures::{self, Figure};
use tracewell_e2e::gateway::{DEMO_GATEWAY, DEMO_JAEGER};
use tracewell_e2e::jaeger::{Jaeger, Kind, Trace};
use tracewell_e2e::platform::Handle;
use tracewell_e2e::trace_context::{self, TraceContext};
use tracewell_e2e::writes;

const IDLE: Duration = Duration::from_mins(1);
const REQUESTS: usize = 1000;
/// Requests under way at once.
const CONCURRENCY: usize = 16;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(figures) => {
            figures::print(&figures);
            if figures.iter().all(Figure::holds) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<Vec<Figure>> {
    let demo = Handle::demo().await?;
    eprintln!("sending {REQUESTS} requests and looking each up in Jaeger");
    let mut figures = vec![complete_traces().await?];
    eprintln!("watching the operator at rest for {IDLE:?}");
    figures.extend(at_rest(&demo).await?);
    figures.extend(platform_memory(&demo).await?);
    eprintln!("applying a Platform in a new namespace");
    figures.push(time_to_ready().await?);
    Ok(figures)
}

/// From the apply of `spec: {}` to Ready=True, images on the node.
async fn time_to_ready() -> Result<Figure> {
    let platform = Handle::fresh_namespace("bench").await?;
    let started = Instant::now();
    platform.apply(json!({})).await?;
    platform.until_ready().await?;
    let seconds = started.elapsed().as_secs_f64();
    platform.remove().await?;
    Ok(Figure::at_most(
        "apply of `spec: {}` until Ready=True",
        seconds,
        45.0,
        "<= 45 s",
        format!("{seconds:.1} s"),
    ))
}

/// What the operator needs, and writes, while nobody asks for anything.
async fn at_rest(demo: &Handle) -> Result<Vec<Figure>> {
    let before = operator_cpu(&demo.cluster).await?;
    let written = writes::during(demo, IDLE).await?;
    let after = operator_cpu(&demo.cluster).await?;
    let seconds = (after.at_ms - before.at_ms) / 1000.0;
    ensure!(seconds > 0.0, "the kubelet measured nothing within {IDLE:?}");
    let percent = 100.0 * (after.cpu_seconds - before.cpu_seconds) / seconds;
    let mebibytes = operator_memory(&demo.cluster).await? / MEBIBYTE;
    for write in &written {
        eprintln!("written at rest: {write}");
    }
    let count = u32::try_from(written.len())?;
    let (memory, cpu) = (format!("{mebibytes:.1} MiB"), format!("{percent:.2} %"));
    Ok(vec![
        Figure::at_most("operator's resident memory", mebibytes, 24.0, "<= 24 MiB", memory),
        Figure::at_most(
            "operator's CPU at rest, of one core",
            percent,
            0.2,
            "<= 0.2 %",
            cpu,
        ),
        Figure::at_most("objects written in 60 s at rest", count.into(), 0.0, "0", count),
    ])
}

/// CPU time since the start of a container, as the kubelet measured it some seconds ago.
struct CpuSample {
    cpu_seconds: f64,
    at_ms: f64,
}

/// The process's own counter has whole seconds, too coarse for a process that needs a hundredth of one in a minute;
/// the kubelet's has nanoseconds and says when it was read.
async fn operator_cpu(cluster: &Cluster) -> Result<CpuSample> {
    let pods = cluster.operator_pods().await?;
    let pod = pods.first().context("the operator has no pod")?;
    let measured = measured_by_kubelet(cluster, pod).await?;
    let line = measured
        .iter()
        .find(|line| line.starts_with("container_cpu_usage_seconds_total{"))
        .context("the kubelet has not measured the operator yet")?;
    let mut numbers = line.rsplit(' ').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(at_ms)), Some(Ok(cpu_seconds))) => Ok(CpuSample { cpu_seconds, at_ms }),
        _ => bail!("the kubelet's metrics have a line that cannot be read: {line}"),
    }
}

/// What the kubelet says of a pod: lines of its resource metrics.
async fn measured_by_kubelet(cluster: &Cluster, pod: &Pod) -> Result<Vec<String>> {
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .context("the pod has no node")?;
    let request = Request::get(format!("/api/v1/nodes/{node}/proxy/metrics/resource")).body(Vec::new())?;
    let text = cluster.client.request_text(request).await?;
    let of_pod = format!("pod=\"{}\"", pod.name_any());
    let lines = text.lines().filter(|line| line.contains(&of_pod));
    Ok(lines.map(str::to_owned).collect())
}

/// Memory that cannot be reclaimed of everything that the Platform runs, container by container.
async fn platform_memory(demo: &Handle) -> Result<Vec<Figure>> {
    let of_platform = ListParams::default().labels(&labels::name_selector(&demo.name));
    let pods = demo.cluster.namespaced::<Pod>(&demo.namespace);
    let mut parts = Vec::new();
    for pod in pods.list(&of_platform).await? {
        for line in measured_by_kubelet(&demo.cluster, &pod).await? {
            let Some(labels) = line.strip_prefix("container_memory_working_set_bytes{container=\"") else {
                continue;
            };
            let (container, rest) = labels.split_once('"').context("a label ends")?;
            let (_, value) = rest.split_once("} ").context("labels end")?;
            let bytes: f64 = value.split(' ').next().context("a value")?.parse()?;
            let app = pod.labels().get(labels::NAME).cloned().unwrap_or_default();
            parts.push((format!("memory of {app}: {container}"), bytes / MEBIBYTE));
        }
    }
    parts.sort_by(|one, other| one.0.cmp(&other.0));
    let sum: f64 = parts.iter().map(|(_, mebibytes)| mebibytes).sum();
    ensure!(parts.len() > 1, "the kubelet has not measured the Platform yet");
    let whole = Figure::at_most(
        "memory of the whole default Platform",
        sum,
        600.0,
        "<= 600 MiB",
        format!("{sum:.1} MiB"),
    );
    let parts = parts
        .into_iter()
        .map(|(what, mebibytes)| Figure::plain(what, format!("{mebibytes:.1} MiB")));
    Ok(std::iter::once(whole).chain(parts).collect())
}

/// Resident memory in bytes, as the operator's own metrics say.
async fn operator_memory(cluster: &Cluster) -> Result<f64> {
    let text = cluster.operator_http().await?.get("/metrics").await?.body;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    Ok(value
        .context("the operator's metrics do not have its memory")?
        .trim()
        .parse()?)
}

/// Requests through the gateway whose whole trace Jaeger has: gateway SERVER → CLIENT → billing SERVER → query.
async fn complete_traces() -> Result<Figure> {
    let gateway = Endpoint::url(DEMO_GATEWAY)?;
    let started = Instant::now();
    let sent: Vec<TraceContext> = stream::iter(0..REQUESTS)
        .map(|_| async {
            let trace = trace_context::fresh();
            let request = Request::get("/billing/v1/plans")
                .header("traceparent", trace.header())
                .body(String::new())?;
            let answer = gateway.send(request).await?;
            ensure!(
                answer.status == StatusCode::OK,
                "{}: {}",
                answer.status,
                answer.body
            );
            Ok(trace)
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let rate = f64::from(u32::try_from(REQUESTS)?) / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} requests per second");

    let jaeger = Jaeger::at(Endpoint::url(DEMO_JAEGER)?);
    let complete = stream::iter(&sent)
        .map(|context| {
            let jaeger = &jaeger;
            async move {
                let missing = |trace: &Trace| missing(trace, &context.span_id);
                let found = jaeger.until_complete(&context.trace_id, missing).await;
                found.inspect_err(|error| eprintln!("{error:#}")).is_ok()
            }
        })
        .buffer_unordered(CONCURRENCY)
        .filter(|complete| std::future::ready(*complete))
        .count()
        .await;
    Ok(Figure::new(
        "complete traces of 1,000 requests",
        complete,
        "1000",
        complete == REQUESTS,
    ))
}

fn missing(trace: &Trace, root: &str) -> Vec<String> {
    let has_query = trace.descendants(root).into_iter().any(|span| {
        let sides: Vec<_> = trace
            .ancestors(span)
            .map(|above| (above.service.as_str(), above.kind))
            .collect();
        let path = [
            ("billing", Kind::Server),
            ("gateway", Kind::Client),
            ("gateway", Kind::Server),
        ];
        span.is_database() && sides == path
    });
    let query = (!has_query).then(|| "a query below billing, below the gateway".to_owned());
    query
        .into_iter()
        .chain(trace.orphans(root).iter().map(ToString::to_string))
        .collect()
}
