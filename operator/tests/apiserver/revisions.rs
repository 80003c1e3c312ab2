//! What is read is at least as new as what is known.

use std::sync::Arc;

use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use platform_core::kinds::{Kind, ObjectKey};
use platform_operator::cluster::{Cluster as _, Contested, PLATFORM, PlatformKey, Revisions};
use serde_json::json;

use crate::fixture::{World, world};

const SERVICE: &str = "Service";

/// The note on the Platform's first Service, as an informed list gives it.
async fn note(world: &World, revisions: &Arc<Revisions>) -> Option<String> {
    let platform = world.platforms().get("demo").await.unwrap();
    let cluster = world.cluster().informed_by(revisions.clone());
    let services = cluster.list(&platform, Kind::Service).await.unwrap();
    services[0].annotations().get("example.com/note").cloned()
}

/// Somebody else writes a note on the first Service; gives its revision.
async fn annotate(world: &World, note: &str) -> String {
    let services = world.objects(Kind::Service);
    let note = json!({"metadata": {"annotations": {"example.com/note": note}}});
    let written = services
        .patch("demo-auth", &PatchParams::default(), &Patch::Merge(&note))
        .await
        .unwrap();
    written.resource_version().unwrap()
}

#[tokio::test]
async fn a_list_is_as_new_as_what_was_told_of_and_as_what_was_written() {
    let Some(world) = world("revisions").await else {
        return;
    };
    world.apply("demo", json!({"services": [{"name": "auth"}]})).await;
    world.bring_up("demo").await.unwrap();
    let revisions = Arc::new(Revisions::default());
    assert_eq!(
        note(&world, &revisions).await,
        None,
        "nothing is known: the newest"
    );
    for round in 0..20 {
        let text = round.to_string();
        revisions.saw(SERVICE, Some(&annotate(&world, &text).await));
        assert_eq!(note(&world, &revisions).await, Some(text));
    }

    let platform = world.platforms().get("demo").await.unwrap();
    let cluster = world.cluster().informed_by(revisions);
    let mut wanted = cluster.list(&platform, Kind::Service).await.unwrap().remove(0);
    let key = ObjectKey {
        kind: Kind::Service,
        namespace: world.namespace.clone(),
        name: wanted.name_any(),
    };
    (wanted.metadata.resource_version, wanted.metadata.managed_fields) = (None, None);
    wanted.labels_mut().insert("example.com/own".into(), "1".into());
    let written = cluster.apply(&key, &wanted, Contested::Taken).await.unwrap();
    let listed = cluster.list(&platform, Kind::Service).await.unwrap();
    let found = listed.iter().find(|found| found.name_any() == key.name).unwrap();
    assert_eq!(found.resource_version(), written.resource_version());

    wanted.data["spec"]["nonsense"] = json!(1);
    let refused = cluster.apply(&key, &wanted, Contested::Taken).await.unwrap_err();
    assert!(
        refused.to_string().contains("field not declared in schema"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_cluster_that_went_back_is_listed_as_it_is() {
    let Some(world) = world("went-back").await else {
        return;
    };
    world.apply("demo", json!({"services": [{"name": "auth"}]})).await;
    world.bring_up("demo").await.unwrap();
    annotate(&world, "as it is").await;
    let revisions = Arc::new(Revisions::default());
    revisions.saw(SERVICE, Some("4611686018427387904"));
    assert_eq!(note(&world, &revisions).await.as_deref(), Some("as it is"));
    // What was known before is forgotten, and not asked for again.
    revisions.saw(SERVICE, Some(&annotate(&world, "as it is now").await));
    assert_eq!(note(&world, &revisions).await.as_deref(), Some("as it is now"));
}

#[tokio::test]
async fn a_platform_is_as_new_as_what_was_told_of() {
    let Some(world) = world("informed").await else {
        return;
    };
    let key = PlatformKey::new(world.namespace.clone(), "demo");
    let revisions = Arc::new(Revisions::default());
    let cluster = world.cluster().informed_by(revisions.clone());
    for port in 1024..1044 {
        let service = json!({"name": "auth", "port": port});
        let applied = world.apply("demo", json!({"services": [service]})).await;
        revisions.saw(PLATFORM, applied.resource_version().as_deref());
        let found = cluster.get(&key).await.unwrap().unwrap().platform;
        assert_eq!(found.resource_version(), applied.resource_version());
        assert_eq!(found.spec, applied.spec);
    }
    revisions.saw(PLATFORM, Some("4611686018427387904"));
    assert!(
        cluster.get(&key).await.unwrap().is_some(),
        "the cluster went back"
    );
    let deletion = DeleteParams::default();
    world.platforms().delete("demo", &deletion).await.unwrap();
    assert!(cluster.get(&key).await.unwrap().is_none());
}
