//! Data on a real API server: passwords are made once, and what is retained is taken over.

use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Secret},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use platform_core::{kinds::Kind, labels};
use serde_json::{Value, json};

use crate::{
    faulty::{Fault, Faulty},
    fixture::{World, world},
};

fn spec(deletion_policy: &str) -> Value {
    json!({
        "services": [{"name": "auth"}],
        "deletionPolicy": deletion_policy,
        "database": {"type": "Postgres", "postgres": {"backup": {}}},
    })
}

fn secrets(world: &World) -> Api<Secret> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

async fn password(world: &World, secret: &str) -> String {
    let secret = secrets(world).get(secret).await.unwrap();
    assert_eq!(secret.immutable, Some(true));
    String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap()
}

#[tokio::test]
async fn a_password_is_made_once_and_survives_whatever_is_applied() {
    let Some(world) = world("passwords").await else {
        return;
    };
    world.apply("demo", spec("Delete")).await;
    world.bring_up("demo").await.unwrap();
    let before = password(&world, "demo-auth-database").await;
    assert_eq!(before.len(), 64);
    assert_ne!(before, password(&world, "demo-postgres").await);

    let settled = Faulty::counting(&world);
    world.reconcile_with(&settled, "demo").await.unwrap();
    assert_eq!(settled.writes(), 0, "at rest nothing is written");

    // The owner goes and comes back, and somebody takes the labels away: the metadata is applied, the content stays.
    world.apply("demo", spec("RetainStorage")).await;
    world.bring_up("demo").await.unwrap();
    let secret = secrets(&world).get("demo-auth-database").await.unwrap();
    assert_eq!(secret.owner_references(), []);
    let unlabelled = json!({"metadata": {"labels": {labels::PLATFORM: null, labels::MANAGED_BY: null}}});
    let by_hand = PatchParams {
        field_manager: Some("kubectl-edit".into()),
        ..PatchParams::default()
    };
    secrets(&world)
        .patch("demo-auth-database", &by_hand, &Patch::Merge(&unlabelled))
        .await
        .unwrap();
    world.apply("demo", spec("Delete")).await;
    world.bring_up("demo").await.unwrap();
    let secret = secrets(&world).get("demo-auth-database").await.unwrap();
    assert_eq!(secret.owner_references().len(), 1);
    assert_eq!(
        secret.labels().get(labels::PLATFORM).map(String::as_str),
        Some("demo")
    );
    assert_eq!(password(&world, "demo-auth-database").await, before);

    let shown = json!(world.platforms().get("demo").await.unwrap()).to_string();
    assert!(!shown.contains(&before), "the status shows a password");
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let Some(world) = world("foreign-secret").await else {
        return;
    };
    let theirs: Secret = serde_json::from_value(json!({
        "metadata": {"name": "demo-auth-database"}, "stringData": {"password": "theirs"},
    }))
    .unwrap();
    let before = secrets(&world)
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();
    world.apply("demo", spec("Delete")).await;
    let refused = world.reconcile("demo").await.unwrap_err().to_string();
    assert!(refused.contains("demo-auth-database"), "{refused}");
    assert_eq!(secrets(&world).get("demo-auth-database").await.unwrap(), before);
    let stalled = world.condition("demo", "Stalled").await;
    assert_eq!(stalled["reason"], "ApplyConflict");
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_password() {
    let Some(world) = world("lost-answer").await else {
        return;
    };
    for last in 0..6 {
        let name = format!("demo-{last}");
        world.apply(&name, spec("Delete")).await;
        let faulty = Faulty::after(&world, last, Fault::AfterWrite);
        world.reconcile_with(&faulty, &name).await.unwrap_err();
        let selector = ListParams::default().labels(&format!("{}={name}", labels::PLATFORM));
        let before = secrets(&world).list(&selector).await.unwrap().items;
        world.bring_up(&name).await.unwrap();
        for secret in before {
            let now = secrets(&world).get(&secret.name_any()).await.unwrap();
            assert_eq!(
                (now.uid(), now.data),
                (secret.uid(), secret.data),
                "after write {last}"
            );
        }
    }
}

#[tokio::test]
async fn the_next_platform_of_the_name_takes_over_what_was_retained() {
    let Some(world) = world("retained").await else {
        return;
    };
    world.apply("demo", spec("RetainStorage")).await;
    world.bring_up("demo").await.unwrap();
    let claims = Api::<PersistentVolumeClaim>::namespaced(world.client.clone(), &world.namespace);
    let mut kept = Vec::new();
    for name in ["demo-postgres-data", "demo-postgres-backup"] {
        let claim = claims.get(name).await.unwrap();
        assert_eq!(claim.owner_references(), [], "{name} has no owner to go with");
        kept.push((name, claim.uid()));
    }
    let before = password(&world, "demo-auth-database").await;
    let old = world.platforms().get("demo").await.unwrap().uid();
    world
        .platforms()
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    // Here nothing collects the garbage.
    for kind in [
        Kind::Job,
        Kind::CronJob,
        Kind::StatefulSet,
        Kind::Deployment,
        Kind::Service,
        Kind::ConfigMap,
    ] {
        let ours = ListParams::default().labels(&format!("{}=demo", labels::PLATFORM));
        for object in world.objects(kind).list(&ours).await.unwrap() {
            assert_eq!(
                object.owner_references()[0].uid,
                old.clone().unwrap(),
                "{kind} {}",
                object.name_any()
            );
            let now = DeleteParams::background();
            world
                .objects(kind)
                .delete(&object.name_any(), &now)
                .await
                .unwrap();
        }
    }

    world.apply("demo", spec("Delete")).await;
    world.bring_up("demo").await.unwrap();
    let new = world.platforms().get("demo").await.unwrap().uid();
    assert_ne!(old, new);
    for (name, uid) in kept {
        let claim = claims.get(name).await.unwrap();
        assert_eq!(claim.uid(), uid, "{name} is the same volume");
        assert_eq!(claim.labels().get(labels::PLATFORM_UID), new.as_ref());
        assert_eq!(claim.owner_references()[0].uid, new.clone().unwrap());
    }
    assert_eq!(password(&world, "demo-auth-database").await, before);
}

/// What a provisioner does: a volume of the size that was asked for, bound to its claim.
async fn provision(world: &World, claim: &str) {
    let claims = world.objects(Kind::PersistentVolumeClaim);
    let bound = json!({"status": {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
    }});
    claims
        .patch_status(claim, &PatchParams::default(), &Patch::Merge(&bound))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_volume_grows_where_its_class_lets_it_and_else_holds_nothing_up() {
    let Some(world) = world("growing").await else {
        return;
    };
    let classes = Api::<StorageClass>::all(world.client.clone());
    for (class, grows) in [("grows", true), ("stays", false)] {
        let class = json!({
            "metadata": {"name": class}, "provisioner": "tracewell.dev/test", "allowVolumeExpansion": grows,
        });
        let class = serde_json::from_value(class).unwrap();
        classes.create(&PostParams::default(), &class).await.unwrap();
    }
    let spec = |class: &str, size: &str, image: &str| {
        json!({
            "services": [{"name": "auth", "image": image}],
            "database": {"embedded": {"storage": {"size": size, "storageClassName": class}}},
        })
    };
    let (before, after) = ("registry.example/auth:1", "registry.example/auth:2");
    for class in ["grows", "stays"] {
        world.apply(class, spec(class, "1Gi", before)).await;
        world.bring_up(class).await.unwrap();
        provision(&world, &format!("{class}-auth-data")).await;
        world.apply(class, spec(class, "2Gi", after)).await;
    }

    world.bring_up("grows").await.unwrap();
    let refused = world.reconcile("stays").await.unwrap_err().to_string();
    assert!(refused.contains("stays-auth-data"), "{refused}");
    let objects = world.snapshot().await;
    for (class, size) in [("grows", "2Gi"), ("stays", "1Gi")] {
        let claim = &objects[&format!("PersistentVolumeClaim/{class}-auth-data")];
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], size);
        let deployment = &objects[&format!("Deployment/{class}-auth")];
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, after, "{class}");
    }
    let stalled = world.condition("stays", "Stalled").await;
    assert_eq!(stalled["reason"], "ApplyForbidden");
    let message = stalled["message"].as_str().unwrap();
    assert!(message.contains("must support resize"), "{message}");

    let may_grow = json!({"allowVolumeExpansion": true});
    classes
        .patch("stays", &PatchParams::default(), &Patch::Merge(&may_grow))
        .await
        .unwrap();
    world.bring_up("stays").await.unwrap();
}
