//! The plugin's binary against a real etcd and kube-apiserver: what only they can judge. There is no controller manager, so
//! there are no pods.
//!
//! `TRACEWELL_ASSETS` names the directory with the two binaries. Each test has a namespace of its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

#[expect(dead_code, reason = "the operator's tests need more of it")]
#[path = "../../../tests/apiserver/fixture.rs"]
mod fixture;

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use platform_core::kinds::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{World, control_plane, manifest, world};

/// The plugin, with a kubeconfig for the world's cluster.
struct Plugin {
    directory: TempDir,
    namespace: String,
}

impl Plugin {
    async fn new(world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let plane = control_plane().await.expect("it is there");
        let kubeconfig = serde_json::to_string(plane.kubeconfig()).unwrap();
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig).unwrap();
        Self {
            directory,
            namespace: world.namespace.clone(),
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs it with this input, and the images of the fixture's operator.
    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-platform"))
            .args(arguments)
            .args(["--namespace", &self.namespace, "--kubeconfig"])
            .arg(self.kubeconfig())
            .envs([
                ("IMAGE_REPOSITORY", "registry.example/tracewell"),
                ("IMAGE_TAG", "1.2.3"),
                ("JAEGER_IMAGE", "registry.example/jaeger:2"),
                ("POSTGRES_IMAGE", "registry.example/postgres:4"),
                ("PROMETHEUS_IMAGE", "registry.example/prometheus:3"),
                ("COLLECTOR_IMAGE", "registry.example/collector:2"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn status_shows_what_the_operator_wrote() {
    let Some(world) = world("plugin-status").await else {
        return;
    };
    let plugin = Plugin::new(&world).await;
    let empty = plugin.run(&["status"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(
        text(&empty.stderr).starts_with("Error: there is no Platform in namespace plugin-status"),
        "{}",
        text(&empty.stderr)
    );

    world
        .apply(
            "demo",
            json!({"services": [{"name": "gateway"}, {"name": "auth"}]}),
        )
        .await;
    let unseen = plugin.run(&["status"]);
    assert_eq!(unseen.status.code(), Some(1));
    assert!(
        text(&unseen.stdout).contains("NotSeenYet"),
        "{}",
        text(&unseen.stdout)
    );

    world.bring_up("demo").await.unwrap();
    let ready = plugin.run(&["status", "demo"]);
    let tree = text(&ready.stdout);
    assert_eq!(ready.status.code(), Some(0), "{tree}{}", text(&ready.stderr));
    assert!(
        tree.starts_with("plugin-status/demo ready (AllComponentsReady)"),
        "{tree}"
    );
    assert!(
        tree.contains("├─ auth  1/1  registry.example/tracewell/tracewell-auth:1.2.3"),
        "{tree}"
    );
    assert!(!tree.contains('\u{1b}'), "colours are for terminals: {tree}");

    let data: Value = serde_json::from_slice(&plugin.run(&["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(data[0]["ready"], true);
    assert_eq!(data[0]["services"][0]["status"]["readyReplicas"], 1);
    let yaml = plugin.run(&["status", "-o", "yaml"]);
    let same: Value = serde_saphyr::from_str(text(&yaml.stdout)).unwrap();
    assert_eq!(same, data);

    let unknown = plugin.run(&["status", "other"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("there is no Platform other"),
        "{}",
        text(&unknown.stderr)
    );
    let context = plugin.run(&["status", "--context", "nowhere"]);
    assert!(
        text(&context.stderr).contains("no context nowhere; it has admin, operator"),
        "{}",
        text(&context.stderr)
    );
}

#[tokio::test]
async fn one_of_several_platforms_must_be_named() {
    let Some(world) = world("plugin-several").await else {
        return;
    };
    let plugin = Plugin::new(&world).await;
    for name in ["one", "two"] {
        world.apply(name, json!({})).await;
    }
    let logs = plugin.run(&["logs"]);
    assert_eq!(logs.status.code(), Some(2));
    assert!(
        text(&logs.stderr).contains("name one: one, two"),
        "{}",
        text(&logs.stderr)
    );
    for arguments in [&["status"][..], &["status", "-A"]] {
        let both = plugin.run(arguments);
        let trees = text(&both.stdout);
        assert!(
            trees.contains("plugin-several/one") && trees.contains("plugin-several/two"),
            "{trees}"
        );
    }
}

#[tokio::test]
async fn a_plan_says_what_a_file_would_change_and_writes_nothing() {
    let Some(world) = world("plugin-plan").await else {
        return;
    };
    let plugin = Plugin::new(&world).await;
    let plan = |arguments: &[&str], spec: &Value| {
        let file = manifest("plugin-plan", "demo", spec).to_string();
        plugin.run_with(&[&["plan", "-f", "-"], arguments].concat(), &file)
    };
    let whole = json!({"services": [{"name": "billing"}, {"name": "auth"}]});
    let new = plan(&[], &whole);
    assert_eq!(new.status.code(), Some(1), "{}", text(&new.stderr));
    assert!(
        text(&new.stdout).contains("+ Deployment plugin-plan/demo-auth: "),
        "{}",
        text(&new.stdout)
    );

    world.apply("demo", whole.clone()).await;
    world.bring_up("demo").await.unwrap();
    let before = world.snapshot().await;
    assert_eq!(plan(&[], &whole).status.code(), Some(0));

    let less = plan(
        &[],
        &json!({"services": [{"name": "auth", "image": "registry.example/auth:next"}]}),
    );
    let told = text(&less.stdout);
    assert_eq!(less.status.code(), Some(1), "{told}");
    assert!(told.contains("pods restart, away meanwhile"), "{told}");
    assert!(
        told.contains("data: PersistentVolumeClaim demo-billing-data stays with its data"),
        "{told}"
    );
    let data = plan(&["-o", "json"], &json!({"services": [{"name": "auth"}]}));
    let data: Value = serde_json::from_slice(&data.stdout).unwrap();
    let changes = data["changes"].as_array().unwrap();
    let deployment = changes
        .iter()
        .find(|change| change["kind"] == Kind::Deployment.to_string() && change["name"] == "demo-billing")
        .unwrap();
    assert_eq!(
        (&deployment["action"], &deployment["pods"]["effect"]),
        (&json!("delete"), &json!("end"))
    );
    assert_eq!(world.snapshot().await, before, "a plan writes nothing");

    let refused = plan(&[], &json!({"services": [{"name": "unknown"}]}));
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("image and port are required"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn render_needs_no_cluster() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-platform"))
        .args(["render", "-f", "-"])
        .env("KUBECONFIG", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let file = manifest("shop", "demo", &json!({})).to_string();
    child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let objects: Vec<Value> = serde_saphyr::from_multiple(text(&output.stdout)).unwrap();
    assert!(
        objects
            .iter()
            .any(|object| object["metadata"]["name"] == "demo-gateway")
    );
}
