//! The chart: its role is exactly what the operator needs, and what it renders is taken by the API server.

use std::process::Command;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, ObjectMeta},
};
use platform_envtest::{assets, create_namespace};
use platform_operator::{
    cluster::Reach,
    permissions::{Permission, permissions},
    preflight::{PreflightError, preflight},
};
use serde_json::{Value, json};

use crate::fixture::{control_plane, world};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/tracewell");

/// The rules of the operator's roles.
fn rules() -> Vec<PolicyRule> {
    let rule = |permission: Permission| PolicyRule {
        api_groups: Some(vec![permission.group.to_owned()]),
        resources: Some(vec![permission.resource]),
        verbs: permission.verbs.into_iter().map(str::to_owned).collect(),
        ..PolicyRule::default()
    };
    permissions().into_iter().map(rule).collect()
}

/// Gives the account a role of these rules.
async fn grant(client: &Client, account: &str, rules: Vec<PolicyRule>) {
    let metadata = ObjectMeta {
        name: Some(account.into()),
        ..ObjectMeta::default()
    };
    let role = ClusterRole {
        metadata: metadata.clone(),
        rules: Some(rules),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: account.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: account.into(),
            namespace: Some("tracewell-system".into()),
            ..Subject::default()
        }]),
    };
    let parameters = PostParams::default();
    Api::<ClusterRole>::all(client.clone())
        .create(&parameters, &role)
        .await
        .unwrap();
    Api::<ClusterRoleBinding>::all(client.clone())
        .create(&parameters, &binding)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_permission_is_named_before_anything_is_watched() {
    let Some(world) = world("forbidden").await else {
        return;
    };
    let mut rules = rules();
    rules.retain(|rule| {
        rule.resources
            .as_ref()
            .is_none_or(|resources| resources.concat() != "deployments")
    });
    grant(&world.client, "forbidden", rules).await;
    let plane = control_plane().await.expect("it is there");
    let client = plane
        .client_as_service_account("tracewell-system", "forbidden")
        .await
        .unwrap();
    let error = preflight(&client, &Reach::Cluster, None)
        .await
        .expect_err("Deployments are not allowed");
    let PreflightError::Forbidden(missing) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        missing,
        "list deployments.apps, watch deployments.apps, create deployments.apps, patch deployments.apps, delete deployments.apps"
    );
}

pub(crate) fn helm(arguments: &[&str]) -> Option<Result<String, String>> {
    let helm = assets()?.join("helm");
    if !helm.is_file() {
        let reason = format!("{} is missing", helm.display());
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        eprintln!("SKIPPED, THE CHART WAS NOT RENDERED: {reason}");
        return None;
    }
    let output = Command::new(helm)
        .args(["template", "tracewell", CHART, "--namespace", "tracewell-system"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some(if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    })
}

#[tokio::test]
async fn what_the_chart_renders_is_taken_under_strict_validation() {
    let Some(world) = world("chart").await else { return };
    create_namespace(&world.client, "tracewell-system").await.unwrap();
    let every_value = [
        "telemetry.otlpEndpoint=http://jaeger:4318",
        "sentry.dsnSecret.name=sentry",
        "services.imageTag=1",
        "jaeger.image=j:2",
        "collector.image=c:2",
        "imagePullSecrets[0].name=pull",
        "podAnnotations.a=b",
        "podLabels.c=d",
        "nodeSelector.e=f",
    ];
    let dry_run = PatchParams::apply("helm").force().dry_run().validation_strict();
    let every_value = ["--set-string", &every_value.join(",")];
    let in_its_namespace = ["--set", "scope=Namespace,replicas=2"];
    for arguments in [&[][..], &every_value, &in_its_namespace] {
        let Some(rendered) = helm(arguments) else { return };
        let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered.unwrap()).unwrap();
        assert!(documents.iter().any(|document| document["kind"] == "Deployment"));
        for document in documents.iter().filter(|document| !document.is_null()) {
            apply(&world.client, document, &dry_run).await;
        }
    }
}

pub(crate) async fn apply(client: &Client, document: &Value, params: &PatchParams) {
    let object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
    let resource = ApiResource::from_gvk(&object.types.clone().expect("a type").try_into().unwrap());
    let name = object.metadata.name.clone().expect("a name");
    let api = match &object.metadata.namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.patch(&name, params, &Patch::Apply(document))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn the_crd_is_kept_on_uninstall_and_can_be_left_out() {
    let Some(rendered) = helm(&[]) else { return };
    let rendered = rendered.unwrap();
    let crd = rendered
        .split("---")
        .find(|document| document.contains("kind: CustomResourceDefinition"))
        .expect("the CRD");
    assert!(crd.contains("helm.sh/resource-policy: keep"));
    let without = helm(&["--set", "crds.install=false"])
        .expect("helm was there before")
        .unwrap();
    assert!(!without.contains("CustomResourceDefinition"));
}

#[test]
fn errors_of_the_operator_are_sent_where_a_secret_says_and_else_nowhere() {
    let Some(silent) = helm(&[]) else { return };
    assert!(!silent.unwrap().contains("SENTRY_DSN"));
    let secret = "sentry.dsnSecret.name=sentry,sentry.dsnSecret.key=operator";
    let rendered = helm(&["--set", secret]).expect("helm was there before").unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let deployment = documents
        .iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let dsn = env
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "SENTRY_DSN");
    assert_eq!(
        dsn.unwrap()["valueFrom"],
        json!({"secretKeyRef": {"name": "sentry", "key": "operator"}})
    );
    let refusal = helm(&["--set", "sentry.dsn=https://key@sentry.example/1"]).expect("helm was there before");
    assert!(
        refusal.is_err(),
        "a DSN among the values would stand in the release"
    );
}

#[test]
fn a_mistyped_value_is_refused() {
    let Some(rendered) = helm(&["--set", "image.tga=1"]) else {
        return;
    };
    let refusal = rendered.expect_err("there is no such value");
    assert!(refusal.contains("tga"), "{refusal}");
}
