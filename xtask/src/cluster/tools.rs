//! Programs built from Go modules: one table, each program cached under a hash of everything that decides its bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, Fingerprint};
use crate::steps::{Step, Steps};

/// One program and where its source is.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    /// File name of the program.
    pub(crate) name: &'static str,
    /// Folder under `cluster/tools` whose go.mod and go.sum pin it, and which may hold its `main`.
    module: &'static str,
    /// Go package of its `main`.
    package: &'static str,
    /// Go build tags, separated by commas.
    tags: &'static str,
    /// A file of the tree that takes the place of one in the module: (file of the tree, package folder and file).
    instead: Option<(&'static str, &'static str)>,
}

const fn tool(name: &'static str, module: &'static str, package: &'static str) -> Tool {
    Tool {
        name,
        module,
        package,
        tags: "",
        instead: None,
    }
}

pub(crate) const KIND: Tool = tool("kind", "kind", "sigs.k8s.io/kind");
pub(crate) const HELM: Tool = tool("helm", "helm", "helm.sh/helm/v4/cmd/helm");
pub(crate) const KUBECTL: Tool = tool("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl");
pub(crate) const ETCD: Tool = tool("etcd", "etcd", "go.etcd.io/etcd/server/v3");
pub(crate) const KUBE_APISERVER: Tool = tool(
    "kube-apiserver",
    "kubernetes",
    "k8s.io/kubernetes/cmd/kube-apiserver",
);
pub(crate) const KUBE_CONTROLLER_MANAGER: Tool = tool(
    "kube-controller-manager",
    "kubernetes",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
);
/// Pretends to be the nodes, so that pods become ready which nobody runs.
pub(crate) const KWOK: Tool = tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok");

/// Jaeger, which is the collector too. Its Go module holds a placeholder where the web UI belongs, so a small viewer
/// of our own is built in there.
pub(crate) const JAEGER: Tool = Tool {
    instead: Some((
        "cluster/images/jaeger-ui/index.html",
        "cmd/query/app/ui/placeholder/index.html",
    )),
    ..tool("jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
};

/// With no other service discovery than DNS, files and HTTP: the clients of two dozen clouds are most of the program.
pub(crate) const PROMETHEUS: Tool = Tool {
    tags: "remove_all_sd,enable_dns_sd",
    ..tool(
        "prometheus",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
    )
};

/// With the exporter that balances by trace, which Jaeger's image lacks.
pub(crate) const COLLECTOR: Tool = tool("collector", "collector", "tracewell.dev/cluster/tools/collector");

/// What the node image is made of.
pub(crate) const NODE: &[Tool] = &[
    KUBE_APISERVER,
    KUBECTL,
    KUBE_CONTROLLER_MANAGER,
    tool(
        "kube-scheduler",
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-scheduler",
    ),
    tool("kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    tool("kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    tool("kubeadm", "kubernetes", "k8s.io/kubernetes/cmd/kubeadm"),
    ETCD,
    tool("coredns", "coredns", "github.com/coredns/coredns"),
    tool(
        "containerd",
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
    ),
    tool(
        "containerd-shim-runc-v2",
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    ),
    tool("ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr"),
    tool(
        "local-path-provisioner",
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
    ),
];

impl Tool {
    /// Changes with whatever decides the program's bytes, except Go's own version: a patch release of Go is no reason
    /// to build for half an hour.
    fn fingerprint(&self, tree: &Path) -> Result<Fingerprint> {
        let pinned = self.pinned(tree);
        let mut parts = Fingerprint::builder();
        parts.text(self.package).text(&linker_flags(&pinned)?);
        parts.file(&pinned.join("go.mod"))?.file(&pinned.join("go.sum"))?;
        let main = pinned.join("main.go");
        if main.exists() {
            parts.file(&main)?;
        }
        if !self.tags.is_empty() {
            parts.text(self.tags);
        }
        if let Some((ours, theirs)) = self.instead {
            parts.file(&tree.join(ours))?.text(theirs);
        }
        Ok(parts.finish())
    }

    fn pinned(&self, tree: &Path) -> PathBuf {
        tree.join("cluster/tools").join(self.module)
    }

    /// How Go names the program: after the package, without a major version.
    fn name_by_go(&self) -> &'static str {
        let is_major = |part: &str| part.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
        self.package
            .rsplit('/')
            .find(|part| !is_major(part))
            .unwrap_or(self.package)
    }
}

/// Builds those of `wanted` that the cache lacks, all of one module in one go so that both cores stay busy, and
/// returns what each was built from, in the order of `wanted`.
pub(crate) fn ensure_built(
    steps: &mut Steps,
    cache: &Cache,
    tree: &Path,
    wanted: &[Tool],
) -> Result<Vec<Fingerprint>> {
    let mut missing = missing(cache, tree, wanted)?;
    while let Some((first, _)) = missing.first().cloned() {
        let (batch, rest) = missing
            .into_iter()
            .partition::<Vec<_>, _>(|(tool, _)| tool.module == first.module);
        missing = rest;
        let names: Vec<_> = batch.iter().map(|(tool, _)| tool.name).collect();
        steps.step(&format!("Build {}", names.join(", ")), |step| {
            build(step, cache, tree, &first, &batch)
        })?;
    }
    let mut origins = Vec::new();
    for tool in wanted {
        let fingerprint = tool.fingerprint(tree)?;
        cache.link_program(tool.name, &cache.tool(tool.name, &fingerprint))?;
        origins.push(fingerprint);
    }
    Ok(origins)
}

/// Those of `wanted` that the cache lacks, and where each will be.
pub(crate) fn missing(cache: &Cache, tree: &Path, wanted: &[Tool]) -> Result<Vec<(Tool, PathBuf)>> {
    let mut missing = Vec::new();
    for tool in wanted {
        let path = cache.tool(tool.name, &tool.fingerprint(tree)?);
        if !path.exists() {
            missing.push((*tool, path));
        }
    }
    Ok(missing)
}

fn build(step: &Step, cache: &Cache, tree: &Path, first: &Tool, batch: &[(Tool, PathBuf)]) -> Result<()> {
    let scratch = cache.scratch(first.module)?;
    let pinned = first.pinned(tree);
    let output = scratch.path().join("bin");
    let mut command = go(&pinned);
    command
        .args(["build", "-trimpath", "-tags", first.tags])
        .args(["-ldflags", &linker_flags(&pinned)?, "-o"])
        .arg(&output);
    if let Some((ours, theirs)) = first.instead {
        let modfile = copy_with_replacement(step, scratch.path(), first, &pinned, &tree.join(ours), theirs)?;
        command.arg("-modfile").arg(modfile);
    }
    fs::create_dir(&output)?;
    step.run(command.args(batch.iter().map(|(tool, _)| tool.package)))?;
    for (tool, path) in batch {
        cache.keep(&output.join(tool.name_by_go()), path)?;
    }
    Ok(())
}

/// A copy of the tool's module in which our file takes the place of theirs, and a go.mod that uses the copy. (Go's
/// `-overlay` refuses files of the module cache.)
fn copy_with_replacement(
    step: &Step,
    scratch: &Path,
    tool: &Tool,
    pinned: &Path,
    ours: &Path,
    theirs: &str,
) -> Result<PathBuf> {
    let path = tool.package.split('/').take(3).collect::<Vec<_>>().join("/");
    let copy = scratch.join("module");
    let listed = step.output(go(pinned).args(["mod", "download", "-json", &path]))?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let source = listed["Dir"]
        .as_str()
        .context("`go mod download -json` names no Dir")?;
    step.run(
        Command::new("cp")
            .args(["-r", "--no-preserve=mode", source])
            .arg(&copy),
    )?;
    fs::copy(ours, copy.join(theirs)).with_context(|| format!("{theirs} is not in {path}"))?;
    for file in ["go.mod", "go.sum"] {
        fs::copy(pinned.join(file), scratch.join(file))?;
    }
    let modfile = scratch.join("go.mod");
    let replace = format!("-replace={path}={}", copy.display());
    step.run(go(scratch).args(["mod", "edit", &replace]).arg(&modfile))?;
    Ok(modfile)
}

fn go(folder: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local");
    go
}

/// Symbols and debug tables are dropped; Kubernetes' programs and Prometheus are told their version, which they would
/// otherwise take from a git checkout.
fn linker_flags(pinned: &Path) -> Result<String> {
    let modules = fs::read_to_string(pinned.join("go.mod"))
        .with_context(|| format!("cannot read {}", pinned.join("go.mod").display()))?;
    let required = |module: &str| {
        let (_, version) = modules.split_once(&format!("\t{module} v"))?;
        version.split_whitespace().next()
    };
    if modules.contains(&format!("tool {}\n", PROMETHEUS.package)) {
        let module = required("github.com/prometheus/prometheus").unwrap_or_default();
        let version = prometheus_version(module).context("a Prometheus module that is not v0.XYY.Z")?;
        return Ok(format!(
            "-s -w -X github.com/prometheus/common/version.Version={version}"
        ));
    }
    let Some(version) = required("k8s.io/kubernetes") else {
        return Ok("-s -w".into());
    };
    let (major, rest) = version
        .split_once('.')
        .context("a Kubernetes version without a dot")?;
    let minor = rest.split('.').next().unwrap_or_default();
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let flags = [
        "-s -w".to_owned(),
        set("gitVersion", &format!("v{version}")),
        set("gitMajor", major),
        set("gitMinor", minor),
        set("gitTreeState", "clean"),
    ];
    Ok(flags.join(" "))
}

/// The release that a version of the Go module is: 0.316.0 is 3.16.0.
fn prometheus_version(module: &str) -> Option<String> {
    let digits = module.strip_prefix("0.")?;
    let (major, rest) = digits.split_at_checked(1)?;
    let (minor, patch) = rest.split_once('.')?;
    let minor: u32 = minor.parse().ok()?;
    Some(format!("{major}.{minor}.{patch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_names_a_program_after_its_package_without_major_version() {
        assert_eq!(ETCD.name_by_go(), "server");
        assert_eq!(HELM.name_by_go(), "helm");
        assert_eq!(KIND.name_by_go(), "kind");
    }

    #[test]
    fn every_tool_is_pinned_in_the_tree() {
        let tree = crate::cluster::tree();
        for tool in NODE
            .iter()
            .chain(&[KIND, HELM, JAEGER, PROMETHEUS, COLLECTOR, KWOK])
        {
            assert!(
                tool.fingerprint(tree).is_ok(),
                "{} has no go.mod, go.sum or replacement",
                tool.name
            );
        }
    }

    #[test]
    fn prometheus_is_told_the_version_that_its_image_is_named_by() {
        let flags = linker_flags(&PROMETHEUS.pinned(crate::cluster::tree())).unwrap();
        let (_, version) = flags.rsplit_once('=').unwrap();
        assert_eq!(
            crate::cluster::images::PROMETHEUS,
            format!("docker.io/prom/prometheus:v{version}")
        );
        assert_eq!(prometheus_version("0.305.1").as_deref(), Some("3.5.1"));
    }

    #[test]
    fn kubernetes_programs_are_told_their_version() {
        let flags = linker_flags(&KUBECTL.pinned(crate::cluster::tree())).unwrap();
        assert!(flags.contains("version.gitVersion=v1."), "{flags}");
        assert_eq!(
            linker_flags(&ETCD.pinned(crate::cluster::tree())).unwrap(),
            "-s -w"
        );
    }
}
