//! Network policies: nothing gets into a pod of the Platform but what the spec declares. Ways out stay open: services
//! call what the spec does not know, such as mail servers and payment providers.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::collector::tiers;
use super::jaeger::{QUERY_PORT, metrics_port};
use super::network::selector;
use super::pipeline::{METRICS_PORT as COLLECTOR_METRICS_PORT, OTLP_GRPC_PORT};
use super::postgres::{APP as POSTGRES_APP, BACKUP_APP, PORT as POSTGRES_PORT, ROLES_APP};
use super::prometheus::PORT as PROMETHEUS_PORT;
use super::{Body, Part};
use crate::build::environment::OTLP_HTTP_PORT;
use crate::known::GATEWAY;
use crate::labels::{self, Component};
use crate::resolve::{Backend, CollectorTier, Database, Exposure, Prometheus, Resolved, Service};

/// Every network policy of a Platform.
pub(super) fn build_policies(resolved: &Resolved) -> Vec<Part> {
    if !resolved.network_policies {
        return Vec::new();
    }
    let mut parts = vec![part(
        resolved.name.default_deny(),
        (Component::Network, Component::Network.as_str()),
        whole_platform(resolved),
        Vec::new(),
    )];
    parts.extend(
        resolved
            .services
            .iter()
            .map(|service| of_service(resolved, service)),
    );
    parts.extend(of_telemetry(resolved));
    parts.extend(of_database(resolved));
    parts.extend(of_prometheus(resolved));
    parts
}

/// The database server answers the services that have a database there, and what is done for them.
fn of_database(resolved: &Resolved) -> Option<Part> {
    resolved.postgres.as_ref()?;
    let users = resolved
        .services
        .iter()
        .filter(|service| service.database == Some(Database::Managed))
        .flat_map(|service| [service.name.to_string(), service.name.migration()]);
    let peers = users
        .chain([ROLES_APP, BACKUP_APP].map(str::to_owned))
        .map(|app| pods_of(resolved, &app));
    Some(part(
        resolved.name.postgres(),
        (Component::Database, POSTGRES_APP),
        pods(resolved, POSTGRES_APP),
        vec![allow(peers.collect(), &[POSTGRES_PORT])],
    ))
}

/// The managed Prometheus answers Jaeger, and whoever draws its metrics.
fn of_prometheus(resolved: &Resolved) -> Option<Part> {
    let prometheus = resolved.metrics.prometheus.as_ref()?;
    matches!(prometheus, Prometheus::Managed { .. }).then(|| {
        part(
            resolved.name.prometheus(),
            (Component::Prometheus, "prometheus"),
            pods(resolved, "prometheus"),
            vec![allow(vec![anybody_inside()], &[PROMETHEUS_PORT])],
        )
    })
}

fn of_service(resolved: &Resolved, service: &Service) -> Part {
    let callers = resolved
        .services
        .iter()
        .filter(|other| other.depends_on.contains(&service.name))
        .map(|other| pods_of(resolved, other.name.as_str()));
    let peers = if service.name.as_str() == GATEWAY {
        visitors(&resolved.exposure)
    } else {
        callers.chain([the_operator()]).collect()
    };
    let mut rules = vec![allow(peers, &[service.port])];
    rules.extend(
        service
            .metrics
            .as_ref()
            .map(|metrics| allow(vec![anybody_inside()], &[metrics.port])),
    );
    // Its metrics are evidence; what a Prometheus scrapes is the service.
    rules.extend(has_sidecars(resolved).then(|| allow(vec![the_operator()], &[COLLECTOR_METRICS_PORT])));
    let app = service.name.as_str();
    part(
        resolved.name.workload(&service.name),
        (Component::Service, app),
        pods(resolved, app),
        rules,
    )
}

/// Jaeger and the collectors take spans from the Platform's own pods.
fn of_telemetry(resolved: &Resolved) -> Vec<Part> {
    let Some(tracing) = &resolved.tracing else {
        return Vec::new();
    };
    let own = || NetworkPolicyPeer {
        pod_selector: Some(whole_platform(resolved)),
        ..NetworkPolicyPeer::default()
    };
    let otlp = [OTLP_GRPC_PORT, OTLP_HTTP_PORT];
    let mut parts = Vec::new();
    if matches!(tracing.backend, Backend::Managed { .. }) {
        let readers = match &resolved.exposure {
            Exposure::NodePort(_) => EVERYBODY,
            Exposure::None | Exposure::Ingress(_) | Exposure::Gateway(_) => vec![anybody_inside()],
        };
        // The operator's own traces are kept by the Jaeger of a Platform, if it is told so.
        let rules = vec![
            allow(vec![own(), the_operator()], &otlp),
            allow(readers, &[QUERY_PORT]),
            allow(vec![anybody_inside()], &[metrics_port(resolved)]),
        ];
        parts.push(part(
            resolved.name.jaeger(),
            (Component::Jaeger, "jaeger"),
            pods(resolved, "jaeger"),
            rules,
        ));
    }
    for (app, name) in tiers(resolved) {
        let rules = vec![
            allow(vec![own()], &otlp),
            allow(vec![anybody_inside()], &[COLLECTOR_METRICS_PORT]),
        ];
        parts.push(part(
            name,
            (Component::Collector, app),
            pods(resolved, app),
            rules,
        ));
    }
    parts
}

fn has_sidecars(resolved: &Resolved) -> bool {
    let tier = resolved.collector().map(|collector| &collector.tier);
    matches!(tier, Some(CollectorTier::Sidecar))
}

/// Empty peers mean everybody.
const EVERYBODY: Vec<NetworkPolicyPeer> = Vec::new();

/// Who may speak to the gateway. Traffic through a port of a node has lost its source, and an ingress controller or a load
/// balancer need not be a pod, or one of the pods' network.
fn visitors(exposure: &Exposure) -> Vec<NetworkPolicyPeer> {
    match exposure {
        Exposure::None => vec![anybody_inside()],
        Exposure::NodePort(_) | Exposure::Ingress(_) | Exposure::Gateway(_) => EVERYBODY,
    }
}

/// Any pod of any namespace.
fn anybody_inside() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    }
}

/// The operator asks services and Jaeger for evidence. These labels are what its chart gives every pod of it, whatever the
/// release is called.
fn the_operator() -> NetworkPolicyPeer {
    let labels = [
        (labels::COMPONENT, "operator"),
        (labels::PART_OF, labels::PART_OF_VALUE),
    ];
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(select(
            labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        )),
        ip_block: None,
    }
}

fn pods_of(resolved: &Resolved, app: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(pods(resolved, app)),
        ..NetworkPolicyPeer::default()
    }
}

fn pods(resolved: &Resolved, app: &str) -> LabelSelector {
    select(selector(resolved, app))
}

fn whole_platform(resolved: &Resolved) -> LabelSelector {
    select(
        [
            (labels::PLATFORM.to_owned(), resolved.name.to_string()),
            (labels::PART_OF.to_owned(), labels::PART_OF_VALUE.to_owned()),
        ]
        .into(),
    )
}

fn select(match_labels: std::collections::BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(match_labels),
        match_expressions: None,
    }
}

/// Lets these peers in on these ports.
fn allow(peers: Vec<NetworkPolicyPeer>, ports: &[i32]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: (!peers.is_empty()).then_some(peers),
        ports: Some(
            ports
                .iter()
                .map(|port| NetworkPolicyPort {
                    port: Some(IntOrString::Int(*port)),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                })
                .collect(),
        ),
    }
}

fn part(
    name: String,
    (component, app): (Component, &str),
    pods: LabelSelector,
    rules: Vec<NetworkPolicyIngressRule>,
) -> Part {
    Part {
        name,
        app: app.to_owned(),
        component,
        body: Body::of(&NetworkPolicy {
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(pods),
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: (!rules.is_empty()).then_some(rules),
                egress: None,
            }),
            ..NetworkPolicy::default()
        }),
    }
}
