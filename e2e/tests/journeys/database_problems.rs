//! What stands in the way of a database, and goes away.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tracewell_e2e::platform::{Handle, condition, is_true};

use crate::database::{LIMIT, until_ready};

#[tokio::test]
async fn a_migration_that_fails_leaves_the_old_pods_and_says_why() -> Result<()> {
    let spec = |arguments: &str| {
        json!({
            "services": [{"name": "auth", "migrations": {"args": [arguments], "deadlineSeconds": 120}}],
            "database": {"type": "Postgres", "postgres": {"storage": {"size": "256Mi"}}},
            "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
        })
    };
    let platform = Handle::create("migration", spec("migrate")).await?;
    let told = platform.until("the permission that is missing is told", LIMIT, |platform| {
        condition(platform, "Ready").is_some_and(|c| {
            c.reason == "SecretsForbidden"
                && c.message.contains("kubectl create rolebinding tracewell-secrets")
        })
    });
    told.await?;
    platform.allow_secrets().await?;
    until_ready(&platform).await?;
    let before = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "auth")
        .await?;

    platform.apply(spec("no-such-command")).await?;
    let failed = platform
        .until("the failed migration is told", LIMIT, |platform| {
            condition(platform, "Stalled")
                .is_some_and(|c| c.status == "True" && c.reason == "MigrationFailed")
        })
        .await?;
    let message = condition(&failed, "DatabaseReady")
        .map(|c| c.message.clone())
        .unwrap_or_default();
    assert!(
        message.contains("For more information, try '--help'"),
        "the last line of what the migration said: {message}"
    );
    assert!(is_true(&failed, "ServicesAvailable"));
    let after = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "auth")
        .await?;
    let uids = |pods: &[Pod]| pods.iter().map(ResourceExt::uid).collect::<Vec<_>>();
    assert_eq!(uids(&before), uids(&after));

    platform.apply(spec("migrate")).await?;
    until_ready(&platform).await?;
    platform.remove().await
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_named_and_its_creation_is_enough() -> Result<()> {
    const CLASS: &str = "tracewell-e2e-late";
    let storage = json!({"size": "256Mi", "storageClassName": CLASS});
    let spec = json!({
        "services": [{"name": "auth"}],
        "database": {"type": "Postgres", "postgres": {"storage": storage}},
        "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
    });
    let platform = Handle::create_with_secrets("storage-class", spec).await?;
    let told = platform.until("the storage class is named", LIMIT, |platform| {
        condition(platform, "DatabaseReady")
            .is_some_and(|c| c.status == "False" && c.reason == "VolumePending" && c.message.contains(CLASS))
    });
    told.await?;

    let classes: Api<StorageClass> = Api::all(platform.cluster.client.clone());
    let default = classes.list(&ListParams::default()).await?;
    let like = default
        .items
        .into_iter()
        .next()
        .context("the cluster has a class")?;
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some(CLASS.to_owned()),
            ..ObjectMeta::default()
        },
        ..like
    };
    classes.create(&PostParams::default(), &class).await?;
    let ready = until_ready(&platform).await;
    // It is the whole cluster's.
    classes.delete(CLASS, &DeleteParams::default()).await?;
    ready?;
    platform.remove().await
}
