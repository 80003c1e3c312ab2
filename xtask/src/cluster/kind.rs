//! The kind cluster itself: its configuration for this machine, its birth, its end, and what a killed run left of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::cache::{Cache, Fingerprint};
use super::engine::{Engine, Origin, succeeds};
use super::machine;
use crate::steps::{Step, Steps};

/// The cluster of kind-config.yaml on this machine.
pub(crate) struct Kind<'a> {
    engine: &'a Engine,
    cache: &'a Cache,
    config: Value,
    name: String,
}

impl<'a> Kind<'a> {
    /// Reads kind-config.yaml and merges into it what this machine needs.
    pub(crate) fn new(tree: &Path, engine: &'a Engine, cache: &'a Cache) -> Result<Self> {
        let mut config = read_yaml(&tree.join("kind-config.yaml"))?;
        for overlay in overlays(engine) {
            merge(
                &mut config,
                read_yaml(&tree.join("cluster/overlay").join(overlay))?,
            );
        }
        let name = config["name"]
            .as_str()
            .context("kind-config.yaml names no cluster")?
            .to_owned();
        Ok(Self {
            engine,
            cache,
            config,
            name,
        })
    }

    /// Credentials of this cluster alone.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.cache.root().join("kubeconfig")
    }

    /// The container that is the node.
    pub(crate) fn node(&self) -> String {
        format!("{}-control-plane", self.name)
    }

    /// The ports of this machine that the cluster publishes.
    fn host_ports(&self) -> Vec<u16> {
        let nodes = self.config["nodes"].as_array().into_iter().flatten();
        let mappings = nodes
            .filter_map(|node| node["extraPortMappings"].as_array())
            .flatten();
        mappings
            .filter_map(|mapping| u16::try_from(mapping["hostPort"].as_u64()?).ok())
            .collect()
    }

    /// Fails in one sentence when the cluster could not be created for want of a port.
    pub(crate) fn check_ports(&self) -> Result<()> {
        if self.exists() {
            Ok(())
        } else {
            machine::check_ports(&self.host_ports())
        }
    }

    /// Keeps a cluster that answers and was made from the same inputs; else removes what is left and creates it anew.
    pub(crate) fn ensure(&self, steps: &mut Steps, node_image: Option<&str>) -> Result<()> {
        let wanted = self.fingerprint(node_image).to_string();
        let record = self.cache.root().join("cluster-made-from");
        if fs::read_to_string(&record).is_ok_and(|made_from| made_from == wanted) && self.answers() {
            println!("==> Cluster {} answers: kept", self.name);
            return Ok(());
        }
        self.delete(steps)?;
        machine::check_ports(&self.host_ports())?;
        steps.step(&format!("Create cluster {}", self.name), |step| {
            self.create(step, node_image)
        })?;
        fs::write(&record, wanted).with_context(|| format!("cannot write {}", record.display()))
    }

    /// A cluster without its node image, or of another configuration, is another cluster.
    fn fingerprint(&self, node_image: Option<&str>) -> Fingerprint {
        let mut parts = Fingerprint::builder();
        parts
            .text(&self.config.to_string())
            .text(node_image.unwrap_or_default());
        parts.finish()
    }

    fn create(&self, step: &Step, node_image: Option<&str>) -> Result<()> {
        if self.engine.is_podman() {
            // kind mounts this folder into the node; a kernel without modules lacks it, and podman then fails.
            fs::create_dir_all("/lib/modules").context("cannot create /lib/modules")?;
        }
        let config = self.cache.root().join("kind-config.json"); // JSON is YAML
        fs::write(&config, serde_json::to_vec_pretty(&self.config)?)?;
        let mut create = self.kind(["create", "cluster", "--wait", "120s", "--config"]);
        // Without --retain an orphaned kind of a killed run would delete the nodes of its successor.
        create
            .arg(&config)
            .arg("--retain")
            .arg("--kubeconfig")
            .arg(self.kubeconfig());
        if let Some(image) = node_image {
            create.args(["--image", image]);
        }
        let _ = fs::remove_file(self.kubeconfig().with_extension("lock")); // kind's, left when it was killed
        step.run(&mut create)?;
        step.run(&mut self.kind(["export", "kubeconfig", "--name", &self.name]))?;
        // Pods are refused until the controller manager has made it.
        let wait = ["wait", "--for=create", "serviceaccount/default", "--timeout=60s"];
        step.run(self.kubectl().args(wait))
    }

    /// Removes the cluster whatever state it is in: also containers that kind no longer knows, with their volumes.
    pub(crate) fn delete(&self, steps: &mut Steps) -> Result<()> {
        let _ = fs::remove_file(self.cache.root().join("cluster-made-from"));
        if !self.exists() {
            return Ok(());
        }
        steps.step(&format!("Remove cluster {}", self.name), |step| {
            if self.cache.programs().join("kind").exists() {
                step.run(&mut self.kind(["delete", "cluster", "--name", &self.name]))?;
            }
            let left = step.output(&mut self.list_containers())?;
            for container in left.split_whitespace() {
                step.run(&mut self.engine.command(["rm", "--force", "--volumes", container]))?;
            }
            Ok(())
        })
    }

    /// A container of the cluster is there, running or not.
    pub(crate) fn exists(&self) -> bool {
        self.list_containers()
            .output()
            .is_ok_and(|output| !output.stdout.trim_ascii().is_empty())
    }

    fn list_containers(&self) -> Command {
        let label = format!("label=io.x-k8s.kind.cluster={}", self.name);
        self.engine
            .command(["ps", "--all", "--quiet", "--filter", &label])
    }

    fn answers(&self) -> bool {
        succeeds(
            self.kubectl()
                .args(["get", "--raw=/readyz", "--request-timeout=5s"]),
        )
    }

    /// kubectl for this cluster.
    pub(crate) fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.cache.programs().join("kubectl"));
        kubectl.env("KUBECONFIG", self.kubeconfig());
        kubectl
    }

    /// Loads those of `images` that the node lacks.
    pub(crate) fn load(&self, steps: &mut Steps, images: &[String]) -> Result<()> {
        let mut list = self.engine.command([
            "exec",
            &self.node(),
            "ctr",
            "--namespace=k8s.io",
            "images",
            "list",
            "--quiet",
        ]);
        let listed = list.output().context("cannot list the node's images")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let missing: Vec<&str> = images
            .iter()
            .map(String::as_str)
            .filter(|image| !listed.lines().any(|line| line == *image))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        steps.step(
            &format!("Load {} images into the cluster", missing.len()),
            |step| {
                let scratch = self.cache.scratch("images")?;
                let archive = scratch.path().join("images.tar");
                let mut save = self.engine.command(["save"]);
                if self.engine.is_podman() {
                    save.arg("--multi-image-archive");
                }
                step.run(save.arg("--output").arg(&archive).args(&missing))?;
                step.run(
                    self.kind(["load", "image-archive", "--name", &self.name])
                        .arg(&archive),
                )
            },
        )
    }

    fn kind<'b>(&self, arguments: impl IntoIterator<Item = &'b str>) -> Command {
        let mut kind = Command::new(self.cache.programs().join("kind"));
        kind.args(arguments);
        self.engine.configure(&mut kind);
        kind
    }
}

/// The parts of `cluster/overlay` that this machine needs.
fn overlays(engine: &Engine) -> Vec<&'static str> {
    let mut overlays = Vec::new();
    if engine.origin == Origin::Packages {
        overlays.push("built-node-image.yaml");
    }
    if !machine::has_cgroup_v2() {
        overlays.push("cgroup-v1.yaml");
    }
    if !machine::may_raise_limits() {
        overlays.push("withheld-rights.yaml");
    }
    overlays
}

fn read_yaml(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no YAML", path.display()))
}

/// Maps are merged, lists appended, anything else replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn overlays_merge_maps_and_append_lists() {
        let mut config = json!({"name": "x", "networking": {"a": 1}, "patches": ["p"]});
        merge(
            &mut config,
            json!({"networking": {"b": 2}, "patches": ["q"], "new": ["r"]}),
        );
        merge(&mut config, json!({"name": "y"}));
        assert_eq!(
            config,
            json!({"name": "y", "networking": {"a": 1, "b": 2}, "patches": ["p", "q"], "new": ["r"]})
        );
    }

    #[test]
    fn every_overlay_is_yaml_that_merges_into_the_config() {
        let tree = crate::cluster::tree();
        let mut config = read_yaml(&tree.join("kind-config.yaml")).unwrap();
        for overlay in fs::read_dir(tree.join("cluster/overlay")).unwrap() {
            merge(&mut config, read_yaml(&overlay.unwrap().path()).unwrap());
        }
        assert_eq!(config["name"], "tracewell");
        assert_eq!(config["networking"]["disableDefaultCNI"], true);
        assert_eq!(config["kubeadmConfigPatches"].as_array().unwrap().len(), 3);
    }
}
