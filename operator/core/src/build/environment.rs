//! The environment of a service: the contract between operator and services.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    SecretEnvSource, SecretKeySelector,
};

use super::credentials::encryption_variable;
use super::entrance::entrance_variables;
use super::jaeger::trace_ui_url;
use super::pipeline;
use super::pod::variable;
use super::postgres::connection_variables;
use super::workload::DATA_DIRECTORY;
use crate::api::{self, ApiDocs, KeyRef, ServiceApiDocs};
use crate::known::GATEWAY;
use crate::names::image_version;
use crate::resolve::{Backend, CollectorTier, Database, Resolved, Service, Tracing};

/// Variables that a Platform's author may set to something else: no field of the Platform says them.
const OVERRIDABLE: &[&str] = &[
    "RUST_LOG",
    "LOG_FORMAT",
    "SENTRY_CAPTURE_STATUS",
    "KEY_ENCRYPTION_KEY",
    "TRUSTED_PROXIES",
    "PASSKEY_RP_ID",
    "PASSKEY_ORIGINS",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
];
/// Seconds between the signal to end and the last accepted request: endpoints need that long to hear of it.
const SHUTDOWN_DELAY_SECONDS: i32 = 5;
/// OTLP/HTTP port of Jaeger and of the collectors.
pub(super) const OTLP_HTTP_PORT: i32 = 4318;

/// The whole environment of a service: Tracewell's variables, then those of the Platform's author.
pub(super) fn build_environment(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    merge(own_variables(resolved, service), service)
}

/// The environment of a service's migration: what it takes to reach the database, and what the author says. What
/// changes more often stays out, since a migration with another environment is another one.
pub(super) fn build_migration_environment(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    let mut own = vec![
        variable("LOG_FORMAT", "json"),
        variable("RUST_LOG", "info"),
        variable("OTEL_SDK_DISABLED", "true"),
    ];
    own.extend(database_variables(resolved, service));
    merge(own, service)
}

fn merge(own: Vec<EnvVar>, service: &Service) -> Vec<EnvVar> {
    let wanted: BTreeSet<&str> = service.env.iter().map(|entry| entry.name.as_str()).collect();
    let fixed: BTreeSet<String> = own
        .iter()
        .map(|entry| entry.name.clone())
        .filter(|name| !OVERRIDABLE.contains(&name.as_str()))
        .collect();
    let own = own
        .into_iter()
        .filter(|entry| fixed.contains(&entry.name) || !wanted.contains(entry.name.as_str()));
    let authors = service
        .env
        .iter()
        .filter(|entry| !fixed.contains(&entry.name))
        .map(author_variable);
    own.chain(authors).collect()
}

/// The Secrets and `ConfigMap`s whose keys become variables. Every variable of [`build_environment`] wins over them.
pub(super) fn build_sources(service: &Service) -> Option<Vec<EnvFromSource>> {
    let source = |source: &api::EnvFrom| EnvFromSource {
        prefix: source.prefix.clone(),
        secret_ref: source.secret_ref.as_ref().map(|secret| SecretEnvSource {
            name: secret.name.clone(),
            optional: None,
        }),
        config_map_ref: source.config_map_ref.as_ref().map(|config| ConfigMapEnvSource {
            name: config.name.clone(),
            optional: None,
        }),
    };
    (!service.env_from.is_empty()).then(|| service.env_from.iter().map(source).collect())
}

/// Names that the Platform's author set and that Tracewell sets itself: they have no effect.
pub fn ignored_variables<'a>(resolved: &Resolved, service: &'a Service) -> Vec<&'a str> {
    let own = own_variables(resolved, service);
    let is_own = |name: &str| own.iter().any(|entry| entry.name == name) && !OVERRIDABLE.contains(&name);
    service
        .env
        .iter()
        .map(|entry| entry.name.as_str())
        .filter(|name| is_own(name))
        .collect()
}

fn own_variables(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    let metrics = service.metrics.clone().unwrap_or_default();
    let mut variables = vec![
        // A variable may refer only to those before it, and the resource attributes refer to these.
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
        from_field("POD_UID", "metadata.uid"),
        from_field("NODE_NAME", "spec.nodeName"),
        variable("PORT", service.port.to_string()),
        variable("METRICS_PORT", metrics.port.to_string()),
        variable("SHUTDOWN_DELAY_SECONDS", SHUTDOWN_DELAY_SECONDS.to_string()),
        variable("API_DOCS", api_docs(resolved.api_docs)),
        variable("LOG_FORMAT", "json"),
        variable("RUST_LOG", "info"),
        variable("OTEL_SERVICE_NAME", service.name.as_str()),
        variable("OTEL_RESOURCE_ATTRIBUTES", resource_attributes(resolved, service)),
        // Metrics are scraped and logs are read from the output; an SDK sends both to the collector unless it is told not
        // to, and the collector takes traces only.
        variable("OTEL_METRICS_EXPORTER", "none"),
        variable("OTEL_LOGS_EXPORTER", "none"),
    ];
    variables.extend(scrape_variables(service));
    variables.extend(tracing_variables(resolved, service));
    variables.extend(error_variables(resolved, service));
    variables.extend(database_variables(resolved, service));
    variables.extend(encryption_variable(resolved, service));
    variables.extend(entrance_variables(resolved, service));
    let dependencies = service
        .depends_on
        .iter()
        .filter_map(|name| resolved.service(name.as_str()));
    variables
        .extend(dependencies.map(|other| variable(other.name.url_variable(), resolved.internal_url(other))));
    if service.name.as_str() == GATEWAY {
        variables.push(variable("GATEWAY_ROUTES", gateway_routes(resolved)));
        let documents = gateway_documents(resolved);
        variables.extend((!documents.is_empty()).then(|| variable("GATEWAY_DOCUMENTS", documents)));
    }
    variables
}

/// Where an SDK whose metrics are scraped has to listen: by itself it does so on the loopback, where no Prometheus comes.
fn scrape_variables(service: &Service) -> Vec<EnvVar> {
    let Some(metrics) = &service.metrics else {
        return Vec::new();
    };
    vec![
        variable("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0"),
        variable("OTEL_EXPORTER_PROMETHEUS_PORT", metrics.port.to_string()),
    ]
}

fn resource_attributes(resolved: &Resolved, service: &Service) -> String {
    [
        ("service.namespace", resolved.name.as_str()),
        ("service.version", image_version(&service.image)),
        ("service.instance.id", "$(POD_UID)"),
        ("k8s.namespace.name", "$(POD_NAMESPACE)"),
        ("k8s.pod.name", "$(POD_NAME)"),
        ("k8s.pod.uid", "$(POD_UID)"),
        ("k8s.node.name", "$(NODE_NAME)"),
        ("k8s.deployment.name", &resolved.name.workload(&service.name)),
        ("deployment.environment.name", &resolved.environment),
    ]
    .map(|(key, value)| format!("{key}={value}"))
    .join(",")
}

fn database_variables(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    match &service.database {
        None => Vec::new(),
        Some(Database::File(_)) => {
            let url = format!("sqlite://{DATA_DIRECTORY}/{}.db", service.name);
            vec![variable("DATABASE_URL", url)]
        }
        Some(Database::Managed) => connection_variables(resolved, &service.name).into(),
        Some(Database::External(url)) => vec![from_secret("DATABASE_URL", url)],
    }
}

fn tracing_variables(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    let Some(tracing) = &resolved.tracing else {
        return vec![variable("OTEL_TRACES_EXPORTER", "none")];
    };
    vec![
        variable("OTEL_TRACES_EXPORTER", "otlp"),
        variable("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_endpoint(resolved, tracing)),
        variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        variable(
            "OTEL_TRACES_SAMPLER_ARG",
            ratio(service.sampling_percent.unwrap_or(tracing.sampling_percent)),
        ),
        variable("OTEL_PROPAGATORS", "tracecontext,baggage"),
        // The default of 5 s is meant for a backend far away. People look for a trace right after their request.
        variable("OTEL_BSP_SCHEDULE_DELAY", "1000"),
    ]
}

fn error_variables(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    let debug_endpoints = resolved
        .errors
        .as_ref()
        .is_some_and(|errors| errors.debug_endpoints);
    let mut variables = vec![
        variable("DEBUG_ENDPOINTS", u8::from(debug_endpoints).to_string()),
        variable("SENTRY_ENVIRONMENT", &resolved.environment),
        variable("SENTRY_RELEASE", image_version(&service.image)),
    ];
    if let Some(errors) = &resolved.errors {
        variables.extend(errors.dsn.as_ref().map(|dsn| from_secret("SENTRY_DSN", dsn)));
        variables.extend([
            variable("SENTRY_TRACES_SAMPLE_RATE", ratio(errors.traces_sample_percent)),
            variable(
                "SENTRY_PROFILES_SAMPLE_RATE",
                ratio(errors.profiles_sample_percent),
            ),
            variable("SENTRY_CAPTURE_STATUS", "400-599"),
        ]);
        // An event leads to its trace, and the trace to the event.
        variables.extend(trace_ui_url(resolved).map(|url| variable("TRACE_UI_URL", url)));
        variables.extend(errors.ui_url.as_ref().map(|url| variable("SENTRY_UI_URL", url)));
    }
    variables
}

/// Where a service sends its spans: its collector, or the backend.
fn otlp_endpoint(resolved: &Resolved, tracing: &Tracing) -> String {
    match tracing.collector.as_ref().map(|collector| &collector.tier) {
        Some(CollectorTier::Sidecar) => format!("http://{}:{OTLP_HTTP_PORT}", pipeline::LOOPBACK),
        Some(CollectorTier::Gateway { .. }) => {
            format!("http://{}:{OTLP_HTTP_PORT}", resolved.name.collector())
        }
        None => backend_endpoint(resolved, &tracing.backend),
    }
}

/// Base URL of the backend's OTLP/HTTP receiver.
pub(super) fn backend_endpoint(resolved: &Resolved, backend: &Backend) -> String {
    match backend {
        Backend::Managed { .. } => format!("http://{}:{OTLP_HTTP_PORT}", resolved.name.jaeger()),
        Backend::External { endpoint, .. } => endpoint.clone(),
    }
}

/// Percent as a decimal ratio, without the noise of binary fractions: 7 is 0.07.
fn ratio(percent: i32) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// `/auth=http://demo-auth:3001,…`, in the order of the prefixes.
fn gateway_routes(resolved: &Resolved) -> String {
    let targets = resolved
        .services
        .iter()
        .filter(|service| service.name.as_str() != GATEWAY);
    let mut routes: Vec<String> = targets
        .filter_map(|service| {
            service
                .path_prefix
                .as_ref()
                .map(|prefix| format!("{prefix}={}", resolved.internal_url(service)))
        })
        .collect();
    routes.sort();
    routes.join(",")
}

/// `/prices=/openapi.json,…`: the API documents that are not where ours are.
fn gateway_documents(resolved: &Resolved) -> String {
    let elsewhere = resolved
        .services
        .iter()
        .filter(|service| service.api_document != ServiceApiDocs::default().path);
    let mut documents: Vec<String> = elsewhere
        .filter_map(|service| {
            Some(format!(
                "{}={}",
                service.path_prefix.as_ref()?,
                service.api_document
            ))
        })
        .collect();
    documents.sort();
    documents.join(",")
}

fn api_docs(api_docs: ApiDocs) -> &'static str {
    match api_docs {
        ApiDocs::Portal => "Portal",
        ApiDocs::PerService => "PerService",
        ApiDocs::Disabled => "Disabled",
    }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: path.to_owned(),
    };
    from_source(
        name,
        EnvVarSource {
            field_ref: Some(field),
            ..EnvVarSource::default()
        },
    )
}

/// A variable whose value is in a Secret.
pub(super) fn from_secret(name: &str, key: &KeyRef) -> EnvVar {
    from_source(
        name,
        EnvVarSource {
            secret_key_ref: Some(secret_key(key)),
            ..EnvVarSource::default()
        },
    )
}

fn from_source(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}

fn author_variable(entry: &api::EnvVar) -> EnvVar {
    let source = entry.value_from.as_ref().map(|from| EnvVarSource {
        secret_key_ref: from.secret_key_ref.as_ref().map(secret_key),
        config_map_key_ref: from
            .config_map_key_ref
            .as_ref()
            .map(|reference| ConfigMapKeySelector {
                name: reference.name.clone(),
                key: reference.key.clone(),
                optional: None,
            }),
        ..EnvVarSource::default()
    });
    EnvVar {
        name: entry.name.clone(),
        value: entry.value.clone(),
        value_from: source,
    }
}

/// Not optional: a pod without its Secret does not start, and the status names what is missing. An empty value would be
/// found out much later.
fn secret_key(reference: &KeyRef) -> SecretKeySelector {
    SecretKeySelector {
        name: reference.name.clone(),
        key: reference.key.clone(),
        optional: None,
    }
}
