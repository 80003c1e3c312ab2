//! From what a Platform says to what it means: every default filled in, every rule checked, every name parsed.
//!
//! Past this point nothing can fail: builders take a [`Resolved`] and give objects.

mod errors;
mod service;
mod violation;

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

pub use self::errors::Errors;
use self::errors::{resolve_environment, resolve_errors};
use self::service::resolve_service;
pub use self::service::{ContainerSizes, Service};
pub use self::violation::Violation;
use crate::api::{CollectorMode, ExposureType, JaegerType, Platform, TelemetrySpec};
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
    /// How its services are traced; None if they are not.
    pub tracing: Option<Tracing>,
    /// How its services report errors; None where the Platform does not say.
    pub errors: Option<Errors>,
    /// Versions of what it refers to; None for what is missing.
    pub references: BTreeMap<Reference, Option<String>>,
    /// Its ports on the nodes; None if it has none.
    pub node_ports: Option<NodePorts>,
}

/// How services are traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Share of new traces that are recorded, 0–100.
    pub sampling_percent: i32,
    /// Image of the collector beside each service; None if services send their spans themselves.
    pub collector_image: Option<String>,
    /// Where spans go.
    pub backend: Backend,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// To a Jaeger of this Platform.
    Managed {
        /// Its image.
        image: String,
        /// Number of traces that it keeps in memory.
        max_traces: i32,
    },
    /// To a backend of somebody else's.
    External {
        /// Base URL of its OTLP/HTTP receiver.
        endpoint: String,
        /// Base URL of its user interface.
        query_url: Option<String>,
    },
}

/// Ports on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePorts {
    /// Name or address of a node, as users reach it.
    pub host: String,
    /// The gateway's port.
    pub gateway: i32,
    /// The port of a managed Jaeger.
    pub jaeger: i32,
}

impl Resolved {
    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
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
        let Some(service) = resolve_service(spec, &listed, settings, &mut violations) else {
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
    let services = in_start_order(services, &mut violations);
    let telemetry = &platform.spec.telemetry;
    let tracing = resolve_tracing(telemetry, settings, &mut violations);
    let environment = resolve_environment(platform, &mut violations);
    let errors = resolve_errors(telemetry, &mut violations);
    let node_ports = resolve_node_ports(platform, &mut violations);

    match name {
        Ok(name) if violations.is_empty() => Ok(Resolved {
            name,
            namespace: platform.namespace().unwrap_or_else(|| "default".to_owned()),
            uid: platform.uid().unwrap_or_default(),
            services,
            environment,
            tracing,
            errors,
            references: facts.references.clone(),
            node_ports,
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

fn resolve_tracing(
    spec: &TelemetrySpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Tracing> {
    let jaeger = &spec.tracing.jaeger;
    check_percent(
        "tracing.samplingPercent",
        spec.tracing.sampling_percent,
        violations,
    );
    let backend = match (jaeger.type_, &jaeger.external) {
        (JaegerType::Disabled, _) => return None,
        (JaegerType::Managed, _) => Backend::Managed {
            image: settings.jaeger_image.clone(),
            max_traces: jaeger
                .managed
                .clone()
                .unwrap_or_default()
                .storage
                .memory
                .max_traces,
        },
        (JaegerType::External, Some(external)) => {
            if spec.collector.mode == CollectorMode::None && !external.endpoint.starts_with("http://") {
                violations.push(Violation::EndpointNeedsCollector {
                    endpoint: external.endpoint.clone(),
                });
            }
            Backend::External {
                endpoint: external.endpoint.clone(),
                query_url: external.query_url.clone(),
            }
        }
        (JaegerType::External, None) => {
            violations.push(Violation::ExternalMissing);
            return None;
        }
    };
    let collector_image = match spec.collector.mode {
        CollectorMode::None => None,
        CollectorMode::Sidecar => Some(
            spec.collector
                .image
                .clone()
                .unwrap_or_else(|| settings.collector_image.clone()),
        ),
    };
    Some(Tracing {
        sampling_percent: spec.tracing.sampling_percent,
        collector_image,
        backend,
    })
}

fn check_percent(field: &'static str, value: i32, violations: &mut Vec<Violation>) {
    if !(0..=100).contains(&value) {
        violations.push(Violation::Percent { field, value });
    }
}

fn resolve_node_ports(platform: &Platform, violations: &mut Vec<Violation>) -> Option<NodePorts> {
    let exposure = &platform.spec.exposure;
    if exposure.type_ == ExposureType::None {
        return None;
    }
    let ports = exposure.node_port.clone().unwrap_or_default();
    if ports.gateway == ports.jaeger {
        violations.push(Violation::SharedNodePort { port: ports.gateway });
    }
    Some(NodePorts {
        host: ports.host,
        gateway: ports.gateway,
        jaeger: ports.jaeger,
    })
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
