//! Where the operator in the cluster takes images from: without that, a plan would show changes of images that do not come.

use anyhow::{Context as _, Result};
use clap::{Args as _, Command};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::EnvVar};
use kube::{Api, ResourceExt as _, api::ListParams};
use platform_operator::{cluster::within_deadline, settings::SettingsArgs};

use crate::connection::Connection;

/// Selects the operator's Deployment, whatever the release of its chart is called.
const OPERATOR: &str = "app.kubernetes.io/part-of=tracewell,app.kubernetes.io/component=operator";
/// The release that the operator is of, and its images too unless it is told otherwise.
const VERSION: &str = "app.kubernetes.io/version";

/// The images of the operator that the chart installed.
pub(super) async fn operator_images(connection: &Connection) -> Result<SettingsArgs> {
    let deployments: Api<Deployment> = Api::all(connection.client.clone());
    let found = within_deadline(deployments.list(&ListParams::default().labels(OPERATOR)))
        .await
        .context("the operator's own settings cannot be read")?;
    images_of(
        found
            .items
            .first()
            .context("the cluster has no operator of the chart")?,
    )
}

fn images_of(operator: &Deployment) -> Result<SettingsArgs> {
    let pod = operator
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.iter().flat_map(|pod| &pod.containers);
    let variables: Vec<&EnvVar> = containers
        .flat_map(|container| container.env.iter().flatten())
        .collect();
    let value = |variable: &str| {
        let found = variables.iter().find(|found| found.name == variable)?;
        found.value.clone()
    };
    let mut flags = Vec::new();
    for image in SettingsArgs::augment_args(Command::new("images")).get_arguments() {
        let variable = image
            .get_env()
            .and_then(|variable| variable.to_str())
            .unwrap_or_default();
        let release = || (variable == "IMAGE_TAG").then(|| operator.labels().get(VERSION).cloned());
        let set = value(variable).or_else(|| release().flatten());
        if let (Some(flag), Some(set)) = (image.get_long(), set) {
            flags.push(format!("--{flag}={set}"));
        }
    }
    Ok(SettingsArgs::from_flags(flags.iter().map(String::as_str))?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_are_those_of_the_operators_variables_and_release() {
        let operator: Deployment = serde_json::from_value(json!({
            "metadata": {"labels": {VERSION: "7.8.9"}},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "operator", "env": [
                {"name": "IMAGE_REPOSITORY", "value": "registry.example/x"},
                {"name": "JAEGER_IMAGE", "value": "jaeger:3"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ]}]}}},
        }))
        .unwrap();
        let settings = images_of(&operator).unwrap().to_settings();
        assert_eq!(settings.image_repository, "registry.example/x");
        assert_eq!(settings.image_tag, "7.8.9");
        assert_eq!(
            settings.collector_image, "jaeger:3",
            "the collector is Jaeger's image"
        );
    }
}
