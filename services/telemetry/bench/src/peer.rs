//! The peers: what one gets from OpenTelemetry's and Sentry's own crates for tower, as their documents say.

use std::{
    env,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::{Context, Result};
use axum::{Router, extract::Request};
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_instrumentation_tower::http::server;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    metrics::SdkMeterProvider, propagation::TraceContextPropagator, trace::SdkTracerProvider,
};
use sentry::{Client, ClientOptions, Envelope, Hub, Transport, TransportFactory, TransportOptions};
use sentry_tower::{NewSentryLayer, SentryHttpLayer};
use sentry_tracing::{BreadcrumbLayer, SpanLayer};
use tower::ServiceBuilder;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::Level;
use tracing_subscriber::{
    Layer, filter::LevelFilter, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// Envelopes that may wait: as in the `sentry` crate's own transports.
const QUEUE: usize = 30;

/// Spans and metrics of requests, Sentry's hub, transactions and breadcrumbs, and a line of log per request.
/// Endpoint, sampler and queue come from the same variables that the instrumentation layer obeys.
pub(crate) fn instrument(router: Router) -> Result<Router> {
    let spans = SdkTracerProvider::builder()
        .with_batch_exporter(SpanExporter::builder().with_http().build()?)
        .build();
    let metrics = opentelemetry_prometheus::exporter()
        .with_registry(prometheus::Registry::new())
        .build()?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_meter_provider(SdkMeterProvider::builder().with_reader(metrics).build());
    Hub::main().bind_client(Some(Arc::new(Client::with_options(sentry_options()?))));
    registry()
        .with(
            tracing_opentelemetry::layer()
                .with_tracer(spans.tracer("bench"))
                .with_filter(LevelFilter::INFO),
        )
        .with(SpanLayer::new().with_filter(LevelFilter::INFO))
        .with(BreadcrumbLayer::new().with_filter(LevelFilter::INFO))
        .with(fmt::layer().json().with_filter(LevelFilter::INFO))
        .try_init()?;
    global::set_tracer_provider(spans);
    Ok(router.layer(
        ServiceBuilder::new()
            .layer(NewSentryLayer::<Request>::new_from_top())
            .layer(SentryHttpLayer::new().enable_transaction())
            .layer(server::Layer::new())
            // Its own span stays off at this level; what it adds is the access log.
            .layer(TraceLayer::new_for_http().on_response(DefaultOnResponse::new().level(Level::INFO))),
    ))
}

fn sentry_options() -> Result<ClientOptions> {
    let dsn = env::var("SENTRY_DSN").context("SENTRY_DSN")?;
    let share = env::var("SENTRY_TRACES_SAMPLE_RATE").context("SENTRY_TRACES_SAMPLE_RATE")?;
    Ok(ClientOptions::new()
        .dsn(&dsn)
        .traces_sample_rate(share.parse()?)
        .transport(PostFactory))
}

/// The transports of the `sentry` crate bring TLS libraries with them; this does the same without.
struct PostFactory;

impl TransportFactory for PostFactory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let (queue, envelopes) = sync_channel(QUEUE);
        thread::spawn(move || post_all(&envelopes, &options));
        Arc::new(Post { queue })
    }
}

struct Post {
    queue: SyncSender<Envelope>,
}

impl Transport for Post {
    fn send_envelope(&self, envelope: Envelope) {
        // What does not fit is dropped, as there.
        let _ = self.queue.try_send(envelope);
    }
}

fn post_all(envelopes: &Receiver<Envelope>, options: &TransportOptions) {
    let agent = ureq::agent();
    let url = options.dsn.envelope_api_url().to_string();
    let auth = options.dsn.to_auth(Some(&options.user_agent)).to_string();
    for envelope in envelopes {
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_ok() {
            // A share of lost envelopes shows in the counts of the sink.
            let _ = agent.post(&url).header("X-Sentry-Auth", &auth).send(&body);
        }
    }
}
