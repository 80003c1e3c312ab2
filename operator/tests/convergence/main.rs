//! Convergence: whatever happened, once nothing more goes wrong the cluster reaches what the Platform asks for in a
//! bounded number of reconciles, and then nothing is written any more.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its setting cannot be made"
)]

mod lists;
mod schedules;
mod telling;
mod world;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::kinds::Kind;
use platform_core::step::FailureCategory;
use platform_testkit::{Fate, Fault, Write, example};

use crate::world::World;

#[test]
fn an_operator_that_is_killed_after_any_write_is_continued_by_the_next() {
    let undisturbed = World::new(example("demo"));
    undisturbed.reconcile().expect("nothing goes wrong");
    let writes = undisturbed.cluster.take_writes().len();
    assert!(writes > 10, "a demo is made by {writes} writes");
    undisturbed.quiet();
    let expected: BTreeSet<_> = undisturbed.cluster.objects().into_keys().collect();
    for k in 0..writes {
        let world = World::new(example("demo"));
        world.cluster.inject(Fault::CrashAfter(k));
        assert!(world.reconcile().is_err(), "killed after {k} writes");
        world.quiet();
        world.assert_converged();
        assert_eq!(
            world.cluster.objects().into_keys().collect::<BTreeSet<_>>(),
            expected
        );
    }
}

#[test]
fn an_object_of_somebody_else_is_left_alone_until_it_is_gone() {
    let world = World::new(example("demo"));
    world.quiet();
    let (key, object) = world
        .cluster
        .objects()
        .into_iter()
        .find(|(key, _)| key.kind == Kind::Service && key.name == "demo-auth")
        .expect("auth has a Service");
    let theirs = DynamicObject {
        metadata: ObjectMeta {
            name: object.metadata.name.clone(),
            namespace: object.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        ..object
    };

    let world = World::new(example("demo"));
    world.cluster.create_object(&key, theirs);
    let before = world.cluster.objects()[&key].clone();
    assert!(world.reconcile().is_err());
    assert_eq!(world.cluster.objects()[&key], before);
    let (ready, reason, message) = world.condition("Ready");
    assert_eq!((ready.as_str(), reason.as_str()), ("False", "ApplyConflict"));
    assert!(
        message.starts_with("Service shop/demo-auth belongs to somebody else; delete or rename it"),
        "{message}"
    );
    assert_eq!(world.condition("Stalled").0, "True");
    assert_eq!(world.condition("Reconciling").0, "False");

    world.cluster.delete_object(&key);
    world.quiet();
    world.assert_converged();
    assert_eq!(world.condition("Stalled").0, "False");
}

#[test]
fn other_causes_are_told_too() {
    for (fate, reason, said) in [
        (
            Fate::Crash("no such table: users"),
            "ContainerCrashed",
            "exit code 1: no such table: users",
        ),
        (Fate::QuotaExceeded, "QuotaExceeded", "exceeded quota: small"),
    ] {
        let world = World::new(example("minimal"));
        world.reconcile().expect("nothing goes wrong");
        world
            .cluster
            .settle(|app| if app == "auth" { fate } else { Fate::Serve });
        world.reconcile().expect("nothing goes wrong");
        let (status, told, message) = world.condition("Stalled");
        assert_eq!((status.as_str(), told.as_str()), ("True", reason));
        assert!(message.contains(said), "{message}");
        world.quiet();
        world.assert_converged();
    }
}

#[test]
fn what_is_edited_or_deleted_by_hand_comes_back_with_an_event() {
    let world = World::new(example("demo"));
    world.quiet();
    world.cluster.take_events();
    world
        .cluster
        .edit_object(&world.key_of(Kind::Deployment, "demo-auth"), |object| {
            object["spec"]["replicas"] = 3.into();
            object["metadata"]["labels"]["example.com/theirs"] = "stays".into();
        });
    world
        .cluster
        .delete_object(&world.key_of(Kind::Service, "demo-billing"));
    world.quiet();
    world.assert_converged();
    let messages: Vec<_> = world
        .cluster
        .take_events()
        .into_iter()
        .map(|event| event.message)
        .collect();
    assert_eq!(
        messages[0],
        "Restored Service demo-billing: it was deleted by hand"
    );
    assert_eq!(
        messages[1],
        "Restored Deployment demo-auth: replicas was edited by hand: 3 → 1"
    );
    let auth = world
        .cluster
        .objects()
        .remove(&world.key_of(Kind::Deployment, "demo-auth"))
        .expect("it is there");
    assert_eq!(
        auth.labels().get("example.com/theirs").map(String::as_str),
        Some("stays")
    );
}

#[test]
fn nothing_is_pruned_while_something_cannot_be_applied() {
    let world = World::new(example("demo"));
    world.quiet();
    world.cluster.edit_platform(&world.key, |spec| {
        spec.services.retain(|service| service.name != "billing");
    });
    world
        .cluster
        .inject(Fault::RefuseWrite(0, FailureCategory::Forbidden));
    assert!(world.reconcile().is_err());
    assert_eq!(world.condition("Ready").1, "ApplyForbidden");
    assert!(
        world
            .cluster
            .objects()
            .contains_key(&world.key_of(Kind::Deployment, "demo-billing"))
    );
    world.quiet();
    world.assert_converged();
    assert!(
        !world
            .cluster
            .objects()
            .contains_key(&world.key_of(Kind::Deployment, "demo-billing"))
    );
    let data = world.key_of(Kind::PersistentVolumeClaim, "demo-billing-data");
    assert!(
        world.cluster.objects().contains_key(&data),
        "data outlives its service"
    );
}

#[test]
fn an_object_that_cannot_be_deleted_is_told_so() {
    let without_billing = || {
        let world = World::new(example("demo"));
        world.quiet();
        world.cluster.edit_platform(&world.key, |spec| {
            spec.services.retain(|service| service.name != "billing");
        });
        world
    };
    let undisturbed = without_billing();
    undisturbed.reconcile().expect("nothing goes wrong");
    let mut writes = undisturbed.cluster.take_writes().into_iter();
    let first_delete = writes
        .position(|write| matches!(write, Write::Delete(_)))
        .expect("billing is pruned");

    let world = without_billing();
    world
        .cluster
        .inject(Fault::RefuseWrite(first_delete, FailureCategory::Forbidden));
    assert!(world.reconcile().is_err());
    let (status, reason, message) = world.condition("Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "ApplyForbidden"));
    assert!(
        message.contains("demo-billing could not be deleted: "),
        "{message}"
    );
    world.quiet();
    world.assert_converged();
}

#[test]
fn a_deleted_platform_leaves_nothing() {
    let world = World::new(example("demo"));
    world.quiet();
    world.cluster.delete_platform(&world.key);
    world.cluster.take_writes();
    world.reconcile().expect("a Platform that is gone is no error");
    assert!(world.cluster.objects().is_empty());
    assert_eq!(world.cluster.take_writes(), Vec::<Write>::new());
}

#[test]
fn what_a_platform_leaves_the_next_of_its_name_takes_over() {
    take_over(|_| {});
}

#[test]
fn it_does_so_when_the_operator_has_seen_the_first_one_go() {
    take_over(|world| world.reconcile().expect("a Platform that is gone is no error"));
}

#[test]
fn and_when_the_operator_began_in_between() {
    take_over(World::restart);
}

fn take_over(between: impl Fn(&World)) {
    let world = World::new(example("database-postgres"));
    world.quiet();
    world.assert_converged();
    let before = world.cluster.objects();
    world.cluster.delete_platform(&world.key);
    let left = world.cluster.objects();
    assert!(
        left.keys()
            .all(|key| matches!(key.kind, Kind::Secret | Kind::PersistentVolumeClaim)),
        "{:?}",
        left.keys()
    );
    assert_eq!(
        left.len(),
        8,
        "five passwords, a key and two volumes: {:?}",
        left.keys()
    );

    between(&world);
    let again = world.cluster.create_platform(example("database-postgres"));
    assert_eq!(again, world.key);
    world.cluster.take_events();
    world.quiet();
    world.assert_converged();
    for (key, object) in world.cluster.objects() {
        if let Some(old) = left.get(&key) {
            assert_eq!(object.data, old.data, "{key} keeps its content");
            assert_eq!(object.metadata.uid, old.metadata.uid, "{key} is the same object");
        }
    }
    let adopted = world.cluster.take_events();
    let adopted = adopted.iter().filter(|event| event.reason == "StorageAdopted");
    assert_eq!(adopted.count(), left.len());
    assert_eq!(world.cluster.objects().len(), before.len());
}

#[test]
fn a_password_is_never_changed_unasked() {
    let world = World::new(example("database-postgres"));
    world.quiet();
    let secret = world.key_of(Kind::Secret, "bazaar-auth-database");
    let password = |world: &World| {
        world
            .cluster
            .objects()
            .get(&secret)
            .map(|object| object.data.clone())
    };
    let before = password(&world);
    assert!(
        before
            .as_ref()
            .is_some_and(|data| data["stringData"]["password"].is_string())
    );
    world.cluster.edit_object(&secret, |object| {
        object["metadata"]["labels"] = serde_json::json!({});
    });
    world
        .cluster
        .edit_platform(&world.key, |spec| spec.telemetry.tracing.sampling_percent = 3);
    world.quiet();
    world.assert_converged();
    assert_eq!(password(&world), before);

    world.cluster.delete_object(&secret);
    world.quiet();
    world.assert_converged();
    assert_ne!(password(&world), before, "deleted by hand, it is made anew");
}

#[test]
fn a_migration_that_fails_keeps_the_new_pods_back() {
    let world = World::new(example("database-postgres"));
    world.quiet();
    let deployment = world.key_of(Kind::Deployment, "bazaar-auth");
    let image = |world: &World| {
        let objects = world.cluster.objects();
        objects[&deployment].data["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let before = image(&world);
    world.cluster.edit_platform(&world.key, |spec| {
        spec.services[1].image = Some("registry.test/auth:next".to_owned());
    });
    for _ in 0..4 {
        world.reconcile().expect("nothing goes wrong");
        world.cluster.settle(|app| match app {
            "auth.migration" => Fate::Crash("no such column: b"),
            _ => Fate::Serve,
        });
    }
    world.reconcile().expect("nothing goes wrong");
    assert_eq!(image(&world), before);
    let (status, reason, message) = world.condition("DatabaseReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "MigrationFailed"));
    assert!(
        message.ends_with("ended with exit code 1: no such column: b"),
        "{message}"
    );
    assert_eq!(world.condition("Stalled").1, "MigrationFailed");
    assert_eq!(world.condition("ServicesAvailable").0, "True");
    world.quiet();
    world.assert_converged();
    assert_eq!(image(&world), "registry.test/auth:next");
}
