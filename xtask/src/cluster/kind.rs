//! The kind cluster itself: its configuration for this machine, its birth, its end, and what a killed run left of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::engine::Engine;
use super::images::Names;
use crate::cache::{Cache, Fingerprint};
use crate::machine::{self, succeeds};
use crate::steps::{Step, Steps};

/// In the cache: the engine that holds the cluster. It is not always the one that would be chosen now.
const ENGINE_RECORD: &str = "cluster-engine";
/// In the cache: the fingerprint of what the cluster was made from.
const ORIGIN_RECORD: &str = "cluster-made-from";

/// The cluster of kind-config.yaml in one engine of this machine.
pub(crate) struct Kind<'a> {
    engine: Engine,
    cache: &'a Cache,
    tree: &'a Path,
    /// kind-config.yaml as people see it.
    config: Value,
    name: String,
}

impl<'a> Kind<'a> {
    pub(crate) fn new(tree: &'a Path, engine: &Engine, cache: &'a Cache) -> Result<Self> {
        let config = read_yaml(&tree.join("kind-config.yaml"))?;
        let name = config["name"]
            .as_str()
            .context("kind-config.yaml names no cluster")?
            .to_owned();
        Ok(Self {
            engine: engine.clone(),
            cache,
            tree,
            config,
            name,
        })
    }

    /// The cluster, wherever it is: in the engine that it was created in, else in any that answers.
    pub(crate) fn find(tree: &'a Path, cache: &'a Cache) -> Result<Option<Self>> {
        let record = cache.root().join(ENGINE_RECORD);
        let recorded = fs::read_to_string(&record).unwrap_or_default();
        let engines = match Engine::named(&recorded, cache.root())? {
            Some(engine) if !engine.answers() => bail!(
                "the cluster was created in {recorded}, which does not answer: start it, or if that cluster is gone remove {}",
                record.display()
            ),
            Some(engine) => vec![engine],
            None => Engine::answering(cache.root())?,
        };
        for engine in engines {
            let kind = Self::new(tree, &engine, cache)?;
            if kind.exists() {
                return Ok(Some(kind));
            }
        }
        Ok(None)
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
        match Self::find(self.tree, self.cache)? {
            Some(_) => Ok(()), // it holds them
            None => machine::check_ports(&self.host_ports()),
        }
    }

    /// Keeps a cluster that answers and was made from the same inputs; else removes what is left and creates it anew.
    /// `node_image`: the one that was built here, where kind cannot pull its own.
    pub(crate) fn ensure(&self, steps: &mut Steps, node_image: Option<&str>) -> Result<()> {
        let config = self.config_here(node_image.is_some())?;
        let wanted = self.fingerprint(&config, node_image).to_string();
        let record = self.cache.root().join(ORIGIN_RECORD);
        if fs::read_to_string(&record).is_ok_and(|made_from| made_from == wanted) && self.answers() {
            println!("==> Cluster {} answers: kept", self.name);
            return Ok(());
        }
        if let Some(old) = Self::find(self.tree, self.cache)? {
            old.delete(steps)?;
        }
        machine::check_ports(&self.host_ports())?;
        steps.step(&format!("Create cluster {}", self.name), |step| {
            self.create(step, &config, node_image)
        })?;
        fs::write(&record, wanted).with_context(|| format!("cannot write {}", record.display()))
    }

    /// kind-config.yaml with what this machine needs besides.
    fn config_here(&self, node_image_is_built: bool) -> Result<Value> {
        let mut config = self.config.clone();
        for overlay in overlays(node_image_is_built) {
            merge(
                &mut config,
                read_yaml(&self.tree.join("cluster/overlay").join(overlay))?,
            );
        }
        Ok(config)
    }

    /// A cluster in another engine, without its node image, or of another configuration, is another cluster.
    fn fingerprint(&self, config: &Value, node_image: Option<&str>) -> Fingerprint {
        let mut parts = Fingerprint::builder();
        parts
            .text(self.engine.name())
            .text(&config.to_string())
            .text(node_image.unwrap_or_default());
        parts.finish()
    }

    fn create(&self, step: &Step, config: &Value, node_image: Option<&str>) -> Result<()> {
        let record = self.cache.root().join(ENGINE_RECORD);
        // Before the first container: a killed run leaves some too.
        fs::write(&record, self.engine.name())
            .with_context(|| format!("cannot write {}", record.display()))?;
        if self.engine.is_podman() {
            // kind mounts this folder into the node; a kernel without modules lacks it, and podman then fails.
            fs::create_dir_all("/lib/modules").context("cannot create /lib/modules")?;
        }
        let config_file = self.cache.root().join("kind-config.json"); // JSON is YAML
        fs::write(&config_file, serde_json::to_vec_pretty(config)?)?;
        let mut create = self.kind(["create", "cluster", "--wait", "120s", "--config"]);
        // Without --retain an orphaned kind of a killed run would delete the nodes of its successor.
        create
            .arg(&config_file)
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
        let _ = fs::remove_file(self.cache.root().join(ORIGIN_RECORD));
        steps.step(&format!("Remove cluster {}", self.name), |step| {
            if self.cache.programs().join("kind").exists() {
                step.run(&mut self.kind(["delete", "cluster", "--name", &self.name]))?;
            }
            let left = step.output(&mut self.list_containers())?;
            for container in left.split_whitespace() {
                step.run(&mut self.engine.command(["rm", "--force", "--volumes", container]))?;
            }
            let _ = fs::remove_file(self.cache.root().join(ENGINE_RECORD)); // not there for an older cluster
            Ok(())
        })
    }

    /// A container of the cluster is there, running or not.
    fn exists(&self) -> bool {
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

    /// Loads those of `images` that the node lacks, each under all of its names where it lacks one.
    pub(crate) fn load(&self, steps: &mut Steps, images: &[Names]) -> Result<()> {
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
        let has = |image: &String| listed.lines().any(|line| line == image);
        let missing: Vec<&str> = images
            .iter()
            .filter(|names| !names.iter().all(has))
            .flatten()
            .map(String::as_str)
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
fn overlays(node_image_is_built: bool) -> Vec<&'static str> {
    let mut overlays = Vec::new();
    if node_image_is_built {
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
