//! The files that are generated from the code, and their check.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::cluster;

/// Arguments of `codegen`.
#[derive(clap::Args)]
pub(crate) struct CodegenArgs {
    /// Write nothing, and fail with the names of the files that differ
    #[arg(long)]
    pub(crate) check: bool,
}

/// A generated file and the cargo arguments of the program that prints it.
struct Artifact {
    /// From the root of the tree.
    path: String,
    arguments: Vec<String>,
}

/// Services with an `OpenAPI` document.
const SERVICES: [&str; 4] = ["gateway", "auth", "chat", "billing"];

/// Generates every file, or checks each.
pub(crate) fn codegen(arguments: &CodegenArgs) -> anyhow::Result<()> {
    let tree = cluster::tree();
    let mut differing = Vec::new();
    for artifact in artifacts() {
        let generated = artifact.generate(tree)?;
        let path = tree.join(&artifact.path);
        if std::fs::read(&path).is_ok_and(|current| current == generated) {
            continue;
        }
        if arguments.check {
            differing.push(artifact.path);
        } else {
            std::fs::write(&path, generated).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", artifact.path);
        }
    }
    if !differing.is_empty() {
        bail!(
            "these files are not as the code generates them, `cargo xtask codegen` writes them: {}",
            differing.join(", ")
        );
    }
    Ok(())
}

fn artifacts() -> impl Iterator<Item = Artifact> {
    let operator = [
        ("crds/tracewell.dev_platforms.yaml", "crd"),
        ("charts/tracewell/templates/crd.yaml", "chart-crd"),
        ("charts/tracewell/templates/clusterrole.yaml", "chart-role"),
    ]
    .map(|(path, artifact)| Artifact {
        path: path.to_owned(),
        arguments: words(&format!(
            "--package platform-operator --example generate -- {artifact}"
        )),
    });
    let documents = SERVICES.map(|service| Artifact {
        path: format!("services/{service}/openapi.json"),
        arguments: words(&format!("--package tracewell-{service} -- openapi")),
    });
    operator.into_iter().chain(documents)
}

impl Artifact {
    fn generate(&self, tree: &Path) -> anyhow::Result<Vec<u8>> {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet"])
            .args(&self.arguments)
            .current_dir(tree)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        ensure!(output.status.success(), "{} could not be generated", self.path);
        ensure!(
            !output.stdout.is_empty(),
            "the generator of {} printed nothing",
            self.path
        );
        Ok(output.stdout)
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
