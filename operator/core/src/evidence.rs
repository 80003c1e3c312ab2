//! Whether spans arrive: what to ask for, and what the answers mean.
//!
//! Each service is sent one request that carries a trace of its own, and Jaeger is then asked for that trace. So the
//! answer is about now, costs a span a service, and does not depend on what users do or on how much is sampled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{ApiDocs, BadgerStorage};
use crate::build::{
    COLLECTOR_METRICS_PATH, COLLECTOR_METRICS_PORT, JAEGER_APP, jaeger_metrics_port, query_url,
};
use crate::known::known_service;
use crate::labels;
use crate::observe::{BackendObservation, Observation, WorkloadState};
use crate::quantity::parse_quantity;
use crate::resolve::{Backend, CollectorTier, JaegerStorage, Resolved, Service};
use crate::step::Live;

/// Key and value of the `tracestate` of such a request: by them collectors that choose among traces keep it.
pub const TRACE_STATE: (&str, &str) = ("tracewell", "probe");

/// Where Tracewell's own services answer nothing and leave a span (`SPAN_PATH` of their kit).
const SPAN_PATH: &str = "/healthz/span";

/// How old an answer may be, while every service is heard of.
const LASTS: Duration = Duration::from_mins(5);
/// How long to wait before asking again, while one is not.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// Base URL of Jaeger's query API.
    pub query_url: String,
    /// The services, by name.
    pub services: BTreeMap<String, Question>,
    /// The volume of a managed Jaeger; None where it has none.
    pub volume: Option<Volume>,
}

/// What to ask about the volume of a managed Jaeger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// URL of the metrics of Jaeger, which say how much room is left.
    pub url: String,
    /// With fewer bytes left it is as good as full.
    pub least_room: u64,
}

/// What to ask about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// URL of a request that leaves a span and changes nothing.
    pub url: String,
    /// URLs of the metrics of the collectors that take its spans.
    pub collectors: Vec<String>,
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When.
    pub at: Timestamp,
    /// Why Jaeger could not be asked, if it could not.
    pub unanswered: Option<String>,
    /// Services whose span arrived.
    pub seen: BTreeSet<String>,
    /// What is known of the others.
    pub silent: BTreeMap<String, Silence>,
    /// Whether the volume of a managed Jaeger is as good as full.
    pub volume_is_full: bool,
}

impl Evidence {
    /// Whether the status would say the same. The counts behind an explanation change with every span.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let of = |evidence: &Self| {
            let silent: Vec<_> = evidence
                .silent
                .iter()
                .map(|(name, silence)| (name.clone(), silence.explain()))
                .collect();
            (
                evidence.unanswered.clone(),
                evidence.seen.clone(),
                silent,
                evidence.volume_is_full,
            )
        };
        of(self) == of(other)
    }
}

/// What is known of a service whose span did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It did not answer the request; this is what went wrong.
    Unreachable(String),
    /// It sends its spans to Jaeger itself, so nobody counts them.
    Uncounted,
    /// Its collectors do not tell what they did.
    Uncountable,
    /// What its collectors counted since they started.
    Counted(Counters),
}

/// Spans that collectors counted since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received.
    pub received: u64,
    /// Refused, because memory was short.
    pub refused: u64,
    /// Sent on.
    pub sent: u64,
    /// Given up after trying to send them, or for want of room in the queue.
    pub lost: u64,
    /// Waiting to be sent: batches, not spans.
    pub waiting: u64,
}

impl Silence {
    /// Where the spans get lost, as far as it can be told.
    pub fn explain(&self) -> String {
        match self {
            Self::Unreachable(error) => format!("did not answer a request: {error}"),
            Self::Uncounted => "sends its spans itself, and none arrived".to_owned(),
            Self::Uncountable => "its collector does not tell what it did".to_owned(),
            Self::Counted(Counters { received: 0, refused, .. }) if *refused > 0 => {
                format!("its collector refused all {refused} spans: its memory is short")
            }
            Self::Counted(Counters { received: 0, .. }) => {
                "its collector received no span: the service sends none, so it has no OpenTelemetry SDK or overrides \
                 OTEL_EXPORTER_OTLP_ENDPOINT"
                    .to_owned()
            }
            Self::Counted(Counters { sent: 0, .. }) => {
                "its collector received spans and could send none on: the backend does not take them".to_owned()
            }
            Self::Counted(Counters { lost, waiting, .. }) if *lost > 0 || *waiting > 0 => {
                "its collector sends spans on and loses others: the backend takes them slowly or not at all".to_owned()
            }
            Self::Counted(_) => {
                "its collector sends spans on, and none of them has the trace of the request: the service does not \
                 take up traceparent, or the backend drops spans"
                    .to_owned()
            }
        }
    }
}

/// What to ask; None while there is nobody to ask, or not everybody serves.
pub fn questions(resolved: &Resolved, observation: &Observation, live: &Live) -> Option<Questions> {
    let serves = |state: &WorkloadState| *state == WorkloadState::Available;
    let all_serve = observation
        .services
        .iter()
        .all(|service| serves(&service.workload))
        && observation
            .components
            .iter()
            .all(|component| serves(&component.workload))
        && !matches!(&observation.backend, BackendObservation::Managed(state) if !serves(state));
    all_serve.then(|| ask_about(resolved, live)).flatten()
}

/// How long to wait before asking this, after what was answered last.
pub fn pause_before(questions: &Questions, last: Option<&Evidence>, now: Timestamp) -> Duration {
    let is_known = |evidence: &Evidence, name: &String| {
        evidence.seen.contains(name) || evidence.silent.contains_key(name)
    };
    let Some(evidence) = last.filter(|last| questions.services.keys().all(|name| is_known(last, name)))
    else {
        return Duration::ZERO;
    };
    let all_well = evidence.unanswered.is_none() && evidence.silent.is_empty() && !evidence.volume_is_full;
    let pause = if all_well { LASTS } else { ASK_AGAIN };
    pause.saturating_sub(now.duration_since(evidence.at).unsigned_abs())
}

/// What to ask about every service that has pods; None where no Jaeger could be asked.
pub fn ask_about(resolved: &Resolved, live: &Live) -> Option<Questions> {
    let services = resolved
        .services
        .iter()
        .filter(|service| service.scale.max() > 0)
        .map(|service| {
            let host = resolved.in_cluster_url(&resolved.name.workload(&service.name), service.port);
            let question = Question {
                url: format!("{host}{}", path_of(resolved, service)),
                collectors: collectors_of(resolved, service.name.as_str(), live),
            };
            (service.name.to_string(), question)
        })
        .collect();
    Some(Questions {
        query_url: query_url(resolved)?,
        services,
        volume: volume(resolved, live),
    })
}

/// Path of a request that leaves a span of this service: its API document, which every service may have. Where ours have
/// none, each question would be a 404 in their logs.
fn path_of<'a>(resolved: &Resolved, service: &'a Service) -> &'a str {
    if resolved.api_docs == ApiDocs::Disabled && known_service(service.name.as_str()).is_some() {
        SPAN_PATH
    } else {
        &service.api_document
    }
}

/// Storage of a managed Jaeger on a volume.
pub(crate) fn badger(resolved: &Resolved) -> Option<&BadgerStorage> {
    match &resolved.tracing.as_ref()?.backend {
        Backend::Managed {
            storage: JaegerStorage::Badger(badger),
            ..
        } => Some(badger),
        Backend::Managed { .. } | Backend::External { .. } => None,
    }
}

/// Badger maps its files into memory, and a write that finds no room there ends the whole process: a volume with less than a
/// twentieth left is as good as full.
fn volume(resolved: &Resolved, live: &Live) -> Option<Volume> {
    let size = parse_quantity(&badger(resolved)?.size)? / parse_quantity("1")?;
    let address = addresses_of(live, JAEGER_APP).next()?;
    Some(Volume {
        url: pod_url(address, jaeger_metrics_port(resolved), COLLECTOR_METRICS_PATH),
        least_room: u64::try_from(size / 20).ok()?,
    })
}

/// Where the collectors of a service say what they counted: on the addresses of their pods.
fn collectors_of(resolved: &Resolved, service: &str, live: &Live) -> Vec<String> {
    let app = match resolved.collector().map(|collector| &collector.tier) {
        None => return Vec::new(),
        Some(CollectorTier::Sidecar) => service,
        Some(CollectorTier::Gateway { .. }) => "collector",
    };
    addresses_of(live, app)
        .map(|address| pod_url(address, COLLECTOR_METRICS_PORT, COLLECTOR_METRICS_PATH))
        .collect()
}

/// Addresses of the pods of `app` that are to stay.
fn addresses_of<'a>(live: &'a Live, app: &str) -> impl Iterator<Item = &'a str> {
    live.pods
        .iter()
        .filter(move |pod| pod.labels().get(labels::NAME).is_some_and(|name| name == app))
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref())
}

/// URL of a port of a pod, by the pod's address.
pub fn pod_url(address: &str, port: i32, path: &str) -> String {
    // An IPv6 address stands in brackets in a URL (RFC 3986, 3.2.2).
    if address.contains(':') {
        format!("http://[{address}]:{port}{path}")
    } else {
        format!("http://{address}:{port}{path}")
    }
}

/// Whether there is a Jaeger that could be asked.
pub(crate) fn can_be_asked(resolved: &Resolved) -> bool {
    match resolved.tracing.as_ref().map(|tracing| &tracing.backend) {
        None => false,
        Some(Backend::Managed { .. }) => true,
        Some(Backend::External { query_url, .. }) => query_url.is_some(),
    }
}
