//! Comparison of the fields that the operator owns with what the cluster has.
//!
//! The cluster's object always has more: defaults, and fields of others. So what is wanted has to be *contained* in
//! what is there. Lists that server-side apply merges by a key are compared by that key; all others item by item.

use std::fmt;

use kube::core::DynamicObject;
use serde_json::{Map, Value};

use super::FieldChange;
use crate::desired::to_value;
use crate::quantity::parse_quantity;

/// Stands for the value of a variable, which may be confidential: changes are told in events, statuses and terminals.
pub(super) const WITHHELD: &str = "(withheld)";

/// Owned fields that differ, in the order of their names. Both are of the same kind.
pub(super) fn differing_fields(desired: &DynamicObject, live: &DynamicObject) -> Vec<FieldChange> {
    let metadata = [&desired.metadata, &live.metadata].map(to_value);
    let content = desired.data.as_object().into_iter().flatten();
    let mut fields: Vec<_> = content
        .map(|(name, value)| (name.as_str(), value, live.data.get(name)))
        .chain([("metadata", &metadata[0], Some(&metadata[1]))])
        .collect();
    fields.sort_by_key(|(name, ..)| *name);
    let mut changes = Vec::new();
    for (name, value, live) in fields {
        compare(&Path::Member(&Path::Whole, name), name, value, live, &mut changes);
    }
    changes
}

/// Where a field is: written out only where it differs, which few do.
enum Path<'a> {
    /// The whole object.
    Whole,
    /// A member of what is there.
    Member(&'a Path<'a>, &'a str),
    /// The item of the list there with this key.
    Item(&'a Path<'a>, Option<&'a Value>),
    /// The item at this place of the list there.
    Place(&'a Path<'a>, usize),
}

/// `a.b`, or `a[b.c/d]` for keys that are no plain names.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Member(Self::Whole, key) => f.write_str(key),
            Self::Member(parent, key) if key.contains(['.', '/']) => write!(f, "{parent}[{key}]"),
            Self::Member(parent, key) => write!(f, "{parent}.{key}"),
            Self::Item(parent, Some(Value::String(key))) => write!(f, "{parent}[{key}]"),
            Self::Item(parent, Some(key)) => write!(f, "{parent}[{key}]"),
            Self::Item(parent, None) => write!(f, "{parent}[]"),
            Self::Place(parent, place) => write!(f, "{parent}[{place}]"),
        }
    }
}

/// Key by which server-side apply merges the items of a list; None if it replaces the list as a whole.
///
/// Source: the `x-kubernetes-list-map-keys` of the kinds that the operator writes.
fn merge_key(list: &str, item: &Map<String, Value>) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ownerReferences" => Some("uid"),
        "ports" if item.contains_key("containerPort") => Some("containerPort"),
        "ports" => Some("port"),
        _ => None,
    }
}

fn compare(
    path: &Path<'_>,
    field: &str,
    desired: &Value,
    live: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    match (desired, live) {
        // The API server leaves out what is empty.
        (desired, None | Some(Value::Null)) if is_empty(desired) => {}
        (Value::Object(desired), Some(Value::Object(live))) => {
            for (key, value) in desired {
                let child = child_field(field, key);
                compare(&Path::Member(path, key), child, value, live.get(key), changes);
            }
        }
        (Value::Array(desired), Some(Value::Array(live))) => {
            compare_lists(path, field, desired, live, changes);
        }
        (desired, Some(live)) if same_scalar(field, desired, live) => {}
        (desired, live) => {
            changes.push(FieldChange {
                path: path.to_string(),
                from: live.map(|live| told(field, live)),
                to: told(field, desired),
            });
        }
    }
}

fn compare_lists(
    path: &Path<'_>,
    field: &str,
    desired: &[Value],
    live: &[Value],
    changes: &mut Vec<FieldChange>,
) {
    let key = desired
        .first()
        .and_then(Value::as_object)
        .and_then(|item| merge_key(field, item));
    if let Some(key) = key {
        for item in desired {
            let twin = live.iter().find(|candidate| candidate.get(key) == item.get(key));
            compare(&Path::Item(path, item.get(key)), field, item, twin, changes);
        }
    } else if desired.len() == live.len() {
        for (index, (item, twin)) in desired.iter().zip(live).enumerate() {
            compare(&Path::Place(path, index), field, item, Some(twin), changes);
        }
    } else {
        changes.push(FieldChange {
            path: path.to_string(),
            from: Some(Value::Array(live.iter().map(|item| told(field, item)).collect())),
            to: Value::Array(desired.iter().map(|item| told(field, item)).collect()),
        });
    }
}

/// What a member is, where its name alone does not say so: amounts stand below the names of resources, and the value of
/// a variable below `env`.
fn child_field<'a>(field: &str, key: &'a str) -> &'a str {
    match (field, key) {
        ("requests" | "limits", _) => "quantity",
        ("env", "value") => "variable",
        _ => key,
    }
}

/// A value without the values of the variables in it.
fn told(field: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if field == "variable" => WITHHELD.into(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), told(child_field(field, key), value)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| told(field, item)).collect(),
        scalar => scalar.clone(),
    }
}

/// Whether two scalars mean the same; quantities may be written in several ways.
fn same_scalar(field: &str, desired: &Value, live: &Value) -> bool {
    desired == live
        || matches!(field, "quantity" | "sizeLimit")
            && match (
                desired.as_str().and_then(parse_quantity),
                live.as_str().and_then(parse_quantity),
            ) {
                (Some(desired), Some(live)) => desired == live,
                _ => false,
            }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kind;

    fn changes(desired: &Value, live: &Value) -> Vec<FieldChange> {
        let [desired, live] = [desired, live].map(|content| {
            let resource = Kind::Deployment.info().api_resource();
            DynamicObject::new("demo", &resource).data(content.clone())
        });
        differing_fields(&desired, &live)
    }

    fn paths(desired: &Value, live: &Value) -> Vec<String> {
        changes(desired, live)
            .into_iter()
            .map(|change| change.path)
            .collect()
    }

    #[test]
    fn defaults_and_foreign_fields_are_no_difference() {
        let desired = json!({"spec": {"containers": [{"name": "a", "image": "x"}]}});
        let live = json!({"status": {}, "spec": {"dnsPolicy": "ClusterFirst", "containers": [
            {"name": "injected", "image": "y"},
            {"name": "a", "image": "x", "terminationMessagePath": "/dev/termination-log"},
        ]}});
        assert_eq!(paths(&desired, &live), Vec::<String>::new());
    }

    #[test]
    fn what_the_api_server_writes_differently_is_no_difference() {
        let desired = json!({
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": "0.5"}},
            "emptyDir": {"sizeLimit": "1024Ki"},
            "env": [{"name": "EMPTY", "value": ""}],
            "none": {"at": {"all": []}},
        });
        let live = json!({
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            "emptyDir": {"sizeLimit": "1Mi"},
            "env": [{"name": "EMPTY"}],
        });
        assert_eq!(paths(&desired, &live), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_named_by_its_path() {
        let desired = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "a"}},
            "spec": {"replicas": 1, "template": {"containers": [
                {"name": "a", "image": "x:2", "args": ["one", "two"], "ports": [{"containerPort": 80, "name": "http"}]},
            ]}},
            "limits": {"memory": "64Mi"},
        });
        let live = json!({
            "metadata": {"labels": {}},
            "spec": {"replicas": 3, "template": {"containers": [
                {"name": "a", "image": "x:1", "args": ["one"], "ports": [{"containerPort": 80, "name": "web"}]},
            ]}},
            "limits": {"memory": "65Mi"},
        });
        assert_eq!(
            paths(&desired, &live),
            [
                "limits.memory",
                "metadata.labels[app.kubernetes.io/name]",
                "spec.replicas",
                "spec.template.containers[a].args",
                "spec.template.containers[a].image",
                "spec.template.containers[a].ports[80].name",
            ]
        );
    }

    #[test]
    fn a_text_is_no_quantity() {
        let desired = json!({"env": [{"name": "N", "value": "1000m"}]});
        let live = json!({"env": [{"name": "N", "value": "1"}]});
        assert_eq!(paths(&desired, &live), ["env[N].value"]);
    }

    #[test]
    fn values_of_variables_are_withheld_wherever_they_stand() {
        let variable = json!({"name": "PASSWORD", "value": "hunter2"});
        let container = json!({"name": "a", "image": "x", "env": [variable]});
        let cases = [
            (
                json!({"env": [variable]}),
                json!({"env": [{"name": "PASSWORD", "value": "hunter1"}]}),
            ),
            (json!({"env": [variable]}), json!({"env": []})),
            (json!({"env": [variable]}), json!({})),
            (json!({"containers": [container]}), json!({"containers": []})),
            (json!({"template": {"containers": [container]}}), json!({})),
            (
                json!({"args": [container]}),
                json!({"args": [container, container]}),
            ),
        ];
        for (desired, live) in cases {
            let changes = changes(&desired, &live);
            assert_eq!(changes.len(), 1, "{desired}");
            let text = format!("{changes:?}");
            assert!(text.contains(WITHHELD) && !text.contains("hunter"), "{text}");
        }
    }
}
