//! Whether users get in.

use serde_json::Value;

use crate::claims::node_ports;
use crate::desired::Desired;
use crate::kinds::{Kind, ObjectKey};
use crate::known::GATEWAY;
use crate::resolve::{Exposure, Resolved};
use crate::step::Live;

/// How the way in from outside is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntranceObservation {
    /// None is wanted: the gateway is reached from inside the cluster.
    InsideOnly,
    /// One is wanted, and there is no gateway that it could lead to.
    NoGateway,
    /// It is there.
    Open,
    /// Whoever has to open it has not done so yet; the text says who, and what was said.
    Waiting(String),
}

/// Users get in once the way is open and the gateway `serves` at its end.
pub(super) fn observe_entrance(
    resolved: &Resolved,
    desired: &Desired,
    live: &Live,
    serves: bool,
) -> EntranceObservation {
    match observe_way(resolved, desired, live) {
        EntranceObservation::Open if !serves => {
            EntranceObservation::Waiting("the gateway does not serve".to_owned())
        }
        observed => observed,
    }
}

fn observe_way(resolved: &Resolved, desired: &Desired, live: &Live) -> EntranceObservation {
    let kind = match resolved.exposure {
        Exposure::None => return EntranceObservation::InsideOnly,
        _ if resolved.service(GATEWAY).is_none() => return EntranceObservation::NoGateway,
        Exposure::NodePort(_) => Kind::Service,
        Exposure::Ingress(_) => Kind::Ingress,
        Exposure::Gateway(_) => Kind::HttpRoute,
    };
    let key = ObjectKey {
        kind,
        namespace: resolved.namespace.clone(),
        name: resolved.name.entrance(),
    };
    let (Some(_), Some(object)) = (desired.get(&key), live.objects.get(&key)) else {
        return EntranceObservation::Waiting(format!("{key} is not created yet"));
    };
    match &resolved.exposure {
        Exposure::NodePort(ports) if !node_ports(live).contains(&ports.gateway) => {
            EntranceObservation::Waiting(format!("{key} does not have node port {} yet", ports.gateway))
        }
        Exposure::Ingress(_) if !has_address(&object.data) => {
            EntranceObservation::Waiting("no ingress controller has given it an address yet".to_owned())
        }
        Exposure::Gateway(_) => observe_route(&object.data),
        _ => EntranceObservation::Open,
    }
}

fn has_address(ingress: &Value) -> bool {
    let addresses = ingress.pointer("/status/loadBalancer/ingress");
    addresses
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

/// A route is open once a Gateway accepted it and found what it leads to (Gateway API, `RouteParentStatus`).
fn observe_route(route: &Value) -> EntranceObservation {
    let parents = route.pointer("/status/parents").and_then(Value::as_array);
    let conditions: Vec<&Value> = parents
        .into_iter()
        .flatten()
        .filter_map(|parent| parent.get("conditions").and_then(Value::as_array))
        .flatten()
        .collect();
    let is_true = |type_: &str| {
        conditions
            .iter()
            .any(|c| c["type"] == type_ && c["status"] == "True")
    };
    let refusal = conditions
        .iter()
        .find(|c| (c["type"] == "Accepted" || c["type"] == "ResolvedRefs") && c["status"] == "False");
    match refusal {
        Some(condition) => EntranceObservation::Waiting(format!(
            "the Gateway refuses the route: {}",
            condition["message"].as_str().unwrap_or_default()
        )),
        None if is_true("Accepted") => EntranceObservation::Open,
        None => EntranceObservation::Waiting("no Gateway has accepted the route yet".to_owned()),
    }
}
