//! Ways in from outside, with their defaults.

use super::Violation;
use crate::api::{ExposureSpec, ExposureType, GatewayExposure, IngressExposure};

/// How a Platform is reached from outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Not at all.
    None,
    /// On ports of every node.
    NodePort(NodePorts),
    /// By an Ingress.
    Ingress(IngressExposure),
    /// By an `HTTPRoute` of a Gateway.
    Gateway(GatewayExposure),
}

impl Exposure {
    /// Origins (RFC 6454: scheme, host and port) under which users reach the gateway, the likeliest first. Whether a
    /// Gateway's listener speaks TLS is the Gateway's affair.
    pub fn origins(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::NodePort(ports) => vec![format!("http://{}:{}", ports.host, ports.gateway)],
            Self::Ingress(ingress) if ingress.tls_secret_ref.is_some() => {
                vec![format!("https://{}", ingress.host)]
            }
            Self::Ingress(ingress) => vec![format!("http://{}", ingress.host)],
            Self::Gateway(gateway) => ["http", "https"]
                .map(|scheme| format!("{scheme}://{}", gateway.host))
                .into(),
        }
    }

    /// How many proxies of other people's, but in the users' trust, stand before the gateway.
    pub const fn proxies(&self) -> i32 {
        match self {
            Self::None | Self::NodePort(_) => 0,
            Self::Ingress(_) | Self::Gateway(_) => 1,
        }
    }

    /// The host name that the Platform claims, which no other may claim.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::None | Self::NodePort(_) => None,
            Self::Ingress(ingress) => Some(&ingress.host),
            Self::Gateway(gateway) => Some(&gateway.host),
        }
    }
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

/// Resolves the way in, and reports every rule that it breaks.
pub(super) fn resolve_exposure(spec: &ExposureSpec, violations: &mut Vec<Violation>) -> Exposure {
    for (is_there, type_, field, only) in [
        (
            spec.node_port.is_some(),
            ExposureType::NodePort,
            "nodePort",
            "type is NodePort",
        ),
        (
            spec.ingress.is_some(),
            ExposureType::Ingress,
            "ingress",
            "type is Ingress",
        ),
        (
            spec.gateway.is_some(),
            ExposureType::Gateway,
            "gateway",
            "type is Gateway",
        ),
    ] {
        if is_there && spec.type_ != type_ {
            violations.push(Violation::NotAllowed {
                field: format!("exposure.{field}"),
                only,
            });
        }
    }
    match spec.type_ {
        ExposureType::None => Exposure::None,
        ExposureType::NodePort => {
            let ports = spec.node_port.clone().unwrap_or_default();
            if ports.gateway == ports.jaeger {
                violations.push(Violation::SharedNodePort { port: ports.gateway });
            }
            Exposure::NodePort(NodePorts {
                host: ports.host,
                gateway: ports.gateway,
                jaeger: ports.jaeger,
            })
        }
        ExposureType::Ingress => match &spec.ingress {
            Some(ingress) => Exposure::Ingress(ingress.clone()),
            None => missing("ingress", "Ingress", violations),
        },
        ExposureType::Gateway => match &spec.gateway {
            Some(gateway) => Exposure::Gateway(gateway.clone()),
            None => missing("gateway", "Gateway", violations),
        },
    }
}

fn missing(field: &'static str, type_: &'static str, violations: &mut Vec<Violation>) -> Exposure {
    violations.push(Violation::ExposureMissing { field, type_ });
    Exposure::None
}
