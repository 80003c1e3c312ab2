//! Addresses that a user can open, from where `spec.exposure` says.
//!
//! A port of every node is told once a Service has it: until then it may be another Platform's, and lead there.

use crate::api::{ApiDocs, Endpoint};
use crate::build::{prometheus_url, trace_ui_url};
use crate::known::GATEWAY;
use crate::observe::{BackendObservation, Observation};
use crate::resolve::{NodePorts, Resolved};

/// Whether the Platform has the port that it wants; it does where it wants none.
fn has_port(resolved: &Resolved, observation: &Observation, port: fn(&NodePorts) -> i32) -> bool {
    let wanted = resolved.node_ports().map(port);
    wanted.is_none_or(|port| observation.node_ports.contains(&port))
}

/// Where a user reaches the gateway; None without one.
pub(super) fn gateway_url(resolved: &Resolved, observation: &Observation) -> Option<String> {
    let gateway = resolved
        .service(GATEWAY)
        .filter(|_| has_port(resolved, observation, |ports| ports.gateway))?;
    let in_cluster = || resolved.in_cluster_url(&resolved.name.workload(&gateway.name), gateway.port);
    // A Gateway's listener that speaks TLS redirects.
    let outside = resolved.exposure.origins().into_iter().next();
    Some(outside.unwrap_or_else(in_cluster))
}

/// Every address, by name.
pub(super) fn list_endpoints(resolved: &Resolved, observation: &Observation) -> Vec<Endpoint> {
    let endpoint = |name: &str, url: String| Endpoint {
        name: name.to_owned(),
        url,
    };
    let gateway = gateway_url(resolved, observation);
    let api_docs = gateway
        .as_ref()
        .filter(|_| resolved.api_docs == ApiDocs::Portal)
        .map(|url| endpoint("api-docs", format!("{url}/api-docs")));
    let gateway = gateway.map(|url| endpoint("gateway", url));
    let is_others = !matches!(observation.backend, BackendObservation::Managed(_));
    let jaeger = trace_ui_url(resolved)
        .filter(|_| is_others || has_port(resolved, observation, |ports| ports.jaeger))
        .map(|url| endpoint("jaeger", url));
    let prometheus = prometheus_url(resolved).map(|url| endpoint("prometheus", url));
    [api_docs, gateway, jaeger, prometheus]
        .into_iter()
        .flatten()
        .collect()
}
