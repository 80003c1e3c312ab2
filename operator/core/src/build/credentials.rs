//! Secrets that the operator makes.

use k8s_openapi::api::core::v1::{EnvVar, Secret};

use super::environment::from_secret;
use super::{Body, Part};
use crate::api::KeyRef;
use crate::known::known_service;
use crate::labels::Component;
use crate::passwords::ENCRYPTION_KEY;
use crate::resolve::{Database, Resolved, Service};

/// A Secret whose content comes when it is made (see [`passwords`](crate::passwords)) and stays. Taken away and made
/// anew, it is another object: what reads it goes by its uid.
pub(super) fn build_secret(name: String, app: &str, component: Component) -> Part {
    Part {
        name,
        app: app.to_owned(),
        component,
        body: Body::of(&Secret::default()),
    }
}

/// The key of a service that seals what it stores in a database that is no file; None for every other.
pub(super) fn build_encryption_key(resolved: &Resolved, service: &Service) -> Option<Part> {
    seals(service).then(|| {
        let name = resolved.name.encryption_secret(&service.name);
        build_secret(name, service.name.as_str(), Component::EncryptionKey)
    })
}

/// The variable with that key.
pub(super) fn encryption_variable(resolved: &Resolved, service: &Service) -> Option<EnvVar> {
    let reference = || KeyRef {
        name: resolved.name.encryption_secret(&service.name),
        key: ENCRYPTION_KEY.to_owned(),
    };
    seals(service).then(|| from_secret("KEY_ENCRYPTION_KEY", &reference()))
}

fn seals(service: &Service) -> bool {
    let is_server = matches!(service.database, Some(Database::Managed | Database::External(_)));
    is_server && known_service(service.name.as_str()).is_some_and(|known| known.seals)
}
