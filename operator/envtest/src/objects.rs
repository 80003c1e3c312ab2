//! What every test puts into a new API server.

use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::PostParams,
    core::ObjectMeta,
    runtime::{conditions::is_crd_established, wait::await_condition},
};

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
    Ok(())
}
