//! What every test puts into a new API server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta},
    runtime::{conditions::is_crd_established, wait::await_condition},
};

/// The pause between two looks for an API.
const POLL: Duration = Duration::from_millis(20);

/// Creates a namespace.
pub async fn create_namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces = Api::<Namespace>::all(client.clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    created
        .map(drop)
        .with_context(|| format!("namespace {name} cannot be created"))
}

/// Installs the CRD and waits until its API is served.
pub async fn install_crd(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    crds.create(&PostParams::default(), crd).await?;
    await_condition(crds, &crd.name_any(), is_crd_established()).await?;
    // It is established a moment before it can be listed.
    let objects = Api::<DynamicObject>::all_with(client.clone(), &resource_of(crd)?);
    while let Err(error) = objects.list(&ListParams::default().limit(1)).await {
        let is_early = matches!(&error, kube::Error::Api(status) if [404, 429].contains(&status.code));
        ensure!(is_early, error);
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn resource_of(crd: &CustomResourceDefinition) -> Result<ApiResource> {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first().context("a CRD has a version")?;
    let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &names.kind);
    Ok(ApiResource::from_gvk_with_plural(&kind, &names.plural))
}
