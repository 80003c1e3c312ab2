//! Reconciles against a real API server: what is written once stays, what is lost or edited comes back.

use std::collections::BTreeMap;

use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use platform_core::{
    kinds::Kind,
    step::{EventNote, EventType},
};
use platform_operator::{cluster::Cluster, controller::ReconcileError};
use platform_testkit::{examples, examples_directory};
use serde_json::json;

use crate::{
    faulty::{Fault, Faulty},
    fixture::{World, names, world},
};

#[tokio::test]
async fn a_second_reconcile_writes_nothing() {
    let Some(world) = world("idempotent").await else {
        return;
    };
    world
        .apply(
            "demo",
            json!({"services": [{"name": "auth"}, {"name": "gateway", "dependsOn": []}]}),
        )
        .await;
    let first = Faulty::counting(&world);
    world.reconcile_with(&first, "demo").await.unwrap();
    let settled = world.snapshot().await;
    assert_eq!(
        first.writes(),
        names(&settled).len() + 1,
        "each object once, and the status once"
    );

    let second = Faulty::counting(&world);
    world.reconcile_with(&second, "demo").await.unwrap();
    assert_eq!(second.writes(), 0);
    assert_eq!(world.snapshot().await, settled);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone_and_named() {
    let Some(world) = world("foreign").await else {
        return;
    };
    let services = Api::<Service>::namespaced(world.client.clone(), &world.namespace);
    let foreign: Service = serde_json::from_value(json!({
        "metadata": {"name": "demo-auth"},
        "spec": {"selector": {"app": "mine"}, "ports": [{"port": 80}]},
    }))
    .unwrap();
    let before = services.create(&PostParams::default(), &foreign).await.unwrap();
    world.apply("demo", json!({})).await;

    let refused = world.reconcile("demo").await.unwrap_err().to_string();
    assert!(refused.contains("demo-auth"), "{refused}");
    assert_eq!(services.get("demo-auth").await.unwrap(), before);
    let status = world.platforms().get("demo").await.unwrap().status.unwrap();
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.reason, "ApplyConflict", "{}", ready.message);
    assert!(ready.message.contains("demo-auth"), "{}", ready.message);
    let stalled = world.condition("demo", "Stalled").await;
    assert_eq!(stalled["status"], "True", "nobody but a person can mend it");

    services
        .delete("demo-auth", &DeleteParams::default())
        .await
        .unwrap();
    world.reconcile("demo").await.unwrap();
    assert_ne!(services.get("demo-auth").await.unwrap().spec, before.spec);
    assert_eq!(world.condition("demo", "Stalled").await["status"], "False");
}

#[tokio::test]
async fn every_example_is_taken_by_the_api_server_under_strict_validation() {
    let Some(world) = world("examples").await else {
        return;
    };
    let examples = examples();
    assert!(!examples.is_empty(), "there is no example");
    for example in examples {
        let path = examples_directory().join(format!("{example}.yaml"));
        let manifest = platform_operator::manifest::Manifest::read(&path).unwrap();
        let name = manifest.platform.metadata.name.unwrap();
        world.apply(&name, manifest.written["spec"].clone()).await;
        let reconciled = if manifest.written["spec"]["managementState"] == "Paused" {
            world.reconcile(&name).await.map(drop)
        } else {
            world.bring_up(&name).await
        };
        reconciled.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        world.delete_everything(&name).await;
    }
}

#[tokio::test]
async fn a_reconcile_cut_off_at_any_write_is_taken_up_by_the_next() {
    let Some(world) = world("cut-off").await else {
        return;
    };
    let spec = json!({"services": [{"name": "gateway", "dependsOn": []}, {"name": "auth"}]});
    world.apply("whole", spec.clone()).await;
    let whole = Faulty::counting(&world);
    world.reconcile_with(&whole, "whole").await.unwrap();
    let expected: Vec<_> = children(&world, "whole").await;

    for (fault, letter) in [(Fault::BeforeWrite, 'b'), (Fault::AfterWrite, 'a')] {
        for last in 0..whole.writes() {
            let name = format!("cut-{letter}{last}");
            world.apply(&name, spec.clone()).await;
            let faulty = Faulty::after(&world, last, fault);
            let error = world
                .reconcile_with(&faulty, &name)
                .await
                .expect_err("it was cut off");
            assert!(
                matches!(error, ReconcileError::Write(_) | ReconcileError::Status(_)),
                "{error:?}"
            );

            world.reconcile(&name).await.unwrap();
            assert_eq!(children(&world, &name).await, expected, "{fault:?} {last}");
            let settled = Faulty::counting(&world);
            world.reconcile_with(&settled, &name).await.unwrap();
            assert_eq!(settled.writes(), 0, "{fault:?} {last}");
        }
    }
}

/// Kinds and names of a Platform's objects, with its name and the hashes of configurations left out.
async fn children(world: &World, platform: &str) -> Vec<String> {
    let snapshot = world.snapshot().await;
    let ours = snapshot
        .iter()
        .filter(|(_, object)| object["metadata"]["labels"]["tracewell.dev/platform"] == platform)
        .map(|(key, object)| {
            let kind = key.split('/').next().unwrap();
            let labels = &object["metadata"]["labels"];
            format!(
                "{kind} {} {}",
                labels["app.kubernetes.io/component"], labels["app.kubernetes.io/name"]
            )
        });
    let mut ours: Vec<_> = ours.collect();
    ours.sort();
    ours
}

#[tokio::test]
async fn what_others_edit_is_restored_and_what_is_theirs_survives() {
    let Some(world) = world("drift").await else { return };
    world.apply("demo", json!({})).await;
    world.bring_up("demo").await.unwrap();
    let wanted = world.snapshot().await;

    let edit = json!({
        "metadata": {"labels": {"team": "shop", "app.kubernetes.io/part-of": "else"}, "annotations": {"note": "mine"}},
        "spec": {"replicas": 5, "template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}},
    });
    let deployments = world.objects(Kind::Deployment);
    let by_hand = PatchParams {
        field_manager: Some("kubectl-edit".into()),
        ..PatchParams::default()
    };
    deployments
        .patch("demo-auth", &by_hand, &Patch::Merge(&edit))
        .await
        .unwrap();
    world
        .objects(Kind::Service)
        .delete("demo-chat", &DeleteParams::default())
        .await
        .unwrap();
    world.reconcile("demo").await.unwrap();

    let restored = world.snapshot().await;
    assert_eq!(names(&restored), names(&wanted), "the deleted Service is back");
    let (before, after) = (&wanted["Deployment/demo-auth"], &restored["Deployment/demo-auth"]);
    assert_eq!(after["spec"]["replicas"], before["spec"]["replicas"]);
    let labels = &after["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/part-of"], "tracewell");
    assert_eq!(labels["team"], "shop");
    assert_eq!(after["metadata"]["annotations"]["note"], "mine");
    let template = &after["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(template["kubectl.kubernetes.io/restartedAt"], "now");
    for object in ["Deployment demo-auth", "Service demo-chat"] {
        assert!(
            notes(&world).await.iter().any(|note| note.contains(object)),
            "no event tells of {object}"
        );
    }
}

#[tokio::test]
async fn a_paused_platform_is_told_of_and_left_as_it_is() {
    let Some(world) = world("paused").await else {
        return;
    };
    let spec = |state: &str, image: &str| json!({"managementState": state, "services": [{"name": "auth", "image": image}]});
    world
        .apply("demo", spec("Managed", "registry.example/auth:1"))
        .await;
    world.bring_up("demo").await.unwrap();
    world
        .apply("demo", spec("Paused", "registry.example/auth:2"))
        .await;
    world
        .objects(Kind::Service)
        .delete("demo-auth", &DeleteParams::default())
        .await
        .unwrap();
    let paused = Faulty::counting(&world);
    world.reconcile_with(&paused, "demo").await.unwrap();
    assert_eq!(paused.writes(), 1, "the status alone");
    let accepted = world.condition("demo", "Accepted").await;
    assert_eq!(accepted["reason"], "Paused");
    let message = accepted["message"].as_str().unwrap();
    assert!(message.contains("2 objects differ"), "{message}");
    assert_eq!(world.condition("demo", "Ready").await["status"], "True");

    world
        .apply("demo", spec("Managed", "registry.example/auth:2"))
        .await;
    world.bring_up("demo").await.unwrap();
    let objects = world.snapshot().await;
    assert!(objects.contains_key("Service/demo-auth"), "{:?}", names(&objects));
    let template = &objects["Deployment/demo-auth"]["spec"]["template"];
    assert_eq!(
        template["spec"]["containers"][0]["image"],
        "registry.example/auth:2"
    );
}

async fn notes(world: &World) -> Vec<String> {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    events
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .filter_map(|event| event.note)
        .collect()
}

#[tokio::test]
async fn a_repeated_event_is_counted_and_another_message_is_another_event() {
    let Some(world) = world("events").await else {
        return;
    };
    let platform = world.apply("demo", json!({})).await;
    let cluster = world.cluster();
    let note = |message: &str| EventNote {
        type_: EventType::Warning,
        reason: "Restored".into(),
        message: message.into(),
    };
    for message in ["one", "two", "one", "one"] {
        cluster.publish(&platform, &note(message)).await.unwrap();
    }
    cluster
        .publish(&platform, &note(&"ü".repeat(1000)))
        .await
        .unwrap();
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let events = events.list(&ListParams::default()).await.unwrap();
    let counts: BTreeMap<_, _> = events
        .iter()
        .map(|event| {
            (
                event.note.as_deref().unwrap_or_default(),
                event.series.as_ref().map(|series| series.count),
            )
        })
        .collect();
    assert_eq!(counts.len(), 3);
    assert_eq!((counts["one"], counts["two"]), (Some(3), None));
}

#[tokio::test]
async fn a_service_taken_off_the_list_is_pruned_and_its_data_stays() {
    let Some(world) = world("prune").await else { return };
    world
        .apply(
            "demo",
            json!({"services": [{"name": "auth"}, {"name": "billing"}]}),
        )
        .await;
    world.bring_up("demo").await.unwrap();
    let before = world.snapshot().await;
    world.apply("demo", json!({"services": [{"name": "auth"}]})).await;
    world.reconcile("demo").await.unwrap();
    let after = world.snapshot().await;
    let gone: Vec<_> = names(&before)
        .into_iter()
        .filter(|name| !after.contains_key(*name))
        .collect();
    assert_eq!(
        gone,
        [
            "Deployment/demo-billing",
            "NetworkPolicy/demo-billing",
            "Service/demo-billing"
        ]
    );
    assert!(
        after.contains_key("PersistentVolumeClaim/demo-billing-data"),
        "{:?}",
        names(&after)
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_applied_is_told_in_the_status_and_recovers() {
    let Some(world) = world("refused").await else {
        return;
    };
    let services = world.objects(Kind::Service);
    let of_somebody = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "of-somebody"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30999}]},
    });
    let of_somebody = serde_json::from_value(of_somebody).unwrap();
    services
        .create(&PostParams::default(), &of_somebody)
        .await
        .unwrap();
    let ports = json!({"gateway": 30999, "jaeger": 30998});
    let spec =
        json!({"services": [{"name": "gateway"}], "exposure": {"type": "NodePort", "nodePort": ports}});
    world.apply("demo", spec).await;
    let error = world.reconcile("demo").await.expect_err("a node port is taken");
    assert!(matches!(error, ReconcileError::Write(_)), "{error:?}");
    let ready = world.condition("demo", "Ready").await;
    assert_eq!(ready["status"], "False");
    assert!(
        ready["message"].as_str().unwrap().contains("already allocated"),
        "{ready}"
    );
    assert!(
        !world.snapshot().await.contains_key("Deployment/demo-gateway"),
        "later waves wait"
    );

    let gone = DeleteParams::default();
    services.delete("of-somebody", &gone).await.unwrap();
    world.reconcile("demo").await.unwrap();
    assert!(world.snapshot().await.contains_key("Deployment/demo-gateway"));
}

#[tokio::test]
async fn a_platform_that_is_being_deleted_gets_nothing_new() {
    let Some(world) = world("deleting").await else {
        return;
    };
    world.apply("demo", json!({})).await;
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    world
        .platforms()
        .patch("demo", &PatchParams::default(), &Patch::Merge(&hold))
        .await
        .unwrap();
    world
        .platforms()
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    world.reconcile("demo").await.unwrap();
    assert!(names(&world.snapshot().await).is_empty());
}
