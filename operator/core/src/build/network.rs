//! Names and ports of workloads.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service as ServiceObject, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Body, Part, pod};
use crate::known::GATEWAY;
use crate::labels::Component;
use crate::resolve::{Resolved, Service};

/// The Service of a service. The gateway's is open on the nodes where the Platform asks for it.
pub(super) fn build_service(resolved: &Resolved, service: &Service) -> Part {
    let node_port = resolved
        .node_ports()
        .filter(|_| service.name.as_str() == GATEWAY)
        .map(|ports| ports.gateway);
    Part {
        name: resolved.name.workload(&service.name),
        app: service.name.to_string(),
        component: Component::Service,
        body: build_ports(
            resolved,
            service.name.as_str(),
            vec![ServicePort {
                node_port,
                ..named_port(pod::HTTP_PORT, service.port)
            }],
        ),
    }
}

/// A Service of the pods of `app`, open on the nodes if one of its ports is.
pub(super) fn build_ports(resolved: &Resolved, app: &str, ports: Vec<ServicePort>) -> Body {
    let on_nodes = ports.iter().any(|port| port.node_port.is_some());
    Body::of(&ServiceObject {
        spec: Some(ServiceSpec {
            type_: Some(if on_nodes { "NodePort" } else { "ClusterIP" }.to_owned()),
            selector: Some(selector(resolved, app)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        ..ServiceObject::default()
    })
}

/// A Service of the pods of `app` that resolves to each of them.
pub(super) fn build_headless(resolved: &Resolved, app: &str, ports: Vec<ServicePort>) -> Body {
    Body::of(&ServiceObject {
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(selector(resolved, app)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        ..ServiceObject::default()
    })
}

/// A port that leads to the container's port of the same name.
pub(super) fn named_port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

/// Labels that select the pods of `app`. A Deployment's selector can never be changed, so it holds nothing that may
/// change.
pub(super) fn selector(resolved: &Resolved, app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (crate::labels::INSTANCE.to_owned(), resolved.name.to_string()),
        (crate::labels::NAME.to_owned(), app.to_owned()),
    ])
}
