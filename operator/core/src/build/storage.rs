//! Volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Resolved, Service};

/// Size of the volume of an SQLite database. A claim cannot shrink, so it starts small.
const DATA_SIZE: &str = "1Gi";

/// The volume of a service that keeps data.
pub(super) fn build_claim(resolved: &Resolved, service: &Service) -> Option<Part> {
    service.database.then(|| Part {
        name: resolved.name.data_claim(&service.name),
        app: service.name.to_string(),
        component: Component::Service,
        body: build_volume_claim(DATA_SIZE, None),
    })
}

/// A volume of this size, of the cluster's own class unless one is named.
pub(super) fn build_volume_claim(size: &str, class: Option<&str>) -> Body {
    Body::of(&PersistentVolumeClaim {
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: class.map(str::to_owned),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Quantity(size.to_owned()),
                )])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}

/// The volume of a claim, for a pod.
pub(super) fn claim_volume(volume: &str, claim: &str) -> Volume {
    Volume {
        name: volume.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: None,
        }),
        ..Volume::default()
    }
}
