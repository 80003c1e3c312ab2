//! The binary as people and Kubernetes call it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use kube::{
    CustomResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use platform_core::{api::Platform, kinds::Kind};
use serde_json::{Value, json};

use crate::fixture::{control_plane, manifest, world};

/// The binary with the images of [`settings`](crate::fixture::settings).
fn operator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracewell-operator"));
    command.args(arguments);
    for (variable, value) in [
        ("IMAGE_REPOSITORY", "registry.example/tracewell"),
        ("IMAGE_TAG", "1.2.3"),
        ("JAEGER_IMAGE", "registry.example/jaeger:2"),
        ("POSTGRES_IMAGE", "registry.example/postgres:4"),
        ("PROMETHEUS_IMAGE", "registry.example/prometheus:3"),
        ("COLLECTOR_IMAGE", "registry.example/collector:2"),
    ] {
        command.env(variable, value);
    }
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_printed_crd_is_the_generated_file() {
    let output = operator(&["crd"]).output().unwrap();
    let committed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crds/tracewell.dev_platforms.yaml"
    );
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let printed = read(text(&output.stdout));
    assert!(printed == json!(Platform::crd()), "another CRD is printed");
    assert!(
        printed == read(&std::fs::read_to_string(committed).unwrap()),
        "`cargo xtask codegen` writes {committed} again"
    );
}

#[test]
fn render_prints_every_object_without_a_cluster() {
    let platform = manifest("shop", "demo", &json!({})).to_string();
    let output = with_input(
        operator(&["render", "-f", "-"]).env("KUBECONFIG", "/nonexistent"),
        &platform,
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects: Vec<Value> = serde_saphyr::from_multiple(text(&output.stdout)).unwrap();
    let deployments: Vec<_> = objects
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    for name in [
        "demo-auth",
        "demo-billing",
        "demo-chat",
        "demo-gateway",
        "demo-jaeger",
    ] {
        assert!(deployments.contains(&name), "{name} is not in {deployments:?}");
    }
}

#[test]
fn a_platform_that_cannot_be_built_is_refused_with_the_cause() {
    let cycle = json!({"services": [
        {"name": "a", "image": "a:1", "port": 80, "dependsOn": ["b"]},
        {"name": "b", "image": "b:1", "port": 80, "dependsOn": ["a"]},
    ]});
    let output = with_input(
        &mut operator(&["render", "-f", "-"]),
        &manifest("shop", "demo", &cycle).to_string(),
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("a → b → a"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_bad_file_is_one_sentence_with_its_line() {
    let output = with_input(&mut operator(&["render", "-f", "-"]), "kind: Platform\nspec: [\n");
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.starts_with("Error: -:") && message.lines().count() == 1,
        "{message}"
    );
    let output = operator(&["render", "-f", "/nonexistent.yaml"]).output().unwrap();
    assert!(
        text(&output.stderr).starts_with("Error: /nonexistent.yaml cannot be read"),
        "{}",
        text(&output.stderr)
    );
}

async fn write_kubeconfig(directory: &Path) -> PathBuf {
    let path = directory.join("kubeconfig");
    let plane = control_plane().await.expect("it is there");
    std::fs::write(&path, serde_json::to_string(plane.kubeconfig()).unwrap()).unwrap();
    path
}

#[tokio::test]
async fn diff_tells_what_would_change_and_why() {
    let Some(world) = world("differences").await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = write_kubeconfig(directory.path()).await;
    let spec = json!({"services": [{"name": "gateway"}, {"name": "auth"}]});
    let diff = |spec: &Value| {
        let mut command = operator(&["diff", "-f", "-"]);
        with_input(
            command.env("KUBECONFIG", &kubeconfig),
            &manifest("differences", "demo", spec).to_string(),
        )
    };

    let new = diff(&spec);
    assert_eq!(new.status.code(), Some(1), "{}", text(&new.stderr));
    assert!(
        text(&new.stdout).contains("+ Deployment differences/demo-auth: "),
        "{}",
        text(&new.stdout)
    );

    world.apply("demo", spec.clone()).await;
    world.bring_up("demo").await.unwrap();
    let by_hand = json!({"spec": {"replicas": 4}});
    let deployments = world.objects(Kind::Deployment);
    deployments
        .patch("demo-auth", &PatchParams::default(), &Patch::Merge(&by_hand))
        .await
        .unwrap();
    let edited = diff(&json!({"services": [{"name": "auth"}]}));
    let told = text(&edited.stdout);
    assert_eq!(edited.status.code(), Some(1));
    assert!(told.contains("~ Deployment differences/demo-auth: "), "{told}");
    assert!(told.contains("spec.replicas\n      - 4\n      + 1\n"), "{told}");
    assert!(told.contains("- Deployment differences/demo-gateway: "), "{told}");

    let refused = diff(&json!({"services": [{"name": "unknown"}]}));
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("image and port are required"),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn diff_tells_what_the_file_no_longer_has_whoever_applied_it() {
    let Some(world) = world("client-side").await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = write_kubeconfig(directory.path()).await;
    let secret = json!([{"name": "PASSWORD", "value": "hunter2"}, {"name": "GONE", "value": "hunter3"}]);
    let whole = json!({"services": [{"name": "billing"}, {"name": "auth", "env": secret}]});
    // As `kubectl apply` does without --server-side.
    let client_side = PostParams {
        field_manager: Some("kubectl-client-side-apply".into()),
        ..PostParams::default()
    };
    let platform = serde_json::from_value(manifest("client-side", "demo", &whole)).unwrap();
    world.platforms().create(&client_side, &platform).await.unwrap();
    world.bring_up("demo").await.unwrap();

    let less = json!({"services": [{"name": "auth", "env": [{"name": "PASSWORD", "value": "hunter4"}]}]});
    let output = with_input(
        operator(&["diff", "-f", "-"]).env("KUBECONFIG", &kubeconfig),
        &manifest("client-side", "demo", &less).to_string(),
    );
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", text(&output.stderr));
    assert!(told.contains("- Deployment client-side/demo-billing: "), "{told}");
    assert!(told.contains("- Service client-side/demo-billing: "), "{told}");
    let password = "    spec.template.spec.containers[auth].env[PASSWORD].value\n      - (withheld)\n      + (withheld)\n";
    assert!(told.contains(password), "{told}");
    assert!(!told.contains("hunter"), "{told}");
    let stored = world.platforms().get("demo").await.unwrap();
    assert_eq!(stored.spec.services.len(), 2, "nothing is written");
}

#[tokio::test]
async fn diff_of_a_settled_platform_is_empty() {
    let Some(world) = world("settled").await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = write_kubeconfig(directory.path()).await;
    world.apply("demo", json!({})).await;
    // The binary's own version stands in the status alone, so that the objects are the same.
    world.bring_up("demo").await.unwrap();
    let mut command = operator(&["diff", "-f", "-"]);
    let output = with_input(
        command.env("KUBECONFIG", &kubeconfig),
        &manifest("settled", "demo", &json!({})).to_string(),
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).starts_with("0 to create, 0 to update, 0 to delete, "),
        "{}",
        text(&output.stdout)
    );
}
