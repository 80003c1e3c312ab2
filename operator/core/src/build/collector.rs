//! The collector beside each service: a native sidecar, so that it starts before its service and ends after it, and
//! the last span is not lost.

use k8s_openapi::api::core::v1::{Container, Volume};
use serde_json::{Value, json};

use super::Part;
use super::config::{FILE, build_config};
use super::environment::{OTLP_HTTP_PORT, backend_endpoint};
use super::pod::{
    LIVENESS, STARTUP, config_volume, container_port, http_probe, mount, restricted_container, variable,
};
use crate::labels::Component;
use crate::resolve::{ContainerSizes, Resolved, Tracing};

/// A sidecar serves its own pod only.
pub(super) const LOOPBACK: &str = "127.0.0.1";
/// Port where a collector, or Jaeger, says how it is. The kubelet asks on the pod's address.
pub(super) const HEALTH_PORT: i32 = 13133;
/// Name of that port.
pub(super) const HEALTH_PORT_NAME: &str = "health";
/// Path where it says so: it is well as long as its own parts run, whatever the backend does.
pub(super) const HEALTH_PATH: &str = "/status";
const OTLP_GRPC_PORT: i32 = 4317;
const DIRECTORY: &str = "/etc/collector";
const NAME: &str = "collector";

/// Attributes that may hold credentials, by name. Values are never looked at: that costs more and misses more.
const CREDENTIALS: &str =
    r"(?i)(^|[._-])(authorization|cookie|set-cookie|password|passwd|secret|token|api[-_]?key)([._-]|$)";

/// What a pod needs to have a collector.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    /// Its configuration, shared by all pods of the Platform.
    pub config: Part,
    /// The container, to be the first of the init containers.
    pub sidecar: Container,
    /// The volume of its configuration.
    pub volume: Volume,
}

/// The collector of a Platform; None if its services send their spans themselves.
pub(super) fn build_collector(resolved: &Resolved, tracing: &Tracing) -> Option<Collector> {
    let image = tracing.collector_image.as_ref()?;
    let backend = backend_endpoint(resolved, &tracing.backend);
    let config = build_config(Component::CollectorConfig, &collector_config(&backend), |hash| {
        resolved.name.collector_config(hash)
    });
    let volume = config_volume("collector-config", &config.name);
    Some(Collector {
        config,
        sidecar: build_sidecar(image),
        volume,
    })
}

fn build_sidecar(image: &str) -> Container {
    let sizes = ContainerSizes {
        cpu_request: "10m".to_owned(),
        memory_request: "32Mi".to_owned(),
        cpu_limit: None,
        memory_limit: "128Mi".to_owned(),
    };
    Container {
        args: Some(vec![format!("--config={DIRECTORY}/{FILE}")]),
        // The Go runtime collects garbage harder before the container's limit is reached.
        env: Some(vec![variable("GOMEMLIMIT", "100MiB")]),
        ports: Some(vec![container_port(HEALTH_PORT_NAME, HEALTH_PORT)]),
        // An init container that goes on running is a sidecar: the service starts once its startup probe passed.
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(http_probe(HEALTH_PORT_NAME, HEALTH_PATH, STARTUP)),
        liveness_probe: Some(http_probe(HEALTH_PORT_NAME, HEALTH_PATH, LIVENESS)),
        volume_mounts: Some(vec![mount("collector-config", DIRECTORY, true)]),
        ..restricted_container(NAME, image, &sizes)
    }
}

/// Receives on the pod's loopback, drops what may be a credential, and sends on with a bounded queue: a dead backend
/// costs spans, never a service.
fn collector_config(backend: &str) -> Value {
    json!({
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": format!("{LOOPBACK}:{OTLP_GRPC_PORT}")},
            "http": {"endpoint": format!("{LOOPBACK}:{OTLP_HTTP_PORT}")},
        }}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 96, "spike_limit_mib": 24},
            "attributes/redact": {"actions": [{"action": "delete", "pattern": CREDENTIALS}]},
            "batch": {"timeout": "200ms", "send_batch_size": 512, "send_batch_max_size": 2048},
        },
        "exporters": {"otlphttp": {
            "endpoint": backend,
            "timeout": "5s",
            "sending_queue": {"enabled": true, "num_consumers": 2, "queue_size": 256},
            "retry_on_failure": {
                "enabled": true, "initial_interval": "500ms", "max_interval": "10s", "max_elapsed_time": "300s",
            },
        }},
        "extensions": {"healthcheckv2": {
            "use_v2": true,
            "http": {"endpoint": format!("0.0.0.0:{HEALTH_PORT}"), "status": {"enabled": true, "path": HEALTH_PATH}},
        }},
        "service": {
            "extensions": ["healthcheckv2"],
            "pipelines": {"traces": {
                "receivers": ["otlp"],
                "processors": ["memory_limiter", "attributes/redact", "batch"],
                "exporters": ["otlphttp"],
            }},
            "telemetry": {
                "resource": {"service.name": NAME},
                "metrics": {"level": "none"},
                "logs": {"level": "info", "encoding": "json"},
            },
        },
    })
}
