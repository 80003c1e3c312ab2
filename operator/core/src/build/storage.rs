//! Volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Body, Part};
use crate::api::Storage;
use crate::labels::Component;
use crate::resolve::{Database, Resolved, Service};

/// The volume of a service whose database is a file.
pub(super) fn build_claim(resolved: &Resolved, service: &Service) -> Option<Part> {
    let Some(Database::File(storage)) = &service.database else {
        return None;
    };
    Some(Part {
        name: resolved.name.data_claim(&service.name),
        app: service.name.to_string(),
        component: Component::Service,
        body: build_storage(storage),
    })
}

/// The volume that a spec asks for.
pub(super) fn build_storage(storage: &Storage) -> Body {
    build_volume_claim(&storage.size, storage.storage_class_name.as_deref())
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
