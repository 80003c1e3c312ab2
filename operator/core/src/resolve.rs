//! From what a Platform says to what it means: every default filled in, every rule checked, every name parsed.
//!
//! Past this point nothing can fail: builders take a [`Resolved`] and give objects.

mod database;
mod errors;
mod exposure;
mod metrics;
mod service;
mod tracing;
mod violation;

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

pub(crate) use self::database::database_url;
pub use self::database::{Database, Postgres};
use self::database::{check_shared_url, resolve_postgres};
pub use self::errors::Errors;
use self::errors::{resolve_environment, resolve_errors};
use self::exposure::resolve_exposure;
pub use self::exposure::{Exposure, NodePorts};
use self::metrics::resolve_metrics;
pub use self::metrics::{Discovery, Metrics, Prometheus};
use self::service::resolve_service;
pub use self::service::{ContainerSizes, Scale, Service};
use self::tracing::resolve_tracing;
pub use self::tracing::{Backend, Collector, CollectorTier, JaegerStorage, Tracing};
pub use self::violation::Violation;
use crate::api::{ApiDocs, DeletionPolicy, ManagementState, NetworkPolicyMode, Platform, Profile};
use crate::kinds::Kind;
use crate::known::{GATEWAY, known_service};
use crate::names::{PlatformName, ServiceName};
use crate::references::Reference;
use crate::settings::Settings;
use crate::step::Facts;

/// A Platform whose every rule holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Its name.
    pub name: PlatformName,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Its services in start order: each after those it depends on, else by name.
    pub services: Vec<Service>,
    /// What its errors and spans are marked with, so that those of one environment are told from those of another.
    pub environment: String,
    /// The database server of its own; None if it has none.
    pub postgres: Option<Postgres>,
    /// Whether its data outlives it.
    pub retains_storage: bool,
    /// How its services are traced; None if they are not.
    pub tracing: Option<Tracing>,
    /// How its services report errors; None where the Platform does not say.
    pub errors: Option<Errors>,
    /// Uids of those of its objects that others are made for: passwords and volumes.
    pub uids: BTreeMap<Reference, String>,
    /// How its metrics are stored and found.
    pub metrics: Metrics,
    /// Versions of what it refers to; None for what is missing.
    pub references: BTreeMap<Reference, Option<String>>,
    /// How it is reached from outside.
    pub exposure: Exposure,
    /// Numbers and sizes of pods where the spec names none.
    pub profile: Profile,
    /// Where the API documents are.
    pub api_docs: ApiDocs,
    /// Whether network policies let in only what is declared.
    pub network_policies: bool,
    /// Seconds after which a rollout without progress is stalled.
    pub progress_deadline_seconds: i32,
    /// Whether nothing is written but the status.
    pub paused: bool,
}

impl Resolved {
    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }

    /// Its ports on the nodes; None if it has none.
    pub fn node_ports(&self) -> Option<&NodePorts> {
        match &self.exposure {
            Exposure::NodePort(ports) => Some(ports),
            _ => None,
        }
    }

    /// The collector of its services; None if they send their spans themselves.
    pub fn collector(&self) -> Option<&Collector> {
        self.tracing.as_ref()?.collector.as_ref()
    }

    /// The version of something that pods read: by its uid where it is the Platform's own, since that never changes
    /// otherwise.
    pub fn version(&self, reference: &Reference) -> Option<&str> {
        let own = self.uids.get(reference);
        own.or_else(|| self.references.get(reference)?.as_ref())
            .map(String::as_str)
    }

    /// Uid of the volume of the database server, once it is there.
    pub fn database_uid(&self) -> Option<&str> {
        let claim = Reference {
            kind: Kind::PersistentVolumeClaim,
            name: self.name.postgres_claim(),
        };
        self.uids.get(&claim).map(String::as_str)
    }

    /// URL of a port of a Service inside the cluster.
    pub fn in_cluster_url(&self, service: &str, port: i32) -> String {
        format!("http://{service}.{}.svc:{port}", self.namespace)
    }

    /// URL of a service inside the namespace.
    pub fn internal_url(&self, service: &Service) -> String {
        format!("http://{}:{}", self.name.workload(&service.name), service.port)
    }
}

/// Resolves a Platform, or gives every rule that it breaks.
pub fn resolve(platform: &Platform, facts: &Facts, settings: &Settings) -> Result<Resolved, Vec<Violation>> {
    let mut violations = Vec::new();
    let name = PlatformName::parse(&platform.name_any());
    if let Err(error) = &name {
        violations.push(Violation::PlatformName(error.clone()));
    }

    let listed: BTreeSet<&str> = platform
        .spec
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    let mut services: BTreeMap<ServiceName, Service> = BTreeMap::new();
    for spec in &platform.spec.services {
        let Some(service) = resolve_service(spec, &platform.spec, &listed, settings, &mut violations) else {
            continue;
        };
        if let Some(twin) = services.insert(service.name.clone(), service) {
            violations.push(Violation::DuplicateService {
                service: twin.name.to_string(),
            });
        }
    }
    route_the_gateway(platform, &mut services);
    check_prefixes(&services, &mut violations);
    let postgres = resolve_postgres(&platform.spec, settings, &mut violations);
    check_shared_url(&platform.spec, &mut violations);
    let services = in_start_order(services, &mut violations);
    let telemetry = &platform.spec.telemetry;
    let tracing = resolve_tracing(telemetry, settings, &mut violations);
    let environment = resolve_environment(platform, &mut violations);
    let errors = resolve_errors(telemetry, &mut violations);
    let metrics = resolve_metrics(telemetry, facts, settings, &mut violations);
    let exposure = resolve_exposure(&platform.spec.exposure, &mut violations);
    let progress_deadline_seconds = platform.spec.rollout.progress_deadline_seconds;
    if !(30..=3600).contains(&progress_deadline_seconds) {
        violations.push(Violation::ProgressDeadline {
            seconds: progress_deadline_seconds,
        });
    }

    match name {
        Ok(name) if violations.is_empty() => Ok(Resolved {
            name,
            namespace: platform.namespace().unwrap_or_else(|| "default".to_owned()),
            uid: platform.uid().unwrap_or_default(),
            services,
            environment,
            tracing,
            errors,
            postgres,
            retains_storage: platform.spec.deletion_policy == DeletionPolicy::RetainStorage,
            uids: BTreeMap::new(),
            metrics,
            references: facts.references.clone(),
            exposure,
            profile: platform.spec.profile,
            api_docs: platform.spec.api_docs,
            network_policies: platform.spec.security.network_policy == NetworkPolicyMode::Enforced,
            progress_deadline_seconds,
            paused: platform.spec.management_state == ManagementState::Paused,
        }),
        _ => {
            violations.sort();
            violations.dedup();
            Err(violations)
        }
    }
}

/// The gateway depends, unless it says otherwise, on every service that has a route.
fn route_the_gateway(platform: &Platform, services: &mut BTreeMap<ServiceName, Service>) {
    let says_otherwise = platform
        .spec
        .services
        .iter()
        .any(|spec| spec.name == GATEWAY && spec.depends_on.is_some());
    let routed: BTreeSet<ServiceName> = services
        .values()
        .filter(|service| service.path_prefix.is_some() && service.name.as_str() != GATEWAY)
        .map(|service| service.name.clone())
        .collect();
    if let Some(gateway) = services
        .values_mut()
        .find(|service| service.name.as_str() == GATEWAY)
        && !says_otherwise
    {
        gateway.depends_on = routed;
    }
}

fn check_prefixes(services: &BTreeMap<ServiceName, Service>, violations: &mut Vec<Violation>) {
    let mut by_prefix: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for service in services.values() {
        if let Some(prefix) = &service.path_prefix {
            by_prefix
                .entry(prefix)
                .or_default()
                .push(service.name.to_string());
        }
    }
    violations.extend(
        by_prefix
            .into_iter()
            .filter(|(_, users)| users.len() > 1)
            .map(|(prefix, users)| Violation::SharedPrefix {
                prefix: prefix.to_owned(),
                services: users.join(", "),
            }),
    );
}

/// Sorts services so that each stands after those it depends on (Kahn's algorithm, smallest name first).
fn in_start_order(
    mut services: BTreeMap<ServiceName, Service>,
    violations: &mut Vec<Violation>,
) -> Vec<Service> {
    let mut ordered: Vec<Service> = Vec::with_capacity(services.len());
    while !services.is_empty() {
        let next = services
            .values()
            .find(|service| {
                !service
                    .depends_on
                    .iter()
                    .any(|dependency| services.contains_key(dependency))
            })
            .map(|service| service.name.clone());
        let Some(service) = next.and_then(|name| services.remove(&name)) else {
            violations.push(Violation::Cycle {
                path: find_cycle(&services),
            });
            break;
        };
        ordered.push(service);
    }
    ordered
}

/// One cycle among services that all wait for each other: `a → b → a`.
fn find_cycle(services: &BTreeMap<ServiceName, Service>) -> String {
    let mut path: Vec<&ServiceName> = Vec::new();
    let mut current = services.keys().next();
    while let Some(name) = current {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            let cycle = path.iter().skip(start).chain([&name]).map(ToString::to_string);
            return cycle.collect::<Vec<_>>().join(" → ");
        }
        path.push(name);
        current = services
            .get(name)
            .and_then(|service| service.depends_on.iter().find(|d| services.contains_key(*d)));
    }
    String::new()
}

fn check_percent(field: &'static str, value: i32, violations: &mut Vec<Violation>) {
    if !(0..=100).contains(&value) {
        violations.push(Violation::Percent { field, value });
    }
}

/// Image of one of Tracewell's own services in the operator's release.
fn release_image(name: &str, settings: &Settings) -> Option<String> {
    known_service(name).map(|known| {
        format!(
            "{}/tracewell-{}:{}",
            settings.image_repository, known.name, settings.image_tag
        )
    })
}
