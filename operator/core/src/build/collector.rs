//! Where collectors run: beside each service, as a native sidecar that starts before its service and ends after it, so
//! that the last span is not lost; or in pods of their own.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, KeyToPath, SecretVolumeSource, ServicePort, Volume, VolumeMount,
};
use serde_json::Value;

use super::config::{FILE, build_config};
use super::environment::{OTLP_HTTP_PORT, from_secret};
use super::monitoring::METRICS_PORT_NAME;
use super::network::{build_headless, build_ports, named_port};
use super::pipeline::{
    AUTHORITIES, AUTHORITY, GATEWAY, METRICS_PATH, METRICS_PORT, OTLP_GRPC_PORT, SIDECAR, balancing_config,
    exporting_config, header_variable,
};
use super::pod::{
    LIVENESS, READINESS, Rollout, STARTUP, Workload, build_deployment, config_volume, container_port,
    http_probe, mount, restricted_container, restricted_pod, scrape_annotations, tcp_probe, variable,
};
use super::scaling::build_disruption_budget;
use super::{Body, Part};
use crate::api::{ExporterSpec, TailSampling};
use crate::labels::Component;
use crate::resolve::{Collector, CollectorTier, ContainerSizes, Resolved, Scale, Tracing};

/// Beside a service, whose own port of metrics is the one of the pod that is scraped.
const SIDECAR_METRICS_PORT_NAME: &str = "otel-metrics";
const DIRECTORY: &str = "/etc/collector";
const NAME: &str = "collector";
const SAMPLER: &str = "collector-sampler";
/// What it has received it sends on, as far as the backends take it.
const GRACE_SECONDS: i64 = 30;

/// The container of a collector, and what its pod needs for it.
#[derive(Clone, Debug)]
pub(super) struct CollectorPod {
    /// The container.
    pub container: Container,
    /// The volumes that it mounts.
    pub volumes: Vec<Volume>,
}

/// The collectors of a Platform.
pub(super) struct Collectors {
    /// Objects of their own.
    pub parts: Vec<Part>,
    /// What stands beside each service, to be the first of its init containers.
    pub sidecar: Option<CollectorPod>,
}

/// The collectors of a Platform.
pub(super) fn build_collectors(resolved: &Resolved, tracing: &Tracing, collector: &Collector) -> Collectors {
    match &collector.tier {
        CollectorTier::Sidecar => {
            let content = exporting_config(resolved, tracing, &SIDECAR, collector.redaction, None);
            let config = collector_config(resolved, &content);
            let sidecar = build_sidecar(&collector.image, &config.name, &tracing.exporters);
            Collectors {
                parts: vec![config],
                sidecar: Some(sidecar),
            }
        }
        CollectorTier::Gateway {
            replicas,
            tail_sampling,
        } => Collectors {
            parts: build_gateway(resolved, tracing, collector, *replicas, tail_sampling.as_ref()),
            sidecar: None,
        },
    }
}

fn collector_config(resolved: &Resolved, content: &Value) -> Part {
    build_config(Component::CollectorConfig, content, |hash| {
        resolved.name.collector_config(hash)
    })
}

fn build_sidecar(image: &str, config: &str, exporters: &[ExporterSpec]) -> CollectorPod {
    let sizes = ContainerSizes {
        cpu_request: "10m".to_owned(),
        memory_request: "32Mi".to_owned(),
        cpu_limit: None,
        memory_limit: "128Mi".to_owned(),
    };
    let pod = build_pod(
        image,
        config,
        exporters,
        &sizes,
        "100MiB",
        SIDECAR_METRICS_PORT_NAME,
    );
    CollectorPod {
        container: Container {
            // An init container that goes on running is a sidecar: the service starts once its startup probe passed.
            restart_policy: Some("Always".to_owned()),
            ports: Some(vec![container_port(SIDECAR_METRICS_PORT_NAME, METRICS_PORT)]),
            ..pod.container
        },
        ..pod
    }
}

/// Tiers of collectors in pods of their own: the app of each, and the name of its objects.
pub(super) fn tiers(resolved: &Resolved) -> Vec<(&'static str, String)> {
    let first = || (NAME, resolved.name.collector());
    match resolved.collector().map(|collector| &collector.tier) {
        None | Some(CollectorTier::Sidecar) => Vec::new(),
        Some(CollectorTier::Gateway {
            replicas,
            tail_sampling: Some(_),
        }) if *replicas > 1 => vec![first(), (SAMPLER, resolved.name.sampler())],
        Some(CollectorTier::Gateway { .. }) => vec![first()],
    }
}

/// Collectors in pods of their own: one tier, or two where a decision about whole traces has to be shared by several.
fn build_gateway(
    resolved: &Resolved,
    tracing: &Tracing,
    collector: &Collector,
    replicas: i32,
    tail_sampling: Option<&TailSampling>,
) -> Vec<Part> {
    let exporting = exporting_config(resolved, tracing, &GATEWAY, collector.redaction, tail_sampling);
    if tail_sampling.is_none() || replicas == 1 {
        let config = collector_config(resolved, &exporting);
        let ports = build_ports(resolved, NAME, otlp_ports());
        return tier(
            resolved,
            collector,
            &tracing.exporters,
            (NAME, resolved.name.collector()),
            replicas,
            config,
            ports,
        );
    }
    let config = collector_config(resolved, &balancing_config(resolved));
    let ports = build_ports(resolved, NAME, otlp_ports());
    let mut objects = tier(
        resolved,
        collector,
        &[],
        (NAME, resolved.name.collector()),
        replicas,
        config,
        ports,
    );
    let config = build_config(Component::SamplerConfig, &exporting, |hash| {
        format!("{}-{hash}", resolved.name.sampler())
    });
    // Each of them has to be addressed: the tier before decides which trace goes where.
    let ports = build_headless(resolved, SAMPLER, otlp_ports());
    let sampler = (SAMPLER, resolved.name.sampler());
    objects.extend(tier(
        resolved,
        collector,
        &tracing.exporters,
        sampler,
        replicas,
        config,
        ports,
    ));
    objects
}

fn otlp_ports() -> Vec<ServicePort> {
    vec![
        named_port("otlp-grpc", OTLP_GRPC_PORT),
        named_port("otlp-http", OTLP_HTTP_PORT),
    ]
}

/// Configuration, Service and Deployment of some equal collectors.
fn tier(
    resolved: &Resolved,
    collector: &Collector,
    exporters: &[ExporterSpec],
    (app, name): (&str, String),
    replicas: i32,
    config: Part,
    ports: Body,
) -> Vec<Part> {
    let sizes = ContainerSizes {
        cpu_request: "50m".to_owned(),
        memory_request: "64Mi".to_owned(),
        cpu_limit: None,
        memory_limit: "512Mi".to_owned(),
    };
    let pod = build_pod(
        &collector.image,
        &config.name,
        exporters,
        &sizes,
        "448MiB",
        METRICS_PORT_NAME,
    );
    let container = Container {
        ports: Some(vec![
            container_port("otlp-grpc", OTLP_GRPC_PORT),
            container_port("otlp-http", OTLP_HTTP_PORT),
            container_port(METRICS_PORT_NAME, METRICS_PORT),
        ]),
        // Spans are let in last of all.
        readiness_probe: Some(tcp_probe("otlp-grpc", READINESS)),
        ..pod.container
    };
    let workload = Workload {
        app,
        scale: &Scale::Fixed(replicas),
        rollout: Rollout::SurgeFirst,
        annotations: scrape_annotations(resolved, METRICS_PORT, METRICS_PATH),
        pod: restricted_pod(Vec::new(), vec![container], pod.volumes, GRACE_SECONDS),
    };
    let deployment = Body::of(&build_deployment(resolved, workload));
    let part = |body: Body| Part {
        name: name.clone(),
        app: app.to_owned(),
        component: Component::Collector,
        body,
    };
    let budget = (replicas > 1).then(|| build_disruption_budget(resolved, app));
    let bodies = [Some(ports), Some(deployment), budget];
    std::iter::once(config)
        .chain(bodies.into_iter().flatten().map(part))
        .collect()
}

/// `memory` is what the Go runtime is told: it collects garbage harder before the container's limit is reached. `metrics_port`
/// is the name of the port of its metrics.
fn build_pod(
    image: &str,
    config: &str,
    exporters: &[ExporterSpec],
    sizes: &ContainerSizes,
    memory: &str,
    metrics_port: &str,
) -> CollectorPod {
    let mut volumes = vec![config_volume("collector-config", config)];
    let mut mounts = vec![mount("collector-config", DIRECTORY, true)];
    for exporter in exporters {
        if let Some((volume, mounted)) = authority(exporter) {
            volumes.push(volume);
            mounts.push(mounted);
        }
    }
    CollectorPod {
        container: Container {
            args: Some(vec![format!("--config={DIRECTORY}/{FILE}")]),
            env: Some([vec![variable("GOMEMLIMIT", memory)], header_variables(exporters)].concat()),
            startup_probe: Some(http_probe(metrics_port, METRICS_PATH, STARTUP)),
            liveness_probe: Some(http_probe(metrics_port, METRICS_PATH, LIVENESS)),
            volume_mounts: Some(mounts),
            ..restricted_container(NAME, image, sizes)
        },
        volumes,
    }
}

/// Values of headers come from Secrets, so they are no part of the configuration.
fn header_variables(exporters: &[ExporterSpec]) -> Vec<EnvVar> {
    let of_one = |(index, exporter): (usize, &ExporterSpec)| {
        let headers = exporter.headers.iter().enumerate();
        headers
            .map(|(position, header)| from_secret(&header_variable(index, position), &header.secret_key_ref))
            .collect::<Vec<_>>()
    };
    exporters.iter().enumerate().flat_map(of_one).collect()
}

fn authority(exporter: &ExporterSpec) -> Option<(Volume, VolumeMount)> {
    let key = exporter.ca_secret_ref.as_ref()?;
    let name = format!("authority-{}", exporter.name);
    let volume = Volume {
        name: name.clone(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(key.name.clone()),
            // Without the key the collector starts, and ends saying which file it misses. The pod would wait, and why would
            // be in an event of it alone.
            optional: Some(true),
            items: Some(vec![KeyToPath {
                key: key.key.clone(),
                path: AUTHORITY.to_owned(),
                mode: None,
            }]),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mounted = mount(&name, &format!("{AUTHORITIES}/{}", exporter.name), true);
    Some((volume, mounted))
}
