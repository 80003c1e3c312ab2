//! The files that are generated from the code, and their check.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::cluster;
use crate::programs;
use crate::steps::{Step, Steps};

/// Arguments of `codegen`.
#[derive(clap::Args)]
pub(crate) struct CodegenArgs {
    /// Write nothing, and fail with the names of the files that differ
    #[arg(long)]
    check: bool,
}

/// A generated file and the program that prints it.
struct Artifact {
    /// From the root of the tree.
    path: String,
    /// From the folder of built programs.
    program: String,
    argument: &'static str,
}

/// Services with an `OpenAPI` document.
const SERVICES: [&str; 4] = ["gateway", "auth", "chat", "billing"];

/// `make codegen`.
pub(crate) fn codegen(arguments: &CodegenArgs) -> anyhow::Result<()> {
    let mut steps = Steps::new("codegen")?;
    if arguments.check {
        return steps.step("Check the generated files", check);
    }
    let stale = steps.step("Generate", stale)?;
    for (artifact, generated) in stale {
        let path = cluster::tree().join(&artifact.path);
        std::fs::write(&path, generated).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", artifact.path);
    }
    Ok(())
}

/// Fails with the names of the files that are not as the code generates them.
pub(crate) fn check(step: &Step) -> anyhow::Result<()> {
    let names: Vec<_> = stale(step)?
        .into_iter()
        .map(|(artifact, _)| artifact.path)
        .collect();
    if !names.is_empty() {
        bail!(
            "these files are not as the code generates them, `make codegen` writes them: {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// The files that are not as the code generates them, and what it generates.
fn stale(step: &Step) -> anyhow::Result<Vec<(Artifact, String)>> {
    let programs = programs::build(step)?;
    let mut stale = Vec::new();
    for artifact in artifacts() {
        let generated = artifact.generate(step, &programs)?;
        let current = std::fs::read_to_string(cluster::tree().join(&artifact.path));
        if !current.is_ok_and(|current| current == generated) {
            stale.push((artifact, generated));
        }
    }
    Ok(stale)
}

fn artifacts() -> impl Iterator<Item = Artifact> {
    let operator = [
        ("crds/tracewell.dev_platforms.yaml", "crd"),
        ("charts/tracewell/templates/crd.yaml", "chart-crd"),
        ("charts/tracewell/templates/roles.yaml", "chart-roles"),
        ("docs/api-reference.md", "reference"),
    ]
    .map(|(path, artifact)| Artifact {
        path: path.to_owned(),
        program: "examples/generate".to_owned(),
        argument: artifact,
    });
    let documents = SERVICES.map(|service| Artifact {
        path: format!("services/{service}/openapi.json"),
        program: format!("tracewell-{service}"),
        argument: "openapi",
    });
    operator.into_iter().chain(documents)
}

impl Artifact {
    fn generate(&self, step: &Step, programs: &Path) -> anyhow::Result<String> {
        let mut program = Command::new(programs.join(&self.program));
        let generated = step.output(program.arg(self.argument))?;
        ensure!(
            !generated.is_empty(),
            "the generator of {} printed nothing",
            self.path
        );
        Ok(generated)
    }
}
