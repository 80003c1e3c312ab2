//! What only one Platform of a cluster can have, and which one has it.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use crate::api::{ExposureType, JaegerType, Platform, PlatformSpec};
use crate::kinds::Kind;
use crate::known::GATEWAY;
use crate::resolve::Violation;
use crate::step::Live;

/// Something of which there is one in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusive {
    /// A host name.
    Host(String),
    /// A port of every node.
    NodePort(i32),
}

impl fmt::Display for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host {host}"),
            Self::NodePort(port) => write!(f, "node port {port}"),
        }
    }
}

impl Exclusive {
    /// Whether a URL leads there.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        let Some((_, place)) = url.split_once("://") else {
            return false;
        };
        let authority = place.split('/').next().unwrap_or(place);
        match self {
            Self::Host(host) => authority == host,
            Self::NodePort(port) => {
                let told = authority.rsplit_once(':').map(|(_, told)| told.parse());
                told == Some(Ok(*port))
            }
        }
    }
}

/// What a Platform claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Namespace of the Platform.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it wants.
    pub wanted: BTreeSet<Exclusive>,
    /// What of it it has: its status says that users reach it there, also while an edit of its spec is refused. One that only
    /// wants it stands behind, however old it is.
    pub held: BTreeSet<Exclusive>,
}

impl Claim {
    /// What this Platform claims.
    pub fn of(platform: &Platform) -> Self {
        let wanted = wanted(&platform.spec);
        let status = platform.status.iter();
        let urls: Vec<&String> = status
            .flat_map(|status| {
                status
                    .endpoints
                    .iter()
                    .map(|endpoint| &endpoint.url)
                    .chain(&status.url)
            })
            .collect();
        let held = wanted
            .iter()
            .filter(|what| urls.iter().any(|url| what.is_at(url)));
        Self {
            namespace: platform.namespace().unwrap_or_default(),
            name: platform.name_any(),
            created: platform.creation_timestamp().map(|time| time.0),
            held: held.cloned().collect(),
            wanted,
        }
    }

    /// The claim that comes before this one, if another does: who has it, then who was there before.
    fn elder<'a>(&self, what: &Exclusive, claims: &'a [Self]) -> Option<&'a Self> {
        claims
            .iter()
            .filter(|claim| claim.wanted.contains(what) && claim.rank(what) < self.rank(what))
            .filter(|claim| (&claim.namespace, &claim.name) != (&self.namespace, &self.name))
            .min_by_key(|claim| claim.rank(what))
    }

    /// The smallest comes first.
    fn rank(&self, what: &Exclusive) -> impl Ord + use<> {
        (
            !self.held.contains(what),
            self.created,
            self.namespace.clone(),
            self.name.clone(),
        )
    }
}

/// What this Platform wants and another one has.
///
/// A port that a Service of its own has is nobody else's, whatever statuses say: the API server gives it to one alone. Of two
/// Platforms that were accepted in the same instant each would otherwise leave the port to the other.
pub(crate) fn find_taken(platform: &Platform, live: &Live, claims: &[Claim]) -> Vec<Violation> {
    let own = Claim::of(platform);
    let ports = node_ports(live);
    own.wanted
        .iter()
        .filter(|what| !matches!(what, Exclusive::NodePort(port) if ports.contains(port)))
        .filter_map(|what| {
            let owner = own.elder(what, claims)?;
            Some(Violation::Taken {
                what: what.clone(),
                owner: format!("{}/{}", owner.namespace, owner.name),
            })
        })
        .collect()
}

/// The ports of every node that Services of the Platform have.
pub(crate) fn node_ports(live: &Live) -> BTreeSet<i32> {
    let services = live.objects.iter().filter(|(key, _)| key.kind == Kind::Service);
    let ports = services.filter_map(|(_, service)| service.data.pointer("/spec/ports")?.as_array());
    ports
        .flatten()
        .filter_map(|port| port.get("nodePort").and_then(Value::as_i64))
        .filter_map(|port| i32::try_from(port).ok())
        .collect()
}

fn wanted(spec: &PlatformSpec) -> BTreeSet<Exclusive> {
    let exposure = &spec.exposure;
    let host = match exposure.type_ {
        ExposureType::None => None,
        ExposureType::NodePort => {
            let ports = exposure.node_port.clone().unwrap_or_default();
            let has_gateway = spec.services.iter().any(|service| service.name == GATEWAY);
            let has_jaeger = spec.telemetry.tracing.jaeger.type_ == JaegerType::Managed;
            let gateway = has_gateway.then_some(ports.gateway);
            let ports = gateway.into_iter().chain(has_jaeger.then_some(ports.jaeger));
            return ports.map(Exclusive::NodePort).collect();
        }
        ExposureType::Ingress => exposure.ingress.as_ref().map(|ingress| &ingress.host),
        ExposureType::Gateway => exposure.gateway.as_ref().map(|gateway| &gateway.host),
    };
    host.cloned().map(Exclusive::Host).into_iter().collect()
}
