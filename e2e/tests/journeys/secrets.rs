//! A Secret that is not there is named in the status, and its creation is enough. One that changes rolls the pods that
//! read it.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use platform_core::api::Platform;
use serde_json::{Value, json};
use tracewell_e2e::platform::{Handle, billing_untraced, condition, is_false, is_true};

const LIMIT: Duration = Duration::from_mins(2);
const NAME: &str = "not-yet-there";

/// Whether the Platform waits for the Secret, and says so.
fn names_the_secret(platform: &Platform) -> bool {
    condition(platform, "Ready").is_some_and(|ready| {
        ready.status == "False"
            && ready.reason == "ReferenceMissing"
            && ready.message.contains("billing")
            && ready.message.contains(NAME)
    })
}

/// Waits until the missing Secret is named, makes it, and waits until that has been enough.
async fn is_told_and_recovers(test: &str, spec: Value, key: &str) -> Result<()> {
    let platform = Handle::create_with_secrets(test, spec).await?;
    let seen = platform
        .until("the missing Secret is named", LIMIT, names_the_secret)
        .await?;
    assert!(is_true(&seen, "Stalled"));

    let secrets: Api<Secret> = platform.cluster.namespaced(&platform.namespace);
    let secret = json!({"metadata": {"name": NAME}, "stringData": {key: "https://key@sentry.invalid/1"}});
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let ready = platform.until_ready().await?;
    assert!(is_false(&ready, "Stalled"));
    assert!(is_true(&ready, "SecretsResolved"));

    let before = config_hash(&ready);
    let changed = json!({"stringData": {key: "https://other@sentry.invalid/2"}});
    secrets
        .patch(NAME, &PatchParams::default(), &Patch::Merge(&changed))
        .await?;
    platform
        .until("the pods are rolled by the changed Secret", LIMIT, |platform| {
            is_true(platform, "Ready") && config_hash(platform) != before
        })
        .await?;
    let serving = config_hash(&platform.get().await?);
    secrets.delete(NAME, &DeleteParams::default()).await?;
    let gone = platform
        .until("the deleted Secret is named", LIMIT, names_the_secret)
        .await?;
    assert!(is_true(&gone, "ServicesAvailable"), "what runs goes on");
    let again = json!({"metadata": {"name": NAME}, "stringData": {key: "https://other@sentry.invalid/2"}});
    secrets
        .create(&PostParams::default(), &serde_json::from_value(again)?)
        .await?;
    platform
        .until("the pods are rolled by the new Secret", LIMIT, |platform| {
            is_true(platform, "Ready") && config_hash(platform) != serving
        })
        .await?;
    platform.remove().await
}

fn config_hash(platform: &Platform) -> Option<String> {
    let status = platform.status.as_ref()?;
    Some(status.services.first()?.config_hash.clone())
}

#[tokio::test]
async fn a_variable_from_a_missing_secret() -> Result<()> {
    let mut spec = billing_untraced();
    let source = json!({"secretKeyRef": {"name": NAME, "key": "password"}});
    spec["services"][0]["env"] = json!([{"name": "SMTP_PASSWORD", "valueFrom": source}]);
    is_told_and_recovers("secret", spec, "password").await
}

#[tokio::test]
async fn a_dsn_from_a_missing_secret() -> Result<()> {
    let mut spec = billing_untraced();
    spec["telemetry"]["errors"] = json!({"dsnSecretRef": {"name": NAME, "key": "dsn"}});
    is_told_and_recovers("secret-dsn", spec, "dsn").await
}
