//! Who reaches whom, by the network policies as a cluster reads them (Kubernetes API, `NetworkPolicySpec`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use platform_core::kinds::Kind;
use platform_core::labels;
use platform_core::step::Live;
use serde_json::{Value, json};

use crate::fixture::{platform, serving};

type Labels = BTreeMap<String, String>;

/// A pod, and the namespace that it is in.
struct Pod {
    name: String,
    namespace: &'static str,
    labels: Labels,
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    assert!(selector.match_expressions.is_none(), "none is used");
    let wanted = selector.match_labels.iter().flatten();
    wanted
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

fn is_peer(peer: &NetworkPolicyPeer, from: &Pod, home: &str) -> bool {
    assert!(peer.ip_block.is_none(), "none is used");
    let in_place = match &peer.namespace_selector {
        None => from.namespace == home,
        Some(selector) => {
            let name = (
                "kubernetes.io/metadata.name".to_owned(),
                from.namespace.to_owned(),
            );
            selects(selector, &[name].into())
        }
    };
    let selector = peer.pod_selector.as_ref();
    in_place && selector.is_none_or(|selector| selects(selector, &from.labels))
}

fn is_open(port: &NetworkPolicyPort, number: i32) -> bool {
    port.end_port.is_none() && port.port == Some(IntOrString::Int(number))
}

/// Whether a connection gets in: a pod that no policy selects is open, any other is open where one rule of one policy says so.
fn gets_in(policies: &[NetworkPolicy], from: &Pod, to: &Pod, port: i32) -> bool {
    let specs = policies.iter().filter_map(|policy| policy.spec.as_ref());
    let selected: Vec<_> = specs
        .filter(|spec| {
            let selector = spec.pod_selector.clone().unwrap_or_default();
            selects(&selector, &to.labels)
        })
        .collect();
    let mut rules = selected.iter().flat_map(|spec| spec.ingress.iter().flatten());
    selected.is_empty()
        || rules.any(|rule| {
            let peers = rule.from.as_deref().unwrap_or_default();
            let ports = rule.ports.as_deref().unwrap_or_default();
            (peers.is_empty() || peers.iter().any(|peer| is_peer(peer, from, to.namespace)))
                && (ports.is_empty() || ports.iter().any(|open| is_open(open, port)))
        })
}

fn all<T: serde::de::DeserializeOwned>(live: &Live, kind: Kind) -> Vec<T> {
    let objects = live.objects.iter().filter(|(key, _)| key.kind == kind);
    objects
        .map(|(_, object)| serde_json::from_value(json!(object)).expect("an object of this kind"))
        .collect()
}

/// Every pod of the Platform, by the templates of its workloads, with the ports that it declares.
fn pods_of(live: &Live) -> Vec<(Pod, BTreeSet<i32>)> {
    let has_pods = |kind: &Kind| matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::Job);
    let workloads = live.objects.iter().filter(|(key, _)| has_pods(&key.kind));
    workloads
        .map(|(_, object)| {
            let template = &object.data["spec"]["template"];
            let labels: Labels =
                serde_json::from_value(template["metadata"]["labels"].clone()).expect("pods have labels");
            let of = |list: &str| template["spec"][list].as_array().cloned().unwrap_or_default();
            let containers = [of("containers"), of("initContainers")].concat();
            let ports = containers
                .iter()
                .filter_map(|container| container["ports"].as_array())
                .flatten()
                .filter_map(|port| i32::try_from(port["containerPort"].as_i64()?).ok())
                .collect();
            let name = labels[labels::NAME].clone();
            let namespace = "shop";
            (
                Pod {
                    name,
                    namespace,
                    labels,
                },
                ports,
            )
        })
        .collect()
}

/// `auth:3001 <- chat, gateway, the operator`, for each port that a pod declares.
fn matrix(spec: Value) -> Vec<String> {
    let live = serving(&platform(spec));
    let policies: Vec<NetworkPolicy> = all(&live, Kind::NetworkPolicy);
    let pods = pods_of(&live);
    let other = |name: &str, namespace, labels: &[(&str, &str)]| Pod {
        name: name.to_owned(),
        namespace,
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let operator = [
        (labels::COMPONENT, "operator"),
        (labels::PART_OF, labels::PART_OF_VALUE),
    ];
    let auth_of_another = [(labels::NAME, "auth"), (labels::PLATFORM, "bazaar")];
    let others = [
        other("the operator", "tracewell-system", &operator),
        other("a neighbour", "shop", &auth_of_another),
        other("anybody", "elsewhere", &[]),
    ];
    let mut lines = Vec::new();
    for (to, ports) in &pods {
        for port in ports {
            let callers = pods.iter().map(|(pod, _)| pod).chain(&others);
            let mut let_in: Vec<&str> = callers
                .filter(|from| from.name != to.name && gets_in(&policies, from, to, *port))
                .map(|from| from.name.as_str())
                .collect();
            let_in[..].sort_by_key(|name| (name.contains(' ') || *name == "anybody", *name));
            lines.push(format!("{}:{port} <- {}", to.name, let_in.join(", ")));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_service_is_reached_by_those_who_depend_on_it() {
    let services = json!([{"name": "gateway"}, {"name": "auth"}, {"name": "billing"}]);
    let inside = "a neighbour, anybody, the operator";
    let expected = [
        "auth:3001 <- billing, gateway, the operator".to_owned(),
        "auth:8888 <- the operator".to_owned(),
        format!("auth:9464 <- billing, gateway, jaeger, {inside}"),
        "billing:3003 <- gateway, the operator".to_owned(),
        "billing:8888 <- the operator".to_owned(),
        format!("billing:9464 <- auth, gateway, jaeger, {inside}"),
        format!("gateway:3000 <- auth, billing, jaeger, {inside}"),
        "gateway:8888 <- the operator".to_owned(),
        format!("gateway:9464 <- auth, billing, jaeger, {inside}"),
        // Only the kubelet of its node asks whether it is well.
        "jaeger:13133 <- ".to_owned(),
        format!("jaeger:16686 <- auth, billing, gateway, {inside}"),
        "jaeger:4317 <- auth, billing, gateway, the operator".to_owned(),
        "jaeger:4318 <- auth, billing, gateway, the operator".to_owned(),
        format!("jaeger:8888 <- auth, billing, gateway, {inside}"),
    ];
    assert_eq!(matrix(json!({"services": services})), expected);
}

#[test]
fn whoever_comes_in_from_outside_reaches_the_gateway_and_nothing_else() {
    // Neither a node's own network nor a load balancer is a pod, and no selector finds it.
    let is_from_anywhere = |policy: &NetworkPolicy| {
        let rules = policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten());
        rules.into_iter().any(|rule| rule.from.is_none())
    };
    let open_by = |exposure: Value| {
        let spec = json!({"services": [{"name": "gateway"}, {"name": "auth"}], "exposure": exposure});
        let policies: Vec<NetworkPolicy> = all(&serving(&platform(spec)), Kind::NetworkPolicy);
        let open = policies.iter().filter(|policy| is_from_anywhere(policy));
        open.map(|policy| policy.metadata.labels.as_ref().expect("labels")[labels::NAME].clone())
            .collect::<Vec<_>>()
    };
    let gateway = json!({"parentRef": {"name": "edge"}, "host": "shop.example.com"});
    let ingress = json!({"host": "shop.example.com"});
    assert_eq!(
        open_by(json!({"type": "Ingress", "ingress": ingress})),
        ["gateway"]
    );
    assert_eq!(
        open_by(json!({"type": "Gateway", "gateway": gateway})),
        ["gateway"]
    );
    // What a browser needs for the user interface has a port on the nodes as well.
    assert_eq!(open_by(json!({"type": "NodePort"})), ["gateway", "jaeger"]);
    assert_eq!(open_by(json!({"type": "None"})), [""; 0]);
}

#[test]
fn collectors_in_pods_of_their_own_are_scraped_and_services_have_none() {
    let told = matrix(json!({
        "services": [{"name": "gateway"}, {"name": "auth"}],
        "telemetry": {"collector": {"mode": "Gateway"}},
    }));
    let of_collectors: Vec<_> = told.iter().filter(|line| line.contains(":8888")).collect();
    assert_eq!(
        of_collectors,
        [
            "collector:8888 <- auth, gateway, jaeger, a neighbour, anybody, the operator",
            "jaeger:8888 <- auth, collector, gateway, a neighbour, anybody, the operator",
        ]
    );
}

#[test]
fn a_database_is_reached_by_those_who_have_one() {
    let told = matrix(json!({
        "services": [{"name": "gateway"}, {"name": "auth"}],
        "database": {"type": "Postgres", "postgres": {"backup": {}}},
    }));
    let of_database: Vec<_> = told.iter().filter(|line| line.starts_with("postgres")).collect();
    assert_eq!(
        of_database,
        ["postgres:5432 <- auth, auth.migration, postgres.roles"]
    );
}
