//! The pods of a service.

use k8s_openapi::api::core::v1::Container;

use super::collector::CollectorPod;
use super::environment::{build_environment, build_sources};
use super::migration::build_init_container;
use super::monitoring::METRICS_PORT_NAME;
use super::pod::{
    HTTP_PORT, LIVENESS, READINESS, Rollout, STARTUP, Workload, build_deployment, container_port, http_probe,
    memory_volume, mount, restricted_container, restricted_pod, scrape_annotations,
};
use super::storage::claim_volume;
use super::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Database, Resolved, Service};

/// Directory of a service's data.
pub(super) const DATA_DIRECTORY: &str = "/data";
/// A service refuses requests 5 s after the signal, drains for at most 20 s, and flushes its last spans for at most 5 s
/// and its last errors for at most 2 s; the collector then has the rest.
const GRACE_SECONDS: i64 = 40;

/// The Deployment of a service, with its collector beside it.
pub(super) fn build_workload(resolved: &Resolved, service: &Service, sidecar: Option<&CollectorPod>) -> Part {
    let mut volumes = vec![memory_volume("tmp", "16Mi")];
    let has_file = matches!(service.database, Some(Database::File(_)));
    volumes.extend(has_file.then(|| claim_volume("data", &resolved.name.data_claim(&service.name))));
    volumes.extend(sidecar.iter().flat_map(|sidecar| sidecar.volumes.clone()));
    let sidecar = sidecar.map(|sidecar| sidecar.container.clone());
    let init_containers = sidecar.into_iter().chain(build_init_container(resolved, service));
    let pod = restricted_pod(
        init_containers.collect(),
        vec![build_container(resolved, service)],
        volumes,
        GRACE_SECONDS,
    );
    let rollout = if has_file {
        Rollout::Recreate
    } else {
        Rollout::SurgeFirst
    };
    Part {
        name: resolved.name.workload(&service.name),
        app: service.name.to_string(),
        component: Component::Service,
        body: Body::of(&build_deployment(
            resolved,
            Workload {
                app: service.name.as_str(),
                scale: &service.scale,
                rollout,
                annotations: service
                    .metrics
                    .as_ref()
                    .map(|metrics| scrape_annotations(resolved, metrics.port, &metrics.path))
                    .unwrap_or_default(),
                pod,
            },
        )),
    }
}

fn build_container(resolved: &Resolved, service: &Service) -> Container {
    let mut mounts = vec![mount("tmp", "/tmp", false)];
    if matches!(service.database, Some(Database::File(_))) {
        mounts.push(mount("data", DATA_DIRECTORY, false));
    }
    let mut ports = vec![container_port(HTTP_PORT, service.port)];
    ports.extend(
        service
            .metrics
            .as_ref()
            .map(|metrics| container_port(METRICS_PORT_NAME, metrics.port)),
    );
    Container {
        env: Some(build_environment(resolved, service)),
        env_from: build_sources(service),
        ports: Some(ports),
        startup_probe: Some(http_probe(HTTP_PORT, &service.probes.liveness_path, STARTUP)),
        liveness_probe: Some(http_probe(HTTP_PORT, &service.probes.liveness_path, LIVENESS)),
        readiness_probe: Some(http_probe(HTTP_PORT, &service.probes.readiness_path, READINESS)),
        volume_mounts: Some(mounts),
        ..restricted_container(service.name.as_str(), &service.image, &service.sizes)
    }
}
