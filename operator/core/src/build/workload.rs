//! The pods of a service.

use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaimVolumeSource, Volume};

use super::collector::Collector;
use super::environment::build_environment;
use super::pod::{
    HTTP_PORT, LIVENESS, READINESS, Rollout, STARTUP, build_deployment, container_port, http_probe,
    memory_volume, mount, restricted_container, restricted_pod, scrape_annotations,
};
use super::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Resolved, Service};

/// Port of a service's metrics: another than the API's, so that they never pass the gateway.
pub(super) const METRICS_PORT: i32 = 9464;
/// Directory of a service's data.
pub(super) const DATA_DIRECTORY: &str = "/data";
/// A service refuses requests 5 s after the signal, drains for at most 20 s, and flushes its last spans for at most 5 s
/// and its last errors for at most 2 s; the collector then has the rest.
const GRACE_SECONDS: i64 = 40;

/// The Deployment of a service, with its collector beside it.
pub(super) fn build_workload(resolved: &Resolved, service: &Service, collector: Option<&Collector>) -> Part {
    let mut volumes = vec![memory_volume("tmp", "16Mi")];
    volumes.extend(service.database.then(|| data_volume(resolved, service)));
    volumes.extend(collector.map(|collector| collector.volume.clone()));
    let sidecars = collector
        .map(|collector| collector.sidecar.clone())
        .into_iter()
        .collect();
    let pod = restricted_pod(
        sidecars,
        vec![build_container(resolved, service)],
        volumes,
        GRACE_SECONDS,
    );
    let rollout = if service.database {
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
            service.name.as_str(),
            service.replicas,
            rollout,
            scrape_annotations(METRICS_PORT),
            pod,
        )),
    }
}

fn build_container(resolved: &Resolved, service: &Service) -> Container {
    let mut mounts = vec![mount("tmp", "/tmp", false)];
    mounts.extend(service.database.then(|| mount("data", DATA_DIRECTORY, false)));
    Container {
        env: Some(build_environment(resolved, service)),
        ports: Some(vec![
            container_port(HTTP_PORT, service.port),
            container_port("metrics", METRICS_PORT),
        ]),
        startup_probe: Some(http_probe(HTTP_PORT, &service.probes.liveness_path, STARTUP)),
        liveness_probe: Some(http_probe(HTTP_PORT, &service.probes.liveness_path, LIVENESS)),
        readiness_probe: Some(http_probe(HTTP_PORT, &service.probes.readiness_path, READINESS)),
        volume_mounts: Some(mounts),
        ..restricted_container(service.name.as_str(), &service.image, &service.sizes)
    }
}

fn data_volume(resolved: &Resolved, service: &Service) -> Volume {
    Volume {
        name: "data".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: resolved.name.data_claim(&service.name),
            read_only: None,
        }),
        ..Volume::default()
    }
}
