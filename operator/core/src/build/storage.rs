//! Volumes of services that keep data.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
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
        body: Body::of(&PersistentVolumeClaim {
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([(
                        "storage".to_owned(),
                        Quantity(DATA_SIZE.to_owned()),
                    )])),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }),
    })
}
