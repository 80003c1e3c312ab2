//! What a Platform refers to: Secrets and `ConfigMap`s of its namespace that somebody else keeps.

use std::collections::BTreeSet;
use std::fmt;

use kube::core::DynamicObject;
use serde_json::Value;

use crate::api::{Platform, PlatformSpec, ServiceSpec};
use crate::hash::short_hash_of;
use crate::kinds::Kind;
use crate::known::known_service;
use crate::resolve::database_url;

/// An object that a Platform refers to, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Secret or `ConfigMap`; of the Platform's own objects, a volume claim too.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// A Secret.
    pub fn secret(name: impl Into<String>) -> Self {
        Self {
            kind: Kind::Secret,
            name: name.into(),
        }
    }

    /// A `ConfigMap`.
    pub fn config_map(name: impl Into<String>) -> Self {
        Self {
            kind: Kind::ConfigMap,
            name: name.into(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Everything that this Platform refers to, whether or not the rest of it makes sense.
pub fn references(platform: &Platform) -> BTreeSet<Reference> {
    let spec = &platform.spec;
    let errors = spec
        .telemetry
        .errors
        .iter()
        .flat_map(|errors| &errors.dsn_secret_ref);
    let exporters = spec.telemetry.tracing.exporters.iter().flat_map(|exporter| {
        let headers = exporter.headers.iter().map(|header| &header.secret_key_ref);
        headers.chain(&exporter.ca_secret_ref)
    });
    let tls = spec
        .exposure
        .ingress
        .iter()
        .flat_map(|ingress| &ingress.tls_secret_ref);
    let keys = errors.chain(exporters).map(|key| &key.name);
    let secrets = keys.chain(tls.map(|secret| &secret.name)).map(Reference::secret);
    spec.services
        .iter()
        .flat_map(of_service)
        .chain(secrets)
        .chain(databases(spec))
        .collect()
}

/// The Secrets with URLs of databases, as far as a service uses them.
fn databases(spec: &PlatformSpec) -> impl Iterator<Item = Reference> {
    spec.services.iter().filter_map(|service| {
        let url = database_url(service, known_service(&service.name), spec)?;
        Some(Reference::secret(url.name))
    })
}

/// What the environment of one service refers to.
fn of_service(service: &ServiceSpec) -> BTreeSet<Reference> {
    let keys = service
        .env
        .iter()
        .filter_map(|entry| entry.value_from.as_ref())
        .flat_map(|source| {
            let secret = source
                .secret_key_ref
                .iter()
                .map(|key| Reference::secret(&key.name));
            let config = source
                .config_map_key_ref
                .iter()
                .map(|key| Reference::config_map(&key.name));
            secret.chain(config)
        });
    let whole = service.env_from.iter().flat_map(|source| {
        let secret = source
            .secret_ref
            .iter()
            .map(|secret| Reference::secret(&secret.name));
        let config = source
            .config_map_ref
            .iter()
            .map(|config| Reference::config_map(&config.name));
        secret.chain(config)
    });
    keys.chain(whole).collect()
}

/// Where the pods of a Deployment, a `StatefulSet` or a Job are described, and those of a `CronJob`.
const POD_TEMPLATES: [&str; 2] = ["/spec/template", "/spec/jobTemplate/spec/template"];

/// Where the pods of an object are described; None if it has no pods.
pub(crate) fn pod_template(content: &Value) -> Option<&Value> {
    POD_TEMPLATES.iter().find_map(|pointer| content.pointer(pointer))
}

/// The same, to write.
pub(crate) fn pod_template_mut(content: &mut Value) -> Option<&mut Value> {
    let pointer = POD_TEMPLATES
        .iter()
        .find(|pointer| content.pointer(pointer).is_some())?;
    content.pointer_mut(pointer)
}

/// What the pods of this object read. Optional ones are left out: they may be missing.
pub(crate) fn in_pod(object: &DynamicObject) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    if let Some(template) = pod_template(&object.data) {
        collect(template, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Reference>) {
    let name = |source: &Value, field: &str| {
        let optional = source.get("optional").and_then(Value::as_bool).unwrap_or(false);
        let name = source.get(field).and_then(Value::as_str).filter(|_| !optional);
        name.map(str::to_owned)
    };
    // Even an optional one: what is optional about our volumes is the key, which is missed by the program then.
    let volume = |source: &Value| {
        let name = source.get("secretName").or_else(|| source.get("name"))?;
        Some(name.as_str()?.to_owned())
    };
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                found.extend(match field.as_str() {
                    "secretKeyRef" | "secretRef" => name(inner, "name").map(Reference::secret),
                    "configMapKeyRef" | "configMapRef" => name(inner, "name").map(Reference::config_map),
                    "secret" => volume(inner).map(Reference::secret),
                    _ => None,
                });
                collect(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Changes whenever something changes that these pods read and that has a version; None if there is no such.
pub(crate) fn version_of_inputs<'a>(
    content: &Value,
    version: impl Fn(&Reference) -> Option<&'a str>,
) -> Option<String> {
    let mut read = BTreeSet::new();
    collect(pod_template(content)?, &mut read);
    let known: Vec<(String, &str)> = read
        .iter()
        .filter_map(|reference| Some((reference.to_string(), version(reference)?)))
        .collect();
    (!known.is_empty()).then(|| short_hash_of(&serde_json::json!(known)))
}
