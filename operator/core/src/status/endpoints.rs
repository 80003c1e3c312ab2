//! Addresses that a user can open, from where `spec.exposure` says.

use crate::api::{ApiDocs, Endpoint};
use crate::build::{prometheus_url, trace_ui_url};
use crate::known::GATEWAY;
use crate::resolve::{Exposure, Resolved};

/// Where a user reaches the gateway; None without one.
pub(super) fn gateway_url(resolved: &Resolved) -> Option<String> {
    let gateway = resolved.service(GATEWAY)?;
    Some(match &resolved.exposure {
        Exposure::NodePort(ports) => format!("http://{}:{}", ports.host, ports.gateway),
        Exposure::Ingress(ingress) if ingress.tls_secret_ref.is_some() => format!("https://{}", ingress.host),
        Exposure::Ingress(ingress) => format!("http://{}", ingress.host),
        // Whether its listener speaks TLS is the Gateway's affair; one that does redirects.
        Exposure::Gateway(exposure) => format!("http://{}", exposure.host),
        Exposure::None => resolved.in_cluster_url(&resolved.name.workload(&gateway.name), gateway.port),
    })
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
