//! A service under load with the profiler always on: for how long does it stay up, and what does Sentry get?
//!
//! It is its own load and its own Sentry, which listens where `SENTRY_DSN` points. Every request is a transaction, and
//! every transaction is profiled, while threads allocate, unwind, sleep and compute: what a signal could interrupt.
//! ```sh
//! SENTRY_DSN=http://key@127.0.0.1:4320/1 SENTRY_TRACES_SAMPLE_RATE=1 SENTRY_PROFILES_SAMPLE_RATE=1 RUST_LOG=off \
//!   cargo run --release -p tracewell-telemetry --example soak -- 1800
//! ```
//! The first argument is its length in seconds, the second, if there is one, the most requests that it makes a second. It
//! prints its counts every minute, stops early at SIGTERM, and exits with 1 when a request fails or nothing moves any more.

#![expect(clippy::panic, reason = "unwinding is part of what is tried")]

use std::{
    error::Error,
    fs,
    hint::black_box,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use nix::time::ClockId;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracewell_telemetry::{ServiceInfo, Telemetry, TracedClient};

type Failure = Box<dyn Error + Send + Sync>;

/// Requests under way at a time.
const CLIENTS: u32 = 64;

/// Without a single request in this time, something is stuck.
const STALL: Duration = Duration::from_secs(20);

/// The paths of the service, each with the status that it answers.
const PATHS: [(&str, u16); 5] = [
    ("/compute", 200),
    ("/allocate", 200),
    ("/sleep", 200),
    ("/block", 200),
    ("/panic", 500),
];

/// What was seen.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
    transactions: AtomicU64,
    chunks: AtomicU64,
    samples: AtomicU64,
    /// Samples with a function of this program on their stack.
    named: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    fn report(&self, elapsed: Duration) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{:>5} s, {} s of CPU: {} requests, {} failed; {} transactions, {} chunks, {} samples, {} with names of ours; {} KiB resident, {} threads",
            elapsed.as_secs(),
            cpu_seconds(),
            count(&self.requests),
            count(&self.failures),
            count(&self.transactions),
            count(&self.chunks),
            count(&self.samples),
            count(&self.named),
            status("VmRSS:"),
            status("Threads:"),
        )
    }
}

/// A number from the kernel's account of this process.
fn status(name: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("?")
        .to_owned()
}

/// CPU time of this process so far. There should be 101 samples for each second of it, but for what the profiler, the
/// kernel and code without a name take.
fn cpu_seconds() -> i64 {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock.now().map_or(0, |time| time.tv_sec())
}

#[inline(never)]
fn mix(bits: u64) -> u64 {
    (0..64).fold(bits, |bits, step| black_box(bits.rotate_left(7) ^ step))
}

#[inline(never)]
fn compute(rounds: u64) -> u64 {
    (0..rounds).fold(1, |bits, _| mix(bits))
}

/// Keeps the allocator busy on all threads: a handler that allocated would soon wait for itself.
fn allocate() -> usize {
    let parts: Vec<Vec<u8>> = (1..500).map(|length| vec![1; black_box(length * 8)]).collect();
    parts.iter().map(Vec::len).sum()
}

async fn block() -> String {
    let work = tokio::task::spawn_blocking(|| {
        compute(500);
        status("Threads:")
    });
    work.await.unwrap_or_default()
}

async fn stuck() -> &'static str {
    compute(100);
    panic!("on purpose")
}

fn service() -> Router {
    Router::new()
        .route("/compute", get(|| async { compute(2_000).to_string() }))
        .route("/allocate", get(|| async { allocate().to_string() }))
        .route(
            "/sleep",
            get(|| async { tokio::time::sleep(Duration::from_millis(2)).await }),
        )
        .route("/block", get(block))
        .route("/panic", get(stuck))
}

/// Sentry's part: counts what arrives.
async fn take(State(counts): State<Arc<Counts>>, envelope: Bytes) -> StatusCode {
    let mut lines = envelope.split(|byte| *byte == b'\n').skip(1);
    while let (Some(header), Some(payload)) = (lines.next(), lines.next()) {
        let kind = serde_json::from_slice::<Value>(header).unwrap_or_default()["type"].take();
        match kind.as_str() {
            Some("transaction") => Counts::add(&counts.transactions, 1),
            Some("profile_chunk") => {
                let chunk: Value = serde_json::from_slice(payload).unwrap_or_default();
                take_chunk(&counts, &chunk["profile"]);
            }
            _ => {}
        }
    }
    StatusCode::OK
}

fn take_chunk(counts: &Counts, profile: &Value) {
    let list = |name: &str| profile[name].as_array().cloned().unwrap_or_default();
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap_or_default()).unwrap_or_default();
    let (samples, stacks, frames) = (list("samples"), list("stacks"), list("frames"));
    let is_ours = |frame: &Value| {
        frames[index(frame)]["module"]
            .as_str()
            .is_some_and(|module| module.starts_with("soak"))
    };
    let ours: Vec<bool> = stacks
        .iter()
        .map(|stack| stack.as_array().is_some_and(|stack| stack.iter().any(is_ours)))
        .collect();
    let is_busy = |sample: &&Value| {
        stacks[index(&sample["stack_id"])]
            .as_array()
            .is_some_and(|stack| !stack.is_empty())
    };
    Counts::add(&counts.chunks, 1);
    Counts::add(&counts.samples, samples.iter().filter(is_busy).count());
    Counts::add(
        &counts.named,
        samples
            .iter()
            .filter(|sample| ours[index(&sample["stack_id"])])
            .count(),
    );
}

/// One client: path after path, as fast as the answers come, but each at least `pause` after the last one.
async fn load(client: TracedClient, address: SocketAddr, counts: Arc<Counts>, pause: Duration) {
    let mut next = Instant::now();
    for (path, expected) in PATHS.iter().cycle() {
        tokio::time::sleep_until(next.into()).await;
        next = (next + pause).max(Instant::now());
        let answer = client.get(format!("http://{address}{path}")).send().await;
        let is_right = answer.is_ok_and(|answer| answer.status().as_u16() == *expected);
        Counts::add(&counts.requests, 1);
        Counts::add(&counts.failures, usize::from(!is_right));
    }
}

async fn serve(address: &str, router: Router) -> Result<SocketAddr, Failure> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn soak(length: Duration, rate: Option<u32>) -> Result<(), Failure> {
    let dsn = std::env::var("SENTRY_DSN").map_err(|_| "set SENTRY_DSN=http://key@127.0.0.1:4320/1")?;
    let sentry = dsn
        .split(['@', '/'])
        .nth(3)
        .ok_or("SENTRY_DSN names no address")?
        .to_owned();
    let counts = Arc::new(Counts::default());
    // The size of an envelope with a profile is beyond axum's default limit.
    let envelopes = post(take).layer(axum::extract::DefaultBodyLimit::disable());
    serve(
        &sentry,
        Router::new()
            .route("/api/{project}/envelope/", envelopes)
            .with_state(counts.clone()),
    )
    .await?;

    let started = Instant::now();
    let telemetry = Telemetry::init(ServiceInfo::new("soak", env!("CARGO_PKG_VERSION")))?;
    let address = serve("127.0.0.1:0", telemetry.wrap(service())).await?;
    let client = telemetry.client(reqwest::Client::new());
    let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * CLIENTS / rate);
    for _ in 0..CLIENTS {
        tokio::spawn(load(client.clone(), address, counts.clone(), pause));
    }
    watch(&counts, length).await?;
    telemetry.shutdown(Duration::from_secs(10)).await;
    println!("{}", counts.report(started.elapsed()));
    match counts.failures.load(Ordering::Relaxed) {
        0 => Ok(()),
        failures => Err(format!("{failures} requests failed").into()),
    }
}

/// Waits until the time is over, or somebody ends it; fails where nothing moves any more.
async fn watch(counts: &Counts, length: Duration) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;

    let started = Instant::now();
    let mut last = (0, started);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while started.elapsed() < length {
        tokio::select! {
            _ = tick.tick() => {}
            _ = terminated.recv() => break,
        }
        let requests = counts.requests.load(Ordering::Relaxed);
        if requests != last.0 {
            last = (requests, Instant::now());
        } else if last.1.elapsed() > STALL {
            return Err(format!("stuck: {}", counts.report(started.elapsed())).into());
        }
        if started.elapsed().as_secs().is_multiple_of(60) {
            println!("{}", counts.report(started.elapsed()));
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    let argument = |place| std::env::args().nth(place).and_then(|text| text.parse().ok());
    let (seconds, rate) = (argument(1).unwrap_or(60), argument(2));
    if let Err(error) = soak(Duration::from_secs(seconds.into()), rate).await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
