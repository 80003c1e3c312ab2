//! Owned objects that somebody edits or deletes by hand are restored, and an event tells of it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use platform_core::kinds::Kind;
use serde_json::{Value, json};
use tracewell_e2e::platform::{Handle, billing_alone};
use tracewell_e2e::wait::{Look, until};

const LIMIT: Duration = Duration::from_mins(1);

/// The notes of the repairs that the operator told of.
async fn repairs(platform: &Handle) -> Result<Vec<String>> {
    let events = platform
        .cluster
        .namespaced::<Event>(&platform.namespace)
        .list(&ListParams::default())
        .await?;
    let repair = |event: &Event| event.reason.as_deref() == Some("DriftRepaired");
    Ok(events
        .items
        .into_iter()
        .filter(repair)
        .filter_map(|event| event.note)
        .collect())
}

async fn until_repair_is_told(platform: &Handle, object: &str) -> Result<()> {
    until(
        &format!("an event tells that {object} was restored"),
        LIMIT,
        async || {
            let notes = repairs(platform).await?;
            let told = notes.iter().any(|note| note.contains(&format!("{object}:")));
            Ok(if told {
                Look::Done(())
            } else {
                Look::NotYet(notes.join("\n"))
            })
        },
    )
    .await
}

async fn edit(platform: &Handle, kind: Kind, name: &str, change: Value) -> Result<()> {
    let objects = platform.cluster.of_kind(kind.info(), &platform.namespace);
    objects
        .patch(name, &PatchParams::default(), &Patch::Strategic(change))
        .await?;
    Ok(())
}

async fn until_object(
    platform: &Handle,
    kind: Kind,
    name: &str,
    what: &str,
    holds: impl Fn(&DynamicObject) -> bool,
) -> Result<()> {
    until(what, LIMIT, async || {
        Ok(match platform.object(kind, name).await? {
            Some(object) if holds(&object) => Look::Done(()),
            Some(object) => Look::NotYet(object.data.to_string()),
            None => Look::NotYet("it does not exist".to_owned()),
        })
    })
    .await
}

#[tokio::test]
async fn fields_that_the_operator_owns_are_restored_and_those_of_others_survive() -> Result<()> {
    let platform = Handle::create("drift", billing_alone()).await?;
    platform.until_ready().await?;
    let name = platform.object_name("billing");

    edit(
        &platform,
        Kind::Deployment,
        &name,
        json!({"metadata": {"labels": {"team": "red"}}, "spec": {"replicas": 0}}),
    )
    .await?;
    until_object(
        &platform,
        Kind::Deployment,
        &name,
        "the replicas are restored",
        |deployment| deployment.data["spec"]["replicas"] == 1,
    )
    .await?;
    let deployment = platform
        .object(Kind::Deployment, &name)
        .await?
        .context("it was there a moment ago")?;
    assert_eq!(
        deployment.labels().get("team").map(String::as_str),
        Some("red"),
        "a label of somebody else"
    );
    until_repair_is_told(&platform, &format!("Deployment {name}")).await?;

    let env = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "billing", "env": [{"name": "OTEL_TRACES_SAMPLER_ARG", "value": "0"}]},
    ]}}}});
    edit(&platform, Kind::Deployment, &name, env).await?;
    until_object(
        &platform,
        Kind::Deployment,
        &name,
        "the variable is restored",
        |deployment| {
            let containers = &deployment.data["spec"]["template"]["spec"]["containers"];
            let env = containers[0]["env"].as_array().cloned().unwrap_or_default();
            env.iter()
                .any(|variable| variable["name"] == "OTEL_TRACES_SAMPLER_ARG" && variable["value"] != "0")
        },
    )
    .await?;
    platform.until_ready().await?;
    platform.remove().await
}

#[tokio::test]
async fn objects_that_are_deleted_by_hand_come_back() -> Result<()> {
    let platform = Handle::create("deleted-by-hand", billing_alone()).await?;
    platform.until_ready().await?;
    let uid = platform.uid().await?;
    let billing = platform.object_name("billing");
    let owned = platform.cluster.owned_objects(&platform.namespace, &uid).await?;
    let config = owned
        .iter()
        .map(|(_, object)| object.name_any())
        .find(|name| name.starts_with(&platform.object_name("collector-")))
        .context("the collector's ConfigMap")?;

    for (kind, name) in [
        (Kind::Service, &billing),
        (Kind::ConfigMap, &config),
        (Kind::Deployment, &billing),
    ] {
        let before = platform
            .object(kind, name)
            .await?
            .and_then(|object| object.uid())
            .context("it exists")?;
        let objects = platform.cluster.of_kind(kind.info(), &platform.namespace);
        objects.delete(name, &DeleteParams::background()).await?;
        let what = format!("{kind} {name} is back");
        until_object(&platform, kind, name, &what, |object| {
            object.uid().is_some_and(|uid| uid != before)
        })
        .await?;
        until_repair_is_told(&platform, &format!("{kind} {name}")).await?;
    }
    platform.until_ready().await?;
    platform.remove().await
}
