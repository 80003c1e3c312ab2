//! One service with its defaults.

use std::collections::BTreeSet;

use super::database::{Database, resolve_database, resolve_migrations};
use super::metrics::resolve_service_metrics;
use super::{Violation, check_percent, release_image};
use crate::api::{
    Autoscaling, EnvFrom, EnvVar, Migrations, PlatformSpec, Probes, Profile, Resources, ServiceMetrics,
    ServiceSpec, Sizes,
};
use crate::known::{GATEWAY, KnownService, known_service};
use crate::names::ServiceName;
use crate::quantity::parse_quantity;
use crate::settings::Settings;

/// Ports that the collector and the metrics use in every pod.
const RESERVED_PORTS: &[i32] = &[4317, 4318, 8888, 9464];
/// Paths that the gateway answers itself.
const RESERVED_PREFIXES: &[&str] = &[
    "/v1",
    "/api-docs",
    "/debug",
    "/health",
    "/healthz",
    "/metrics",
    "/readyz",
];

/// CPU and memory of a container, where nobody says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeDefaults {
    pub cpu_request: &'static str,
    pub memory_request: &'static str,
    pub memory_limit: &'static str,
}

// Four times what the hungriest service of ours takes on two cores: auth, at most 60 MB during 200 sign-ups, of which
// 20 MiB are for each core that hashes a password. A node has more cores than that; what is in /tmp counts as well. A
// limit reserves nothing, while a service that reaches it is killed.
const MEMORY_LIMIT: &str = "256Mi";
/// Enough to start on a laptop.
const LOCAL_SIZES: SizeDefaults = SizeDefaults {
    cpu_request: "25m",
    memory_request: "32Mi",
    memory_limit: MEMORY_LIMIT,
};
/// For users: what a service of ours takes under some load.
const PRODUCTION_SIZES: SizeDefaults = SizeDefaults {
    cpu_request: "100m",
    memory_request: "64Mi",
    memory_limit: MEMORY_LIMIT,
};

fn size_defaults(profile: Profile) -> &'static SizeDefaults {
    match profile {
        Profile::Local => &LOCAL_SIZES,
        Profile::Production => &PRODUCTION_SIZES,
    }
}

/// A service whose every rule holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its image.
    pub image: String,
    /// TCP port of its API.
    pub port: i32,
    /// Number of its pods.
    pub scale: Scale,
    /// Where it keeps data; None if it has no database.
    pub database: Option<Database>,
    /// How its image brings the schema of its database up to date; None if nothing is to be done before it starts.
    pub migrations: Option<Migrations>,
    /// CPU and memory of its container.
    pub sizes: ContainerSizes,
    /// Environment that the Platform's author wants.
    pub env: Vec<EnvVar>,
    /// Secrets and `ConfigMap`s whose keys become variables.
    pub env_from: Vec<EnvFrom>,
    /// Services that it calls.
    pub depends_on: BTreeSet<ServiceName>,
    /// Its place behind the gateway.
    pub path_prefix: Option<String>,
    /// Paths that say how it is.
    pub probes: Probes,
    /// Where it offers metrics; None if it is not known to offer any.
    pub metrics: Option<ServiceMetrics>,
    /// Path of its API document.
    pub api_document: String,
    /// Share of new traces that begin at it and are recorded, 0–100; None: the Platform's.
    pub sampling_percent: Option<i32>,
}

/// Number of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scale {
    /// So many.
    Fixed(i32),
    /// As many as the load needs.
    Automatic(Autoscaling),
}

impl Scale {
    /// The fewest pods that an autoscaler leaves; None where their number is fixed.
    pub const fn least(&self) -> Option<i32> {
        match self {
            Self::Fixed(_) => None,
            Self::Automatic(autoscaling) => Some(autoscaling.min_replicas),
        }
    }

    /// The most pods that there may be.
    pub fn max(&self) -> i32 {
        match self {
            Self::Fixed(replicas) => *replicas,
            Self::Automatic(autoscaling) => autoscaling.max_replicas,
        }
    }
}

/// CPU and memory of a container, as quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSizes {
    /// CPU that the scheduler reserves.
    pub cpu_request: String,
    /// Memory that the scheduler reserves.
    pub memory_request: String,
    /// CPU that may be used; None: what is free. A limit would throttle a service in its busiest moment.
    pub cpu_limit: Option<String>,
    /// Memory that may be used.
    pub memory_limit: String,
}

/// Resolves a service, and reports every rule that it breaks. None if it has no usable name, image or port.
pub(super) fn resolve_service(
    spec: &ServiceSpec,
    platform: &PlatformSpec,
    listed: &BTreeSet<&str>,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Service> {
    let known = known_service(&spec.name);
    let service = spec.name.clone();
    let name = ServiceName::parse(&spec.name).map_err(|error| violations.push(Violation::ServiceName(error)));

    let image = spec.image.clone().or_else(|| release_image(&spec.name, settings));
    if image.is_none() {
        violations.push(Violation::ImageMissing {
            service: service.clone(),
        });
    }
    let port = spec.port.or(known.map(|known| known.port));
    match port {
        None => violations.push(Violation::PortMissing {
            service: service.clone(),
        }),
        Some(port) if !(1..=65535).contains(&port) || RESERVED_PORTS.contains(&port) => {
            violations.push(Violation::Port {
                service: service.clone(),
                port,
            });
        }
        Some(_) => {}
    }
    let metrics = resolve_service_metrics(spec, known, port, violations);
    let database = resolve_database(spec, known, platform, violations);
    let migrations = resolve_migrations(spec, known, database.as_ref(), violations);
    let single_writer = matches!(database, Some(Database::File(_)));
    let scale = resolve_scale(spec, platform.profile, single_writer, violations);
    let depends_on = resolve_dependencies(spec, known, listed, violations);
    check_variables(spec, violations);
    let path_prefix = resolve_prefix(spec, known, violations);
    let path = format!("spec.services[{}]", spec.name);
    let sizes = resolve_sizes(
        &path,
        &spec.resources,
        size_defaults(platform.profile),
        violations,
    );
    let sampling_percent = spec
        .telemetry
        .as_ref()
        .and_then(|telemetry| telemetry.sampling_percent);
    if let Some(percent) = sampling_percent {
        check_percent("samplingPercent", percent, violations);
    }
    if spec
        .env_from
        .iter()
        .any(|source| source.secret_ref.is_some() == source.config_map_ref.is_some())
    {
        violations.push(Violation::EnvFrom {
            service: service.clone(),
        });
    }
    Some(Service {
        name: name.ok()?,
        image: image?,
        port: port?,
        scale,
        database,
        migrations,
        sizes,
        env: spec.env.clone(),
        env_from: spec.env_from.clone(),
        depends_on,
        path_prefix,
        probes: spec.probes.clone(),
        api_document: spec.api_docs.path.clone(),
        sampling_percent,
        metrics,
    })
}

/// A variable has one value at most.
fn check_variables(spec: &ServiceSpec, violations: &mut Vec<Violation>) {
    for entry in &spec.env {
        let rule = match (&entry.value, &entry.value_from) {
            (Some(_), Some(_)) => "has value or valueFrom, not both",
            (_, Some(from)) if from.secret_key_ref.is_some() == from.config_map_key_ref.is_some() => {
                "valueFrom has exactly one of secretKeyRef and configMapKeyRef"
            }
            _ => continue,
        };
        violations.push(Violation::Variable {
            service: spec.name.clone(),
            variable: entry.name.clone(),
            rule,
        });
    }
}

/// The number of pods that the spec names, else the profile's.
fn resolve_scale(
    spec: &ServiceSpec,
    profile: Profile,
    single_writer: bool,
    violations: &mut Vec<Violation>,
) -> Scale {
    let service = || spec.name.clone();
    let scale = match (&spec.autoscaling, spec.replicas) {
        (Some(autoscaling), replicas) => {
            if replicas.is_some() {
                violations.push(Violation::ReplicasAndAutoscaling { service: service() });
            }
            let Autoscaling {
                min_replicas,
                max_replicas,
                ..
            } = autoscaling;
            if !(1 <= *min_replicas && min_replicas <= max_replicas && *max_replicas <= 100) {
                violations.push(Violation::AutoscalingBounds { service: service() });
            }
            Scale::Automatic(autoscaling.clone())
        }
        (None, Some(replicas)) => Scale::Fixed(replicas),
        (None, None) if profile == Profile::Production && !single_writer => Scale::Fixed(2),
        (None, None) => Scale::Fixed(1),
    };
    if let Scale::Fixed(replicas) = scale
        && !(0..=100).contains(&replicas)
    {
        violations.push(Violation::Replicas {
            service: service(),
            replicas,
        });
    } else if single_writer && (scale.max() > 1 || spec.autoscaling.is_some()) {
        violations.push(Violation::EmbeddedReplicas {
            service: service(),
            replicas: scale.max(),
        });
    }
    scale
}

fn resolve_dependencies(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    listed: &BTreeSet<&str>,
    violations: &mut Vec<Violation>,
) -> BTreeSet<ServiceName> {
    let Some(named) = &spec.depends_on else {
        let implied = known.map_or(&[] as &[_], |known| known.depends_on).iter();
        return implied
            .filter(|name| listed.contains(*name))
            .filter_map(|name| ServiceName::parse(name).ok())
            .collect();
    };
    violations.extend(
        named
            .iter()
            .filter(|name| !listed.contains(name.as_str()))
            .map(|name| Violation::UnknownDependency {
                service: spec.name.clone(),
                dependency: name.clone(),
            }),
    );
    named
        .iter()
        .filter_map(|name| ServiceName::parse(name).ok())
        .collect()
}

fn resolve_prefix(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    violations: &mut Vec<Violation>,
) -> Option<String> {
    let Some(route) = &spec.route else {
        return known.and_then(|known| known.path_prefix).map(str::to_owned);
    };
    if spec.name == GATEWAY {
        violations.push(Violation::NotAllowed {
            field: format!("services[{GATEWAY}].route"),
            only: "the service is another one: the routes lead through the gateway",
        });
    }
    let prefix = route.path_prefix.clone();
    let segment = prefix.strip_prefix('/').unwrap_or_default();
    let well_formed = !segment.is_empty()
        && segment
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !segment.starts_with('-')
        && !segment.ends_with('-');
    if !well_formed || RESERVED_PREFIXES.contains(&prefix.as_str()) {
        violations.push(Violation::Prefix {
            service: spec.name.clone(),
            prefix: prefix.clone(),
        });
    }
    Some(prefix)
}

/// What is left out gets its default; one that contradicts what is given gives way to it. `path` is where the resources
/// stand.
pub(super) fn resolve_sizes(
    path: &str,
    resources: &Resources,
    defaults: &SizeDefaults,
    violations: &mut Vec<Violation>,
) -> ContainerSizes {
    let requests = resources.requests.clone().unwrap_or_default();
    let limits = resources.limits.clone().unwrap_or_default();
    check_quantities(path, &requests, &limits, violations);
    let smaller = |a: &str, b: &str| parse_quantity(a) < parse_quantity(b);

    let memory_limit = limits.memory.clone().unwrap_or_else(|| match &requests.memory {
        Some(request) if smaller(defaults.memory_limit, request) => request.clone(),
        _ => defaults.memory_limit.to_owned(),
    });
    let memory_request = requests.memory.unwrap_or_else(|| match &limits.memory {
        Some(limit) if smaller(limit, defaults.memory_request) => limit.clone(),
        _ => defaults.memory_request.to_owned(),
    });
    let cpu_request = requests.cpu.unwrap_or_else(|| match &limits.cpu {
        Some(limit) if smaller(limit, defaults.cpu_request) => limit.clone(),
        _ => defaults.cpu_request.to_owned(),
    });
    ContainerSizes {
        cpu_request,
        memory_request,
        cpu_limit: limits.cpu,
        memory_limit,
    }
}

fn check_quantities(path: &str, requests: &Sizes, limits: &Sizes, violations: &mut Vec<Violation>) {
    for (field, value) in [
        ("requests.cpu", &requests.cpu),
        ("requests.memory", &requests.memory),
        ("limits.cpu", &limits.cpu),
        ("limits.memory", &limits.memory),
    ] {
        if let Some(value) = value.as_ref().filter(|value| parse_quantity(value).is_none()) {
            violations.push(Violation::Quantity {
                path: path.to_owned(),
                field,
                value: value.clone(),
            });
        }
    }
    for (resource, request, limit) in [
        ("cpu", &requests.cpu, &limits.cpu),
        ("memory", &requests.memory, &limits.memory),
    ] {
        let amount = |value: &Option<String>| value.as_deref().and_then(parse_quantity);
        if let (Some(request), Some(limit)) = (amount(request), amount(limit))
            && request > limit
        {
            violations.push(Violation::RequestAboveLimit {
                path: path.to_owned(),
                resource,
            });
        }
    }
}
