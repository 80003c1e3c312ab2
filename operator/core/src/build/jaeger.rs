//! The managed tracing backend: one Jaeger v2, which is an OpenTelemetry collector with storage and a query API.

use k8s_openapi::api::core::v1::{Container, ServicePort};
use serde_json::{Value, json};

use super::config::{FILE, build_config};
use super::environment::OTLP_HTTP_PORT;
use super::monitoring::METRICS_PORT_NAME;
use super::network::{build_ports, named_port};
use super::pipeline::{METRICS_PATH, METRICS_PORT, OTLP_GRPC_PORT, telemetry};
use super::pod::{
    LIVENESS, READINESS, Rollout, STARTUP, Workload, build_deployment, config_volume, container_port,
    http_probe, memory_volume, mount, restricted_container, restricted_pod, scrape_annotations, variable,
};
use super::prometheus::metrics_query_url;
use super::storage::{build_volume_claim, claim_volume};
use super::{Body, Part};
use crate::api::Profile;
use crate::labels::Component;
use crate::resolve::{Backend, ContainerSizes, JaegerStorage, Resolved, Scale};

/// Port of the query API and of the user interface.
pub(super) const QUERY_PORT: i32 = 16686;
const QUERY_GRPC_PORT: i32 = 16685;
/// Port where it says how it is. The kubelet asks on the pod's address.
const HEALTH_PORT: i32 = 13133;
const HEALTH_PORT_NAME: &str = "health";
/// Path where it says so: it is well as long as its own parts run.
const HEALTH_PATH: &str = "/status";
/// Port of the metrics that it makes of spans, and of its own with them: a pod has one port to scrape.
const ALL_METRICS_PORT: i32 = 8889;
/// Port of the loopback where it takes its own metrics to offer them with those of spans.
const OWN_OTLP_PORT: i32 = 4320;
const DIRECTORY: &str = "/etc/jaeger";
pub(crate) const APP: &str = "jaeger";
const STORE: &str = "traces";
/// Directory of the volume of a Badger database.
const DATA_DIRECTORY: &str = "/badger";
const METRICS_STORE: &str = "metrics";
/// What the names of the metrics of spans begin with.
const SPAN_METRICS: &str = "traces_span_metrics";
/// What it has in memory is lost with the pod in any case; it only has to answer the queries under way.
const GRACE_SECONDS: i64 = 20;

/// Base URL of the tracing backend's user interface, as a browser reaches it from where the Platform is exposed; None
/// where there is none that is known.
pub(crate) fn trace_ui_url(resolved: &Resolved) -> Option<String> {
    match (&resolved.tracing.as_ref()?.backend, resolved.node_ports()) {
        (Backend::Managed { .. }, Some(ports)) => Some(format!("http://{}:{}", ports.host, ports.jaeger)),
        _ => query_url(resolved),
    }
}

/// Port that answers with all of its metrics.
pub(crate) fn metrics_port(resolved: &Resolved) -> i32 {
    if resolved.metrics.span_metrics {
        ALL_METRICS_PORT
    } else {
        METRICS_PORT
    }
}

/// Base URL of the query API as the operator reaches it; None where it is not known.
pub fn query_url(resolved: &Resolved) -> Option<String> {
    match &resolved.tracing.as_ref()?.backend {
        Backend::External { query_url, .. } => query_url.clone(),
        Backend::Managed { .. } => Some(resolved.in_cluster_url(&resolved.name.jaeger(), QUERY_PORT)),
    }
}

/// Configuration, volume, Deployment and Services of the managed Jaeger.
pub(super) fn build_jaeger(resolved: &Resolved, image: &str, storage: &JaegerStorage) -> Vec<Part> {
    let config = build_config(
        Component::JaegerConfig,
        &jaeger_config(resolved, storage),
        |hash| resolved.name.jaeger_config(hash),
    );
    let mut volumes = vec![
        memory_volume("tmp", "16Mi"),
        config_volume("config", &config.name),
    ];
    // A Badger database is one process's: the pod before has to be gone.
    let rollout = match storage {
        JaegerStorage::Memory { .. } => Rollout::SurgeFirst,
        JaegerStorage::Badger(_) => {
            volumes.push(claim_volume("data", &resolved.name.jaeger_claim()));
            Rollout::Recreate
        }
    };
    let container = build_container(image, storage, resolved);
    let workload = Workload {
        app: APP,
        scale: &Scale::Fixed(1),
        rollout,
        annotations: scrape_annotations(resolved, metrics_port(resolved), METRICS_PATH),
        pod: restricted_pod(Vec::new(), vec![container], volumes, GRACE_SECONDS),
    };
    let deployment = build_deployment(resolved, workload);
    let part = |name: String, body: Body| Part {
        name,
        app: APP.to_owned(),
        component: Component::Jaeger,
        body,
    };
    let ports = vec![
        named_port("otlp-grpc", OTLP_GRPC_PORT),
        named_port("otlp-http", OTLP_HTTP_PORT),
        named_port("query", QUERY_PORT),
    ];
    let mut objects = vec![
        config,
        part(resolved.name.jaeger(), build_ports(resolved, APP, ports)),
        part(resolved.name.jaeger(), Body::of(&deployment)),
    ];
    if let JaegerStorage::Badger(badger) = storage {
        let claim = build_volume_claim(&badger.size, badger.storage_class_name.as_deref());
        objects.push(part(resolved.name.jaeger_claim(), claim));
    }
    // A Service of its own: in one of type NodePort, the receivers too would be open on every node.
    objects.extend(resolved.node_ports().map(|node_ports| {
        let query = ServicePort {
            node_port: Some(node_ports.jaeger),
            ..named_port("query", QUERY_PORT)
        };
        part(
            resolved.name.jaeger_query(),
            build_ports(resolved, APP, vec![query]),
        )
    }));
    objects
}

fn build_container(image: &str, storage: &JaegerStorage, resolved: &Resolved) -> Container {
    // The Go runtime collects garbage harder before the container's limit is reached.
    let (memory_request, memory_limit, memory) = match (storage, resolved.profile) {
        (JaegerStorage::Memory { .. }, Profile::Local) => ("128Mi", "512Mi", "448MiB"),
        _ => ("256Mi", "1Gi", "896MiB"),
    };
    let sizes = ContainerSizes {
        cpu_request: "50m".to_owned(),
        memory_request: memory_request.to_owned(),
        cpu_limit: None,
        memory_limit: memory_limit.to_owned(),
    };
    let mut mounts = vec![mount("tmp", "/tmp", false), mount("config", DIRECTORY, true)];
    if matches!(storage, JaegerStorage::Badger(_)) {
        mounts.push(mount("data", DATA_DIRECTORY, false));
    }
    Container {
        args: Some(vec![format!("--config={DIRECTORY}/{FILE}")]),
        env: Some(vec![variable("GOMEMLIMIT", memory)]),
        ports: Some(vec![
            container_port("otlp-grpc", OTLP_GRPC_PORT),
            container_port("otlp-http", OTLP_HTTP_PORT),
            container_port("query", QUERY_PORT),
            container_port(METRICS_PORT_NAME, metrics_port(resolved)),
            container_port(HEALTH_PORT_NAME, HEALTH_PORT),
        ]),
        startup_probe: Some(http_probe(HEALTH_PORT_NAME, HEALTH_PATH, STARTUP)),
        liveness_probe: Some(http_probe(HEALTH_PORT_NAME, HEALTH_PATH, LIVENESS)),
        readiness_probe: Some(http_probe(HEALTH_PORT_NAME, HEALTH_PATH, READINESS)),
        volume_mounts: Some(mounts),
        ..restricted_container(APP, image, &sizes)
    }
}

/// Every address, port and protocol is written out: defaults differ between versions, and most are loopback.
fn jaeger_config(resolved: &Resolved, storage: &JaegerStorage) -> Value {
    let backend = match storage {
        JaegerStorage::Memory { max_traces } => json!({"memory": {"max_traces": max_traces}}),
        JaegerStorage::Badger(badger) => json!({"badger": {
            "directories": {"keys": format!("{DATA_DIRECTORY}/keys"), "values": format!("{DATA_DIRECTORY}/values")},
            "ephemeral": false,
            "ttl": {"spans": format!("{}h", badger.retention_hours)},
            // With each it says how much room is left on the volume; the default is five minutes.
            "maintenance_interval": "1m",
        }}),
    };
    let on = |port: i32| json!({"endpoint": format!("0.0.0.0:{port}")});
    let mut config = json!({
        "receivers": {"otlp": {"protocols": {"grpc": on(OTLP_GRPC_PORT), "http": on(OTLP_HTTP_PORT)}}},
        "processors": {"batch": {"timeout": "200ms", "send_batch_size": 1024}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": STORE}},
        "extensions": {
            "jaeger_storage": {"backends": {STORE: backend}},
            "jaeger_query": {
                "storage": {"traces": STORE},
                "http": on(QUERY_PORT),
                "grpc": on(QUERY_GRPC_PORT),
            },
            "healthcheckv2": {
                "use_v2": true,
                "http": {
                    "endpoint": format!("0.0.0.0:{HEALTH_PORT}"),
                    "status": {"enabled": true, "path": HEALTH_PATH},
                },
            },
        },
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {"traces": {
                "receivers": ["otlp"],
                "processors": ["batch"],
                "exporters": ["jaeger_storage_exporter"],
            }},
            "telemetry": telemetry(APP),
        },
    });
    if let Some(prometheus) = metrics_query_url(resolved).filter(|_| resolved.metrics.span_metrics) {
        add_span_metrics(&mut config, &prometheus);
    }
    config
}

/// Makes rates, errors and durations of the spans (the Monitor tab, "service performance monitoring"), offers them
/// together with Jaeger's own metrics, and reads them back from Prometheus.
fn add_span_metrics(config: &mut Value, prometheus: &str) {
    config["receivers"]["otlp/own"] = json!({"protocols": {"http": {
        "endpoint": format!("127.0.0.1:{OWN_OTLP_PORT}"),
    }}});
    config["connectors"] = json!({"spanmetrics": {
        "namespace": SPAN_METRICS.replace('_', "."),
        "metrics_flush_interval": "15s",
        // A span's name that never comes again is forgotten, and no flood of names fills the memory.
        "metrics_expiration": "1h",
        "aggregation_cardinality_limit": 2000,
    }});
    config["exporters"]["prometheus"] = json!({
        "endpoint": format!("0.0.0.0:{ALL_METRICS_PORT}"),
        "metric_expiration": "5m",
    });
    let extensions = &mut config["extensions"];
    extensions["jaeger_storage"]["metric_backends"] = json!({METRICS_STORE: {"prometheus": {
        "endpoint": prometheus,
        "metric_namespace": SPAN_METRICS,
        "latency_unit": "ms",
        "normalize_calls": true,
        "normalize_duration": true,
    }}});
    extensions["jaeger_query"]["storage"]["metrics"] = json!(METRICS_STORE);
    let service = &mut config["service"];
    service["pipelines"]["traces"]["exporters"] = json!(["jaeger_storage_exporter", "spanmetrics"]);
    service["pipelines"]["metrics"] = json!({
        "receivers": ["spanmetrics", "otlp/own"],
        "exporters": ["prometheus"],
    });
    let to_itself = json!({"periodic": {
        "interval": 15_000,
        "exporter": {"otlp": {
            "protocol": "http/protobuf",
            "endpoint": format!("http://127.0.0.1:{OWN_OTLP_PORT}"),
        }},
    }});
    if let Some(readers) = service["telemetry"]["metrics"]["readers"].as_array_mut() {
        readers.push(to_itself);
    }
}
