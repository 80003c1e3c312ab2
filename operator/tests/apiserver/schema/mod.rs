//! The CRD: it is accepted, it fills in defaults, and each of its rules refuses what it should with a sentence that
//! says what is allowed.

mod bounds;
mod cases;
mod changes;
mod specs;

use std::collections::BTreeSet;

use kube::{CustomResourceExt as _, api::DeleteParams};
use platform_core::api::Platform;
use serde_json::{Value, json};

use self::{cases::all_cases, changes::changes};
use crate::fixture::{manifest, settings, world};

/// The rule about a Platform's name, which is not part of a spec.
const OF_NAMES: &str = "metadata.name must be at most 30 characters";

#[tokio::test]
async fn every_rule_refuses_with_its_sentence_and_accepts_the_good_twin() {
    let Some(world) = world("rules").await else { return };
    for (bad, message, good) in all_cases() {
        assert!(!lint(&bad).is_empty(), "`lint` finds nothing wrong: {message}");
        assert_eq!(
            lint(&good),
            Vec::<String>::new(),
            "`lint` refuses the twin of {message}"
        );
        let refusal = world.try_apply("bad", bad).await.expect_err(message).to_string();
        assert!(refusal.contains(message), "{refusal}\nshould say\n{message}");
        world
            .try_apply("good", good)
            .await
            .unwrap_or_else(|error| panic!("twin of {message}: {error}"));
        world
            .platforms()
            .delete("good", &DeleteParams::default())
            .await
            .unwrap();
    }
    for name in ["a".repeat(31), "9lives".to_owned(), "with.dot".to_owned()] {
        let refusal = world.try_apply(&name, json!({})).await.unwrap_err().to_string();
        assert!(refusal.contains(OF_NAMES), "{refusal}");
    }
    world.apply(&"a".repeat(30), json!({})).await;
}

/// What the local validator finds wrong.
fn lint(spec: &Value) -> Vec<String> {
    platform_operator::lint::lint(&manifest("rules", "demo", spec), &settings())
}

#[tokio::test]
async fn what_must_not_change_is_refused_and_what_may_is_taken() {
    let Some(world) = world("changes").await else {
        return;
    };
    for (number, (before, bad, message, good)) in changes().into_iter().enumerate() {
        let name = format!("demo-{number}");
        world.apply(&name, before).await;
        let refusal = world.try_apply(&name, bad).await.expect_err(message).to_string();
        assert!(refusal.contains(message), "{refusal}\nshould say\n{message}");
        world.apply(&name, good).await;
    }
}

#[test]
fn every_rule_of_the_crd_has_a_case() {
    let mut messages = BTreeSet::new();
    collect_messages(&json!(Platform::crd()), &mut messages);
    let of_changes = changes().into_iter().map(|case| case.2);
    let cases: Vec<_> = all_cases().map(|case| case.1).chain(of_changes).collect();
    for message in &messages {
        // Of a change a part of the sentence is enough.
        let covered = cases.iter().chain([&OF_NAMES]).any(|case| message.contains(case));
        assert!(covered, "no case for: {message}");
    }
    assert!(messages.len() > 10, "the rules were not found: {messages:?}");
}

fn collect_messages(value: &Value, messages: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for rule in fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                messages.insert(rule["message"].as_str().expect("a rule has a message").to_owned());
            }
            fields
                .values()
                .for_each(|field| collect_messages(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, messages)),
        _ => {}
    }
}

#[tokio::test]
async fn the_smallest_manifest_is_completed_and_can_be_narrowed() {
    let Some(world) = world("defaults").await else {
        return;
    };
    let spec = world.apply("demo", json!({})).await.spec;
    let services: Vec<_> = spec
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(services, ["gateway", "auth", "chat", "billing"]);
    assert_eq!(spec.telemetry.tracing.sampling_percent, 100);
    let locally: Platform = serde_json::from_value(manifest("defaults", "demo", &json!({}))).unwrap();
    assert_eq!(
        spec, locally.spec,
        "the API server and the types fill in the same"
    );
    let narrowed = world
        .apply("demo", json!({"services": [{"name": "auth"}]}))
        .await
        .spec;
    assert_eq!(narrowed.services.len(), 1, "{:?}", narrowed.services);
}
