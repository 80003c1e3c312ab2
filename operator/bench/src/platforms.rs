//! The Platforms of the bench, each in a namespace of its own, and their objects without an operator.

use std::ops::Range;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    core::DynamicObject,
    runtime::wait::await_condition,
};
use platform_core::{
    api::Platform, desired::Desired, kinds::Kind, labels, resolve::resolve, settings::Settings, step::Facts,
};
use platform_envtest::create_namespace;
use platform_operator::settings::SettingsArgs;
use serde_json::{Value, json};

/// Requests under way at once: as many as the operator has reconciles.
pub(crate) const CONCURRENCY: usize = 8;

/// The name of every Platform.
const NAME: &str = "demo";

/// The Deployment that an edit changes.
pub(crate) const EDITED: &str = "demo-gateway";

pub(crate) const SERVICES: usize = 4;

pub(crate) fn namespace(number: usize) -> String {
    format!("shop-{number:05}")
}

/// Traces are off: they are evidence of running services, and no pod runs here.
fn manifest(number: usize, revision: usize) -> Value {
    let env = json!([{"name": "REVISION", "value": revision.to_string()}]);
    json!({
        "apiVersion": "tracewell.dev/v1alpha1",
        "kind": "Platform",
        "metadata": {"name": NAME, "namespace": namespace(number)},
        "spec": {
            "services": [
                {"name": "gateway", "env": env}, {"name": "auth"}, {"name": "chat"}, {"name": "billing"},
            ],
            "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
        },
    })
}

/// Makes the namespaces with these numbers.
pub(crate) async fn create_namespaces(client: &Client, numbers: Range<usize>) -> Result<()> {
    stream::iter(numbers)
        .map(|number| async move { create_namespace(client, &namespace(number)).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Creates a Platform, or edits one field of its gateway.
pub(crate) async fn apply(client: &Client, number: usize, revision: usize) -> Result<()> {
    apply_manifest(client, number, manifest(number, revision)).await
}

/// Changes what means nothing to the operator.
pub(crate) async fn annotate(client: &Client, number: usize, revision: usize, note: &str) -> Result<()> {
    let mut manifest = manifest(number, revision);
    manifest["metadata"]["annotations"] = json!({"example.com/note": note});
    apply_manifest(client, number, manifest).await
}

async fn apply_manifest(client: &Client, number: usize, manifest: Value) -> Result<()> {
    let platforms = Api::<Platform>::namespaced(client.clone(), &namespace(number));
    platforms
        .patch(NAME, &PatchParams::apply("kubectl"), &Patch::Apply(&manifest))
        .await?;
    Ok(())
}

/// Whether a Platform says that what its spec asks for now is ready.
pub(crate) fn is_ready(platform: &Platform) -> bool {
    let conditions = platform.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| {
        condition.status == "True" && condition.observed_generation == platform.metadata.generation
    })
}

/// Waits until a Platform is as its last edit asks for.
pub(crate) async fn until_rolled_out(client: &Client, number: usize) -> Result<()> {
    let platforms = Api::<Platform>::namespaced(client.clone(), &namespace(number));
    await_condition(platforms, NAME, |found: Option<&Platform>| {
        found.is_some_and(is_ready)
    })
    .await?;
    Ok(())
}

/// Creates so many Platforms.
pub(crate) async fn apply_all(client: &Client, count: usize) -> Result<()> {
    stream::iter(0..count)
        .map(|number| apply(client, number, 0))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Applies the objects that the operator would make for so many Platforms, with nothing in between.
pub(crate) async fn apply_bare(client: &Client, count: usize) -> Result<()> {
    let settings = settings();
    stream::iter(0..count)
        .map(|number| {
            let settings = &settings;
            async move {
                for object in objects(number, settings)? {
                    apply_object(client, &object).await?;
                }
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

async fn apply_object(client: &Client, object: &(Kind, DynamicObject)) -> Result<()> {
    let (kind, object) = object;
    let namespace = object.namespace().context("an object without a namespace")?;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &kind.info().api_resource());
    let params = PatchParams::apply(labels::OPERATOR).validation_ignore();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await?;
    Ok(())
}

/// The objects of a Platform, in the order of applying.
fn objects(number: usize, settings: &Settings) -> Result<Vec<(Kind, DynamicObject)>> {
    let mut platform: Platform = serde_json::from_value(manifest(number, 0))?;
    platform.metadata.uid = Some(format!("00000000-0000-0000-0000-{number:012}"));
    let resolved = resolve(&platform, &Facts::default(), settings)
        .map_err(|violations| anyhow!("the bench's Platform is not accepted: {violations:?}"))?;
    let desired = Desired::new(&resolved);
    Ok(desired
        .iter()
        .map(|(key, object)| (key.kind, object.clone()))
        .collect())
}

/// How many objects a Platform has.
pub(crate) fn objects_of_one() -> Result<usize> {
    Ok(objects(0, &settings())?.len())
}

/// The operator's own defaults.
fn settings() -> Settings {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        settings: SettingsArgs,
    }
    Defaults::parse_from(["operator-bench"]).settings.to_settings()
}
