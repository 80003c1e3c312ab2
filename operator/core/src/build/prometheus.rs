//! The managed Prometheus: it scrapes the pods of its Platform, which it finds by DNS, so that it needs no permission in
//! the cluster, and evaluates the Platform's alerts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Container, Service, ServiceSpec, Volume};
use serde_json::{Value, json};

use super::config::{build_files, yaml};
use super::monitoring::{METRICS_PORT_NAME, Target, alert_rules, list_targets};
use super::network::{build_ports, named_port, selector};
use super::pod::{
    LIVENESS, READINESS, Rollout, STARTUP, Workload, build_deployment, container_port, http_probe,
    memory_volume, mount, restricted_container, restricted_pod, variable,
};
use super::storage::{build_volume_claim, claim_volume};
use super::{Body, Part};
use crate::labels::Component;
use crate::quantity::parse_quantity;
use crate::resolve::{ContainerSizes, Prometheus, Resolved, Scale};

/// Port of the query API and of the user interface.
pub(super) const PORT: i32 = 9090;
const PORT_NAME: &str = "web";
const APP: &str = "prometheus";
const CONFIG_DIRECTORY: &str = "/etc/prometheus";
const CONFIG_FILE: &str = "prometheus.yml";
const ALERTS_FILE: &str = "alerts.yml";
const DATA_DIRECTORY: &str = "/prometheus";
/// How often pods are scraped and alerts evaluated.
const INTERVAL: &str = "15s";
/// How often DNS is asked for pods.
const REFRESH: &str = "10s";
/// A pod that offers more in one scrape is broken, and is not stored.
const SAMPLE_LIMIT: u32 = 20_000;
/// It writes its newest samples out before it ends.
const GRACE_SECONDS: i64 = 60;
/// Memory for samples where there is no volume, and how much of it they take before the oldest go.
const MEMORY_SIZE: &str = "256Mi";
const MEMORY_RETENTION: &str = "200MB";

/// [`parse_quantity`] counts in billionths.
const BILLIONTHS: i128 = 1_000_000_000;

/// Base URL of the query API from inside the namespace; None if the Platform knows of no Prometheus.
pub(super) fn metrics_query_url(resolved: &Resolved) -> Option<String> {
    Some(match resolved.metrics.prometheus.as_ref()? {
        Prometheus::Managed { .. } => format!("http://{}:{PORT}", resolved.name.prometheus()),
        Prometheus::External { url } => url.clone(),
    })
}

/// Base URL of the Platform's Prometheus for people; None if it knows of none.
pub fn prometheus_url(resolved: &Resolved) -> Option<String> {
    Some(match resolved.metrics.prometheus.as_ref()? {
        Prometheus::Managed { .. } => resolved.in_cluster_url(&resolved.name.prometheus(), PORT),
        Prometheus::External { url } => url.clone(),
    })
}

/// Configuration, Deployment and Services of the managed Prometheus; nothing if there is none.
pub(super) fn build_prometheus(resolved: &Resolved) -> Vec<Part> {
    let Some(Prometheus::Managed {
        image,
        retention_hours,
        volume_size,
    }) = &resolved.metrics.prometheus
    else {
        return Vec::new();
    };
    let targets = list_targets(resolved);
    let config = build_files(
        Component::PrometheusConfig,
        &[
            (CONFIG_FILE, yaml(&prometheus_config(resolved, &targets))),
            (ALERTS_FILE, yaml(&alert_rules(resolved))),
        ],
        |hash| resolved.name.prometheus_config(hash),
    );
    let data = match volume_size {
        None => memory_volume("data", MEMORY_SIZE),
        Some(_) => claim_volume("data", &resolved.name.prometheus_claim()),
    };
    let pod = restricted_pod(
        Vec::new(),
        vec![build_container(image, *retention_hours, volume_size.as_deref())],
        vec![config_files(&config.name), data],
        GRACE_SECONDS,
    );
    let rollout = if volume_size.is_some() {
        Rollout::Recreate
    } else {
        Rollout::SurgeFirst
    };
    let workload = Workload {
        app: APP,
        scale: &Scale::Fixed(1),
        rollout,
        annotations: BTreeMap::new(),
        pod,
    };
    let deployment = build_deployment(resolved, workload);
    let part = |name: String, body: Body| Part {
        name,
        app: APP.to_owned(),
        component: Component::Prometheus,
        body,
    };
    let mut parts = vec![config];
    parts.extend(
        volume_size
            .as_ref()
            .map(|size| part(resolved.name.prometheus_claim(), build_volume_claim(size, None))),
    );
    parts.extend(targets.iter().map(|target| build_scraped(resolved, target)));
    parts.push(part(
        resolved.name.prometheus(),
        build_ports(resolved, APP, vec![named_port(PORT_NAME, PORT)]),
    ));
    parts.push(part(resolved.name.prometheus(), Body::of(&deployment)));
    parts
}

fn build_container(image: &str, retention_hours: i32, volume_size: Option<&str>) -> Container {
    let sizes = ContainerSizes {
        cpu_request: "25m".to_owned(),
        memory_request: "96Mi".to_owned(),
        cpu_limit: None,
        // What is in the memory volume counts as well.
        memory_limit: "512Mi".to_owned(),
    };
    let mut args = vec![
        format!("--config.file={CONFIG_DIRECTORY}/{CONFIG_FILE}"),
        format!("--storage.tsdb.path={DATA_DIRECTORY}"),
        format!("--storage.tsdb.retention.time={retention_hours}h"),
        format!("--web.listen-address=0.0.0.0:{PORT}"),
        "--log.format=json".to_owned(),
        // Services give the traces of slow and failed requests along with their durations.
        "--enable-feature=exemplar-storage".to_owned(),
    ];
    args.push(format!(
        "--storage.tsdb.retention.size={}",
        volume_size.map_or_else(|| MEMORY_RETENTION.to_owned(), retention_of)
    ));
    Container {
        // By its name on PATH: an image's own entry point may be another.
        command: Some(vec!["prometheus".to_owned()]),
        args: Some(args),
        // The Go runtime collects garbage harder before the container's limit is reached.
        env: Some(vec![variable("GOMEMLIMIT", "224MiB")]),
        ports: Some(vec![container_port(PORT_NAME, PORT)]),
        startup_probe: Some(http_probe(PORT_NAME, "/-/ready", STARTUP)),
        liveness_probe: Some(http_probe(PORT_NAME, "/-/healthy", LIVENESS)),
        readiness_probe: Some(http_probe(PORT_NAME, "/-/ready", READINESS)),
        volume_mounts: Some(vec![
            mount("config", CONFIG_DIRECTORY, true),
            mount("data", DATA_DIRECTORY, false),
        ]),
        ..restricted_container(APP, image, &sizes)
    }
}

/// What the samples of a volume of this size may take before the oldest go: four fifths of it, since the newest are not
/// counted until they are written out. In MB, as Prometheus' MB are MiB.
fn retention_of(size: &str) -> String {
    let bytes = parse_quantity(size).unwrap_or_default() / BILLIONTHS;
    format!("{}MB", bytes * 4 / 5 / (1 << 20))
}

fn config_files(config_map: &str) -> Volume {
    Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A name in DNS that leads to each pod of the target, ready or not: one that is not is worth knowing of.
fn build_scraped(resolved: &Resolved, target: &Target) -> Part {
    Part {
        name: resolved.name.scraped(&target.app),
        app: target.app.clone(),
        component: Component::Monitoring,
        body: Body::of(&Service {
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                selector: Some(selector(resolved, &target.app)),
                ports: Some(vec![named_port(METRICS_PORT_NAME, target.port)]),
                publish_not_ready_addresses: Some(true),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }),
    }
}

fn prometheus_config(resolved: &Resolved, targets: &[Target]) -> Value {
    let mut jobs: Vec<Value> = targets
        .iter()
        .map(|target| scrape_job(resolved, target))
        .collect();
    jobs.push(json!({
        "job_name": APP,
        "static_configs": [{
            "targets": [format!("127.0.0.1:{PORT}")],
            "labels": BTreeMap::from(pod_labels(resolved, APP)),
        }],
    }));
    json!({
        "global": {
            "scrape_interval": INTERVAL,
            "evaluation_interval": INTERVAL,
        },
        "rule_files": [format!("{CONFIG_DIRECTORY}/{ALERTS_FILE}")],
        "scrape_configs": jobs,
    })
}

/// The labels of every sample: those that other ways of finding pods make of the pods' own labels.
fn pod_labels<'a>(resolved: &'a Resolved, app: &'a str) -> [(&'static str, &'a str); 3] {
    [
        ("namespace", &resolved.namespace),
        ("tracewell_dev_platform", resolved.name.as_str()),
        ("app_kubernetes_io_name", app),
    ]
}

fn scrape_job(resolved: &Resolved, target: &Target) -> Value {
    let name = format!(
        "{}.{}.svc",
        resolved.name.scraped(&target.app),
        resolved.namespace
    );
    let relabel = pod_labels(resolved, &target.app)
        .map(|(label, value)| json!({"target_label": label, "replacement": value}));
    json!({
        "job_name": target.app,
        "metrics_path": target.path,
        "sample_limit": SAMPLE_LIMIT,
        "dns_sd_configs": [{"names": [name], "type": "A", "port": target.port, "refresh_interval": REFRESH}],
        "relabel_configs": relabel,
    })
}
