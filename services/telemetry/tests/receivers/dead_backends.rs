//! A minute without a collector, under load: no request fails, memory stays bounded, and every lost span is counted.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State};
use futures::future::join_all;
use http::StatusCode;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::{net::TcpListener, time};
use tracewell_e2e::wait::{Look, until};

use crate::fixture::{Greeter, JaegerProcess, LIMIT, Tools};

const OUTAGE: Duration = Duration::from_mins(1);
/// Before the outage, so that memory is compared with that of a service at work.
const WARM_UP: Duration = Duration::from_secs(5);
/// Requests come from so many side by side.
const CLIENTS: u64 = 16;
/// Between two requests of one client. The spans of an outage fill the queue (2048) some times over.
const PACE: Duration = Duration::from_millis(160);
/// `GET /hello/ada` is one for the request and one for its query.
const SPANS_PER_REQUEST: u64 = 2;
/// A full queue and what the allocator keeps of it, in bytes.
const MAX_GROWTH: u64 = 32 * 1024 * 1024;
const MAX_LATENCY: Duration = Duration::from_secs(5);

/// Side by side, so that the three outages take one minute.
#[tokio::test]
async fn a_collector_that_is_killed_stalls_or_refuses_costs_spans_which_are_counted_and_nothing_else() {
    let Some(tools) = Tools::find() else { return };
    tokio::join!(killed(&tools), stalled(&tools), refusing());
}

async fn killed(tools: &Tools) {
    let jaeger = JaegerProcess::start(tools).await;
    let mut load = Load::start(&jaeger.endpoint()).await;
    load.run(WARM_UP).await;
    load.settle("a Jaeger that works").await;
    assert_eq!(
        (load.exported().await, jaeger.stored().await),
        (load.spans, load.spans)
    );

    jaeger.process.signal(Signal::SIGKILL);
    let exported_by_then = load.run_through_outage().await;
    let jaeger = jaeger.start_again().await;
    load.until_exports_work(exported_by_then).await;
    load.settle("a killed Jaeger").await;
    let exported_since = load.exported().await - exported_by_then;
    assert_eq!(jaeger.stored().await, exported_since);
    load.end().await;
}

async fn stalled(tools: &Tools) {
    let jaeger = JaegerProcess::start(tools).await;
    let mut load = Load::start(&jaeger.endpoint()).await;
    load.run(WARM_UP).await;
    jaeger.process.signal(Signal::SIGSTOP);
    let exported_by_then = load.run_through_outage().await;
    jaeger.process.signal(Signal::SIGCONT);
    load.until_exports_work(exported_by_then).await;
    load.settle("a stopped Jaeger").await;
    // What Jaeger read only after the service had given up is stored although it counts as lost.
    assert!(jaeger.stored().await >= load.exported().await);
    load.end().await;
}

async fn refusing() {
    let collector = Collector::start().await;
    let mut load = Load::start(&collector.endpoint).await;
    load.run(WARM_UP).await;
    collector.seen.lock().unwrap().refuses = true;
    let exported_by_then = load.run_through_outage().await;
    collector.seen.lock().unwrap().refuses = false;
    load.until_exports_work(exported_by_then).await;
    load.settle("a refusing collector").await;

    let (exported, never_sent) = (load.exported().await, load.dropped("reason=\"queue_full\"").await);
    {
        let seen = collector.seen.lock().unwrap();
        assert_eq!(seen.taken.len() as u64, exported);
        let lost_on_the_way = seen.refused.difference(&seen.taken).count() as u64;
        assert_eq!(exported + lost_on_the_way + never_sent, load.spans);
    }
    load.end().await;
}

/// A greeter under a steady load.
struct Load {
    greeter: Greeter,
    /// Connections are made to it, and nobody answers on them.
    _sentry: std::net::TcpListener,
    /// How many it has recorded.
    spans: u64,
    /// Of the first load, when everything worked.
    resident_bytes: Option<u64>,
}

impl Load {
    /// With a Sentry that stalls, too.
    async fn start(endpoint: &str) -> Self {
        let sentry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dsn = format!("http://key@{}/1", sentry.local_addr().unwrap());
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("SENTRY_DSN", &dsn),
            ("SENTRY_TRACES_SAMPLE_RATE", "1"),
            // What naming functions takes of memory in a debug build has nothing to do with the outage.
            ("SENTRY_PROFILES_SAMPLE_RATE", "0"),
        ];
        Self {
            greeter: Greeter::start(&variables).await,
            _sentry: sentry,
            spans: 0,
            resident_bytes: None,
        }
    }

    async fn request(&self) {
        let started = Instant::now();
        let answer = self.greeter.get("/hello/ada").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::OK, "Hello, ada!")
        );
        let latency = started.elapsed();
        assert!(latency < MAX_LATENCY, "an answer took {latency:?}");
    }

    /// One client, for so long; tells how many requests it made.
    async fn client(&self, duration: Duration) -> u64 {
        let end = Instant::now() + duration;
        let mut pace = time::interval(PACE);
        pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut requests = 0;
        while Instant::now() < end {
            pace.tick().await;
            self.request().await;
            requests += 1;
        }
        requests
    }

    async fn run(&mut self, duration: Duration) {
        let clients = (0..CLIENTS).map(|_| self.client(duration));
        let requests: u64 = join_all(clients).await.into_iter().sum();
        self.spans += requests * SPANS_PER_REQUEST;
        assert_eq!(self.greeter.get("/readyz").await.status, StatusCode::OK);
        let now = self.greeter.resident_bytes();
        let before = *self.resident_bytes.get_or_insert(now);
        assert!(now < before + MAX_GROWTH, "from {before} to {now} bytes");
    }

    async fn until_exports_work(&mut self, exported_by_then: u64) {
        until("spans are exported again", LIMIT, async || {
            Ok(match self.exported().await {
                exported if exported > exported_by_then => Look::Done(()),
                exported => Look::NotYet(format!("{exported} exported")),
            })
        })
        .await
        .unwrap();
    }

    /// Runs for a minute in which spans must be lost, or nothing would be shown. Returns how many were exported by then.
    async fn run_through_outage(&mut self) -> u64 {
        self.run(OUTAGE).await;
        assert_ne!(self.dropped("").await, 0, "no span is lost");
        self.exported().await
    }

    /// Waits until each span is either exported or counted as lost.
    async fn settle(&self, backend: &str) {
        until(
            &format!("with {backend} every span is accounted for"),
            LIMIT,
            async || {
                let (exported, dropped) = (self.exported().await, self.dropped("").await);
                Ok(if exported + dropped == self.spans {
                    Look::Done(())
                } else {
                    Look::NotYet(format!(
                        "{exported} exported + {dropped} dropped of {}",
                        self.spans
                    ))
                })
            },
        )
        .await
        .unwrap();
    }

    async fn exported(&self) -> u64 {
        self.greeter.counter("telemetry_spans_exported_total", "").await
    }

    /// Lost spans, of any reason or of this one.
    async fn dropped(&self, reason: &str) -> u64 {
        self.greeter
            .counter("telemetry_spans_dropped_total", reason)
            .await
    }

    async fn end(self) {
        let ended = self.greeter.end().await;
        assert!(ended.status.success(), "{:?}", ended.status);
    }
}

/// A collector that can be told to answer 503, and knows every span that it has seen.
struct Collector {
    endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    refuses: bool,
    taken: HashSet<Vec<u8>>,
    refused: HashSet<Vec<u8>>,
}

impl Collector {
    async fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(seen.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { endpoint, seen }
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let of_scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|spans| spans.scope_spans);
    let ids = of_scopes.flat_map(|scope| scope.spans).map(|span| span.span_id);
    let mut seen = seen.lock().unwrap();
    if seen.refuses {
        seen.refused.extend(ids);
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        seen.taken.extend(ids);
        StatusCode::OK
    }
}
