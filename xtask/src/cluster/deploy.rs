//! Tracewell on the cluster: the chart, the example, and the wait until its status says Ready.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Cluster, images, tree};
use crate::steps::{Step, Steps};

/// Where the operator runs.
pub(crate) const NAMESPACE: &str = "tracewell-system";
/// The Platform of examples/demo.yaml.
const DEMO: (&str, &str) = ("shop", "demo");
/// Where that Platform's Jaeger takes spans: the operator's own reconciles are traces there too.
const OTLP: &str = "http://demo-jaeger.shop:4318";
/// Four services with sidecars and Jaeger take half a minute; the rest is for a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(500);

impl Cluster {
    /// Installs or upgrades the chart with this cluster's images, and waits for the operator.
    pub(crate) fn install(&self, steps: &mut Steps) -> Result<()> {
        steps.step("Install the chart", |step| {
            self.forget_unfinished_installs(step)?;
            let mut helm = Command::new(self.tools.join("helm"));
            helm.env("KUBECONFIG", &self.kubeconfig)
                .args(["upgrade", "--install", "tracewell"]);
            helm.arg(tree().join("charts/tracewell"));
            helm.args([
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                "--wait",
                "--timeout",
                "180s",
            ]);
            for value in self.chart_values() {
                helm.args(["--set-string", &value]);
            }
            step.run(&mut helm)
        })
    }

    /// Helm refuses to touch a release whose install or upgrade was killed midway. Without the record of that one
    /// revision it goes on from the one before, and adopts what is there.
    fn forget_unfinished_installs(&self, step: &Step) -> Result<()> {
        let unfinished =
            "owner=helm,name=tracewell,status in (pending-install,pending-upgrade,pending-rollback)";
        let mut delete = self.kubectl();
        step.run(delete.args([
            "delete",
            "secrets",
            "--namespace",
            NAMESPACE,
            "--selector",
            unfinished,
        ]))
    }

    /// What the chart must be told to run the images of this cluster.
    pub(crate) fn chart_values(&self) -> Vec<String> {
        let repository = images::REPOSITORY;
        let tag = &self.image_tag;
        vec![
            format!("image.repository={repository}/tracewell-operator"),
            format!("image.tag={tag}"),
            format!("services.imageRepository={repository}"),
            format!("services.imageTag={tag}"),
            format!("telemetry.otlpEndpoint={OTLP}"),
        ]
    }

    /// Applies examples/demo.yaml and waits until its status says Ready for this very spec.
    pub(crate) fn apply_demo(&self, steps: &mut Steps) -> Result<()> {
        let (namespace, name) = DEMO;
        let mut apply = self.kubectl();
        apply
            .args(["apply", "--filename"])
            .arg(tree().join("examples/demo.yaml"));
        steps.run("Apply examples/demo.yaml", &mut apply)?;
        steps.step(&format!("Wait until Platform {name} is Ready"), |step| {
            self.wait_ready(step, namespace, name)
        })
    }

    fn wait_ready(&self, step: &Step, namespace: &str, name: &str) -> Result<()> {
        let started = Instant::now();
        let mut said = String::new();
        loop {
            let mut get = self.kubectl();
            let printed =
                step.output(get.args(["get", "platform", name, "--namespace", namespace, "--output=json"]))?;
            let state = readiness(&serde_json::from_str(&printed).context("kubectl printed no JSON")?);
            match state {
                Readiness::Ready => return Ok(()),
                Readiness::Not(why) if started.elapsed() > PATIENCE => {
                    bail!("not Ready after {} s: {why}", PATIENCE.as_secs())
                }
                Readiness::Not(why) if why != said => {
                    step.note(&why)?;
                    said = why;
                }
                Readiness::Not(_) => {}
            }
            thread::sleep(POLL);
        }
    }

    /// kubectl for this cluster.
    pub(crate) fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.tools.join("kubectl"));
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }
}

#[derive(Debug, PartialEq)]
enum Readiness {
    Ready,
    /// Why not, in the operator's words.
    Not(String),
}

/// Reads the Ready condition; one that was written for an older spec does not count.
fn readiness(platform: &Value) -> Readiness {
    let generation = &platform["metadata"]["generation"];
    let conditions = platform["status"]["conditions"].as_array().into_iter().flatten();
    let Some(ready) = conditions
        .into_iter()
        .find(|condition| condition["type"] == "Ready")
    else {
        return Readiness::Not("the operator has not looked at it yet".into());
    };
    let word = |key: &str| ready[key].as_str().unwrap_or_default();
    if ready["observedGeneration"] != *generation {
        return Readiness::Not("the operator has not looked at the latest change yet".into());
    }
    if word("status") == "True" {
        Readiness::Ready
    } else {
        Readiness::Not(format!("{}: {}", word("reason"), word("message")))
    }
}

/// What to do next, once everything runs.
pub(crate) fn print_next(cluster: &Cluster) {
    let (namespace, name) = DEMO;
    let tools = cluster.tools.display();
    println!(
        "
Platform {name} is Ready.

  Gateway  http://localhost:30080           its API documents: http://localhost:30080/api-docs
  Jaeger   http://localhost:30686

  export PATH={tools}:$PATH   # kubectl, helm and kind of this cluster
  kubectl --context kind-tracewell get platforms -A
  kubectl --context kind-tracewell -n {namespace} describe platform {name}
  make down                   # remove the cluster"
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn platform(status: &str, observed: u64) -> Value {
        json!({"metadata": {"generation": 2}, "status": {"conditions": [
            {"type": "Ready", "status": status, "observedGeneration": observed, "reason": "R", "message": "why"}]}})
    }

    #[test]
    fn ready_counts_only_for_the_latest_spec() {
        assert_eq!(readiness(&platform("True", 2)), Readiness::Ready);
        assert_ne!(readiness(&platform("True", 1)), Readiness::Ready);
        assert_eq!(readiness(&platform("False", 2)), Readiness::Not("R: why".into()));
        assert_ne!(
            readiness(&json!({"metadata": {"generation": 1}})),
            Readiness::Ready
        );
    }
}
