//! The runbooks of reasons: each command that they show is run, as it stands there, on a Platform that has everything.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use platform_envtest::assets;
use serde_json::json;
use tokio::process::Command;

use crate::fixture::{control_plane, world};

/// The commands of all pages, each once, with a page that has it.
fn commands() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks/reasons");
    let mut commands = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let page = std::fs::read_to_string(file.path()).unwrap();
        let name = file.file_name().to_string_lossy().into_owned();
        let blocks = page
            .split("```sh\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        for command in blocks.flat_map(str::lines) {
            commands.insert(command.to_owned(), name.clone());
        }
    }
    commands
}

#[tokio::test]
async fn every_command_of_a_runbook_can_be_run() {
    let Some(world) = world("shop").await else { return };
    let plane = control_plane().await.expect("it is there");
    let home = tempfile::tempdir().unwrap();
    let kubeconfig = home.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(plane.kubeconfig()).unwrap()).unwrap();
    world
        .apply(
            "demo",
            json!({
                "services": [
                    {"name": "gateway", "autoscaling": {"minReplicas": 1, "maxReplicas": 2}},
                    {"name": "auth"}, {"name": "chat"}, {"name": "billing"},
                ],
                "database": {"type": "Postgres", "postgres": {"backup": {}}},
                "telemetry": {"tracing": {"jaeger": {"managed": {"storage": {"type": "Badger"}}}}},
                "exposure": {"type": "Ingress", "ingress": {"host": "runbooks.example"}},
            }),
        )
        .await;
    world.bring_up("demo").await.unwrap();
    let assets = assets().unwrap().canonicalize().unwrap();
    let path = format!("{}:{}", assets.display(), std::env::var("PATH").unwrap());
    let commands = commands();
    assert!(commands.len() > 20, "the commands were not found: {commands:?}");
    for (command, page) in commands {
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", &path)
            .env("KUBECONFIG", &kubeconfig)
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {command}\n{told}");
        // Here nothing makes pods, what stands between them and their Deployments, or the Jobs of a CronJob.
        let made_by_others = [
            "pods ",
            "replicasets ",
            "describe jobs -l app.kubernetes.io/component=backup",
        ];
        let selects = command.contains("-n shop") && command.contains(" -l ");
        if selects && !made_by_others.iter().any(|kind| command.contains(kind)) {
            assert!(
                !told.contains("No resources found"),
                "{page}: {command} selects nothing"
            );
        }
    }
}
