//! CPU time of one server span: the same requests answered in process, with spans and without.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::{Router, body::Body, extract::Request, routing::get};
use bench_kit::{process::own_program, statistics::Spread};
use nix::time::ClockId;
use serde::{Deserialize, Serialize};
use tower::ServiceExt;
use tracewell_telemetry::{ServiceInfo, Telemetry};

use crate::{process::Bench, variant::Variant};

const REQUESTS: u32 = 20_000;
const WARM_UP: u32 = 2_000;
const ROUNDS: usize = 7;

/// CPU time of one request in nanoseconds.
#[derive(Deserialize, Serialize)]
struct Spent {
    /// Of the thread that answers.
    thread: f64,
    /// Of the whole process, the export of its spans included.
    process: f64,
}

/// What one server span adds, in microseconds of CPU time.
pub(crate) struct SpanCosts {
    /// On the thread that answers the request.
    pub(crate) request: Spread,
    /// With the encoding and sending on the exporter's thread.
    pub(crate) exported: Spread,
}

/// Answers requests, and prints a [`Spent`].
pub(crate) fn spend() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let spent = runtime.block_on(async {
        let telemetry = Telemetry::init(ServiceInfo::new("bench", env!("CARGO_PKG_VERSION")))?;
        let app = telemetry.wrap(Router::new().route("/v1/plans/{id}", get(|| async { "plan" })));
        answer(&app, WARM_UP).await?;
        let (thread, process) = (thread_cpu()?, process_cpu()?);
        answer(&app, REQUESTS).await?;
        let thread = thread_cpu()?.saturating_sub(thread);
        telemetry.shutdown(Duration::from_secs(5)).await;
        let process = process_cpu()?.saturating_sub(process);
        let each = |spent: Duration| spent.as_secs_f64() * 1e9 / f64::from(REQUESTS);
        anyhow::Ok(Spent {
            thread: each(thread),
            process: each(process),
        })
    })?;
    println!("{}", serde_json::to_string(&spent)?);
    Ok(())
}

async fn answer(app: &Router, requests: u32) -> Result<()> {
    for _ in 0..requests {
        let request = Request::get("/v1/plans/plan-1")
            .header("host", "bench:3000")
            .header("user-agent", "telemetry-bench")
            .body(Body::empty())?;
        let answer = app.clone().oneshot(request).await?;
        axum::body::to_bytes(answer.into_body(), usize::MAX).await?;
    }
    Ok(())
}

fn thread_cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

fn process_cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// Runs [`spend`] with and without spans in turn, each time in a new process, and takes the differences.
pub(crate) async fn costs(bench: &Bench) -> Result<SpanCosts> {
    eprintln!("measuring one server span in process");
    let (mut request, mut exported) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = run([("OTEL_SDK_DISABLED", "true".to_owned())]).await?;
        let before = bench.sink.counts(Variant::Tracing as usize).spans;
        let with = run(environment(bench)).await?;
        let arrived = bench.sink.counts(Variant::Tracing as usize).spans - before;
        ensure!(
            arrived == u64::from(WARM_UP + REQUESTS),
            "{arrived} spans arrived: what is lost costs less than what is sent"
        );
        request.push((with.thread - without.thread) / 1e3);
        exported.push((with.process - without.process) / 1e3);
    }
    Ok(SpanCosts {
        request: Spread::of(request).context("no round")?,
        exported: Spread::of(exported).context("no round")?,
    })
}

/// With a queue that holds all spans: answering in a loop is faster than any exporter.
fn environment(bench: &Bench) -> Vec<(&'static str, String)> {
    let mut environment = Variant::Tracing.tracing(bench.backends.sink);
    environment.push(("OTEL_BSP_MAX_QUEUE_SIZE", (WARM_UP + REQUESTS).to_string()));
    environment
}

/// Without a log, whose lines are longer where there is a span.
async fn run(environment: impl IntoIterator<Item = (&'static str, String)>) -> Result<Spent> {
    let output = own_program(&["span"])?
        .envs(environment)
        .env("RUST_LOG", "off")
        .stderr(Stdio::inherit())
        .output()
        .await?;
    ensure!(output.status.success(), "it ended: {}", output.status);
    serde_json::from_slice(&output.stdout).context("its output is not a figure")
}
