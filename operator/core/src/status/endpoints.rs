//! Addresses that a user can open, from where `spec.exposure` says.

use crate::api::{ApiDocs, Endpoint};
use crate::build::{prometheus_url, trace_ui_url};
use crate::known::GATEWAY;
use crate::resolve::Resolved;

/// Where a user reaches the gateway; None without one.
pub(super) fn gateway_url(resolved: &Resolved) -> Option<String> {
    let gateway = resolved.service(GATEWAY)?;
    let in_cluster = || resolved.in_cluster_url(&resolved.name.workload(&gateway.name), gateway.port);
    // A Gateway's listener that speaks TLS redirects.
    let outside = resolved.exposure.origins().into_iter().next();
    Some(outside.unwrap_or_else(in_cluster))
}

/// Every address, by name.
pub(super) fn list_endpoints(resolved: &Resolved) -> Vec<Endpoint> {
    let endpoint = |name: &str, url: String| Endpoint {
        name: name.to_owned(),
        url,
    };
    let gateway = gateway_url(resolved);
    let api_docs = gateway
        .as_ref()
        .filter(|_| resolved.api_docs == ApiDocs::Portal)
        .map(|url| endpoint("api-docs", format!("{url}/api-docs")));
    let gateway = gateway.map(|url| endpoint("gateway", url));
    let jaeger = trace_ui_url(resolved).map(|url| endpoint("jaeger", url));
    let prometheus = prometheus_url(resolved).map(|url| endpoint("prometheus", url));
    [api_docs, gateway, jaeger, prometheus]
        .into_iter()
        .flatten()
        .collect()
}
