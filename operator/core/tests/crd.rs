//! Rules that the schema of the Platform keeps, whatever fields come.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

use kube::CustomResourceExt;
use platform_core::api::Platform;
use serde_json::Value;

fn schema() -> Value {
    let crd = serde_json::to_value(Platform::crd()).expect("a CRD is JSON");
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
        .cloned()
        .expect("the CRD has a schema")
}

/// Calls `check` with each node below `node` and its path.
fn walk(path: &str, node: &Value, check: &mut impl FnMut(&str, &Value)) {
    check(path, node);
    for (name, child) in node
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        walk(&format!("{path}.{name}"), child, check);
    }
    if let Some(items) = node.get("items") {
        walk(&format!("{path}[]"), items, check);
    }
}

fn broken(rule: impl Fn(&Value) -> bool) -> Vec<String> {
    let schema = schema();
    let mut broken = Vec::new();
    let spec = schema.pointer("/properties/spec").expect("the schema has a spec");
    walk("spec", spec, &mut |path, node| {
        if !rule(node) {
            broken.push(path.to_owned());
        }
    });
    broken
}

fn is(node: &Value, type_: &str) -> bool {
    node.get("type").and_then(Value::as_str) == Some(type_)
}

#[test]
fn every_text_number_and_list_of_the_spec_is_bounded() {
    let none: Vec<String> = Vec::new();
    assert_eq!(
        broken(|n| !is(n, "string") || n.get("maxLength").is_some() || n.get("enum").is_some()),
        none
    );
    assert_eq!(
        broken(|n| !is(n, "integer") || (n.get("minimum").is_some() && n.get("maximum").is_some())),
        none
    );
    assert_eq!(broken(|n| !is(n, "array") || n.get("maxItems").is_some()), none);
    assert_eq!(
        broken(|n| !is(n, "number") && !is(n, "boolean")),
        none,
        "integers and named states only"
    );
}

#[test]
fn every_list_says_how_it_merges() {
    assert_eq!(
        broken(|n| !is(n, "array") || n.get("x-kubernetes-list-type").is_some()),
        Vec::<String>::new()
    );
}

#[test]
fn every_field_is_described() {
    assert_eq!(
        broken(|n| n.get("description").is_some() || n.get("type").is_none()),
        vec![
            "spec.services[].dependsOn[]",
            "spec.services[].migrations.args[]",
            "spec.services[].migrations.command[]"
        ]
    );
}

#[test]
fn every_rule_says_what_is_allowed() {
    let mut messages = Vec::new();
    walk("", &schema(), &mut |_, node| {
        for rule in node
            .get("x-kubernetes-validations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            messages.push(
                rule.get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    });
    assert!(messages.len() >= 14, "{messages:?}");
    assert!(messages.iter().all(|message| message.len() > 20), "{messages:?}");
}

#[test]
fn an_empty_spec_means_the_four_services_of_tracewell() {
    let platform: Platform = serde_json::from_value(serde_json::json!({
        "apiVersion": "tracewell.dev/v1alpha1", "kind": "Platform", "metadata": {"name": "demo"}, "spec": {},
    }))
    .expect("an empty spec is complete");
    let names: Vec<_> = platform
        .spec
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(names, ["gateway", "auth", "chat", "billing"]);
    assert_eq!(
        schema().pointer("/properties/spec/properties/services/default"),
        None,
        "stored entries that nobody owns would survive a server-side apply of a shorter list"
    );
}
