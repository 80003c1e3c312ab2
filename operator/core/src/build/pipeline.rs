//! What a collector does with spans, as its configuration says it.
//!
//! Every address, port and protocol is written out: defaults differ between versions. Only what Jaeger's image has is
//! used, except where a field of the Platform says otherwise.

use serde_json::{Map, Value, json};

use super::environment::{OTLP_HTTP_PORT, backend_endpoint};
use crate::api::{ExporterSpec, OtlpProtocol, Redaction, TailErrors, TailSampling};
use crate::evidence::TRACE_STATE;
use crate::resolve::{Resolved, Tracing};

/// A sidecar serves its own pod only.
pub(super) const LOOPBACK: &str = "127.0.0.1";
const EVERYWHERE: &str = "0.0.0.0";
/// OTLP/gRPC port of Jaeger and of the collectors.
pub(super) const OTLP_GRPC_PORT: i32 = 4317;
/// Port of a collector's own metrics, which tell where spans get lost.
pub(crate) const METRICS_PORT: i32 = 8888;
/// Path of them. That they are answered is its health: of the extensions that tell of it, Jaeger's image and the
/// OpenTelemetry project's have none in common.
pub(crate) const METRICS_PATH: &str = "/metrics";
/// Directory of the certificate authorities of exporters, each in a directory of the exporter's name.
pub(super) const AUTHORITIES: &str = "/etc/authorities";
/// Name of the file of a certificate authority.
pub(super) const AUTHORITY: &str = "ca.crt";

/// Attributes that may hold credentials, by a word of their name. Values are never looked at: that costs more and misses
/// more.
const CREDENTIALS: &str = "authorization|cookie|set-cookie|password|passwd|secret|token|api[-_]?key";
/// Attributes that may tell of a person or of data, by their name; `*` stands for anything.
const PERSONAL: [&str; 12] = [
    r"url\.(query|full)",
    r"client\.(address|port)",
    r"network\.peer\.*",
    r"user_agent\.*",
    r"user\.*",
    r"enduser\.*",
    r"db\.(query\.text|statement|query\.parameter\.*)",
    r"messaging\.message\.body",
    r"http\.request\.header\.(forwarded|referer|user[-_]agent|x[-_]forwarded[-_]for|x[-_]real[-_]ip)",
    // What the same was called before the semantic conventions of HTTP were stable; many libraries still do.
    r"http\.(url|target|client_ip|user_agent)",
    r"net\.peer\.*",
    r"net\.sock\.peer\.*",
];
/// Stand between the attributes of an event, and between their names and values, when these are read as one text.
const AFTER_VALUE: &str = r"\x1e";
const AFTER_NAME: &str = r"\x1f";

/// Seconds that a trace is given to become whole after its slowest span of interest.
const TRACE_PATIENCE_SECONDS: i32 = 5;
/// Traces that a collector keeps until it decides about them.
const UNDECIDED_TRACES: i32 = 20_000;

/// Where a collector listens and how much memory it may take.
pub(super) struct Post {
    /// Address on which it receives.
    pub address: &'static str,
    /// Memory above which it refuses spans, in MiB.
    pub memory_mib: i32,
}

/// Beside a service.
pub(super) const SIDECAR: Post = Post {
    address: LOOPBACK,
    memory_mib: 96,
};
/// In a pod of its own.
pub(super) const GATEWAY: Post = Post {
    address: EVERYWHERE,
    memory_mib: 384,
};

/// A collector that sends to the backends.
pub(super) fn exporting_config(
    resolved: &Resolved,
    tracing: &Tracing,
    post: &Post,
    redaction: Redaction,
    tail_sampling: Option<&TailSampling>,
) -> Value {
    let mut processors = Map::new();
    let mut order = vec!["memory_limiter"];
    if redaction != Redaction::Off {
        processors.insert("attributes/redact".to_owned(), attribute_redaction(redaction));
        processors.insert("filter/redact".to_owned(), event_redaction(redaction));
        order.extend(["attributes/redact", "filter/redact"]);
    }
    if let Some(sampling) = tail_sampling {
        processors.insert("tail_sampling".to_owned(), tail_sampling_processor(sampling));
        order.push("tail_sampling");
    }
    let batch = json!({"timeout": "200ms", "send_batch_size": 512, "send_batch_max_size": 2048});
    processors.insert("batch".to_owned(), batch);
    order.push("batch");

    let backend = json!({"endpoint": backend_endpoint(resolved, &tracing.backend)});
    let mut exporters = Map::from_iter([("otlphttp".to_owned(), with_queue(backend))]);
    for (index, exporter) in tracing.exporters.iter().enumerate() {
        exporters.insert(exporter_id(exporter), build_exporter(index, exporter));
    }
    config(post, processors, &order, &exporters)
}

/// A collector that brings the spans of each trace together, in one of the collectors behind it.
pub(super) fn balancing_config(resolved: &Resolved) -> Value {
    let exporter = json!({
        "routing_key": "traceID",
        "protocol": {"otlp": {"tls": {"insecure": true}, "timeout": "5s"}},
        "resolver": {"dns": {"hostname": resolved.name.sampler(), "port": OTLP_GRPC_PORT.to_string()}},
    });
    let exporters = Map::from_iter([("loadbalancing".to_owned(), exporter)]);
    config(&GATEWAY, Map::new(), &["memory_limiter"], &exporters)
}

fn config(
    post: &Post,
    mut processors: Map<String, Value>,
    order: &[&str],
    exporters: &Map<String, Value>,
) -> Value {
    let limiter = json!({
        "check_interval": "1s", "limit_mib": post.memory_mib, "spike_limit_mib": post.memory_mib / 4,
    });
    processors.insert("memory_limiter".to_owned(), limiter);
    let names: Vec<&String> = exporters.keys().collect();
    json!({
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": format!("{}:{OTLP_GRPC_PORT}", post.address)},
            "http": {"endpoint": format!("{}:{OTLP_HTTP_PORT}", post.address)},
        }}},
        "processors": processors,
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": order, "exporters": names}},
            "telemetry": telemetry("collector"),
        },
        "exporters": exporters,
    })
}

/// What a collector, or Jaeger, tells of itself.
pub(super) fn telemetry(name: &str) -> Value {
    json!({
        "resource": {"service.name": name},
        "metrics": {"level": "normal", "readers": [
            {"pull": {"exporter": {"prometheus": {"host": EVERYWHERE, "port": METRICS_PORT}}}},
        ]},
        "logs": {"level": "info", "encoding": "json"},
    })
}

/// Names of attributes that are taken out; `any` matches one character of a name.
fn redacted_names(redaction: Redaction, any: &str) -> String {
    let credentials = format!("({any}*[._-])?({CREDENTIALS})([._-]{any}*)?");
    if redaction != Redaction::Strict {
        return credentials;
    }
    let personal = PERSONAL.map(|name| name.replace(r"\.*", &format!(r"\.{any}+")));
    format!("{credentials}|{}", personal.join("|"))
}

fn attribute_redaction(redaction: Redaction) -> Value {
    let names = redacted_names(redaction, ".");
    json!({"actions": [{"action": "delete", "pattern": format!("(?i)^({names})$")}]})
}

/// Nothing that Jaeger's image has takes an attribute out of an event, so that an event with one is left out whole.
fn event_redaction(redaction: Redaction) -> Value {
    let names = redacted_names(redaction, &format!("[^{AFTER_NAME}{AFTER_VALUE}]"));
    let pattern = format!("(?i)(^|{AFTER_VALUE})({names}){AFTER_NAME}");
    // In a text of this language a backslash is written twice; the separators are the characters themselves.
    let condition = format!(
        "IsMatch(ToKeyValueString(attributes, \"\\u001f\", \"\\u001e\"), \"{}\")",
        pattern.replace('\\', r"\\")
    );
    json!({"error_mode": "ignore", "traces": {"spanevent": [condition]}})
}

fn tail_sampling_processor(sampling: &TailSampling) -> Value {
    let mut policies = Vec::new();
    if sampling.errors == TailErrors::Keep {
        policies.push(
            json!({"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}),
        );
    }
    if let Some(threshold) = sampling.slower_than_milliseconds {
        policies.push(json!({"name": "slow", "type": "latency", "latency": {"threshold_ms": threshold}}));
    }
    let (key, value) = TRACE_STATE;
    policies.push(
        json!({"name": "probes", "type": "trace_state", "trace_state": {"key": key, "values": [value]}}),
    );
    policies.push(json!({
        "name": "others",
        "type": "probabilistic",
        "probabilistic": {"sampling_percentage": sampling.other_percent},
    }));
    // A trace that is decided about before it was slow is not known to be slow.
    let slow_seconds = (sampling.slower_than_milliseconds.unwrap_or(0) + 999) / 1000;
    json!({
        "decision_wait": format!("{}s", slow_seconds + TRACE_PATIENCE_SECONDS),
        "num_traces": UNDECIDED_TRACES,
        "policies": policies,
    })
}

/// A dead backend costs spans, never a service: the queue is bounded.
fn with_queue(mut exporter: Value) -> Value {
    exporter["timeout"] = json!("5s");
    exporter["sending_queue"] = json!({"enabled": true, "num_consumers": 2, "queue_size": 256});
    exporter["retry_on_failure"] = json!({
        "enabled": true, "initial_interval": "500ms", "max_interval": "10s", "max_elapsed_time": "300s",
    });
    exporter
}

fn exporter_id(exporter: &ExporterSpec) -> String {
    match exporter.protocol {
        OtlpProtocol::Http => format!("otlphttp/{}", exporter.name),
        OtlpProtocol::Grpc => format!("otlp/{}", exporter.name),
    }
}

/// Variable that holds the value of a header.
pub(super) fn header_variable(exporter: usize, header: usize) -> String {
    format!("EXPORTER_{exporter}_HEADER_{header}")
}

fn build_exporter(index: usize, exporter: &ExporterSpec) -> Value {
    let headers: Map<String, Value> = exporter
        .headers
        .iter()
        .enumerate()
        .map(|(position, header)| {
            let variable = header_variable(index, position);
            (header.name.clone(), json!(format!("${{env:{variable}}}")))
        })
        .collect();
    let mut built = with_queue(json!({"endpoint": exporter.endpoint}));
    if !headers.is_empty() {
        built["headers"] = headers.into();
    }
    if exporter.endpoint.starts_with("http://") {
        built["tls"] = json!({"insecure": true});
    } else if exporter.ca_secret_ref.is_some() {
        built["tls"] = json!({"ca_file": format!("{AUTHORITIES}/{}/{AUTHORITY}", exporter.name)});
    }
    built
}
