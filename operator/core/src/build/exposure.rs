//! Ways in from outside: they lead to the gateway, and to nothing else.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use serde_json::json;

use super::{Body, Part, pod};
use crate::api::{GatewayExposure, IngressExposure};
use crate::kinds::Kind;
use crate::known::GATEWAY;
use crate::labels::Component;
use crate::resolve::{Exposure, Resolved, Service};

/// The way in; None where the Platform asks for none, or has no gateway to lead to.
pub(super) fn build_entrance(resolved: &Resolved) -> Option<Part> {
    let gateway = resolved.service(GATEWAY)?;
    let body = match &resolved.exposure {
        Exposure::None | Exposure::NodePort(_) => return None,
        Exposure::Ingress(ingress) => build_ingress(resolved, gateway, ingress),
        Exposure::Gateway(exposure) => build_route(resolved, gateway, exposure),
    };
    Some(Part {
        name: resolved.name.entrance(),
        app: GATEWAY.to_owned(),
        component: Component::Service,
        body,
    })
}

fn build_ingress(resolved: &Resolved, gateway: &Service, ingress: &IngressExposure) -> Body {
    let backend = IngressServiceBackend {
        name: resolved.name.workload(&gateway.name),
        port: Some(ServiceBackendPort {
            name: Some(pod::HTTP_PORT.to_owned()),
            number: None,
        }),
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(backend),
            resource: None,
        },
    };
    Body::of(&Ingress {
        spec: Some(IngressSpec {
            ingress_class_name: ingress.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(ingress.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: ingress.tls_secret_ref.as_ref().map(|secret| {
                vec![IngressTLS {
                    hosts: Some(vec![ingress.host.clone()]),
                    secret_name: Some(secret.name.clone()),
                }]
            }),
            default_backend: None,
        }),
        ..Ingress::default()
    })
}

fn build_route(resolved: &Resolved, gateway: &Service, exposure: &GatewayExposure) -> Body {
    let mut parent = json!({
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": exposure.parent_ref.name,
    });
    if let Some(namespace) = &exposure.parent_ref.namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = &exposure.parent_ref.section_name {
        parent["sectionName"] = json!(section);
    }
    let backend = json!({
        "group": "",
        "kind": "Service",
        "name": resolved.name.workload(&gateway.name),
        "port": gateway.port,
    });
    let route = json!({"spec": {
        "parentRefs": [parent],
        "hostnames": [exposure.host],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [backend],
        }],
    }});
    Body::new(Kind::HttpRoute, route)
}
