//! The local cluster: what `make up`, `make down` and the tests on kind stand on.

use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::Steps;
use cache::Cache;
use engine::{Engine, Origin};
use kind::Kind;

mod cache;
mod deploy;
mod engine;
mod images;
mod kind;
mod machine;
mod tools;

/// A running cluster with every image loaded.
pub(crate) struct Cluster {
    /// Credentials of this cluster alone.
    pub(crate) kubeconfig: PathBuf,
    /// Folder that holds `kubectl`, `helm` and `kind`; put it first on PATH.
    pub(crate) tools: PathBuf,
    /// Tag of all five images of ours, a hash of their binaries: a changed binary rolls the pods.
    pub(crate) image_tag: String,
}

/// What the tests against a real API server start.
pub(crate) struct TestAssets {
    /// Folder that holds `etcd`, `kube-apiserver` and `helm`.
    pub(crate) folder: PathBuf,
}

/// `make up`.
pub(crate) fn up() -> Result<()> {
    let mut steps = Steps::new("up")?;
    let cluster = ensure(&mut steps)?;
    cluster.install(&mut steps)?;
    cluster.apply_demo(&mut steps)?;
    steps.finish();
    deploy::print_next(&cluster);
    Ok(())
}

/// The cluster runs, and every image is built and loaded; the chart is not installed yet.
pub(crate) fn ensure(steps: &mut Steps) -> Result<Cluster> {
    machine::check_toolchains()?;
    let cache = Cache::open()?;
    let engine = Engine::choose(cache.root())?;
    println!("==> Images: {}", engine.describe());
    machine::check_rights(&engine)?;
    let cold = !cache.programs().join(tools::HELM.name).exists(); // the last tool that a first run builds
    machine::check_disk(cache.root(), cold)?;
    let kind = Kind::new(tree(), &engine, &cache)?;
    kind.check_ports()?;

    let _lock = cache.lock()?;
    let node_image = match engine.origin {
        Origin::Registry => None,
        Origin::Packages => {
            machine::install_packages(steps, machine::NODE_PACKAGES)?;
            let parts: Vec<_> = tools::NODE.iter().copied().chain([tools::JAEGER]).collect();
            let built = tools::ensure_built(steps, &cache, tree(), &parts)?;
            Some(images::ensure_node(steps, &cache, &engine, tree(), &built)?)
        }
    };
    tools::ensure_built(steps, &cache, tree(), &[tools::KIND, tools::HELM, tools::KUBECTL])?;
    kind.ensure(steps, node_image.as_deref())?;

    let (image_tag, mut wanted) = images::ensure_ours(steps, &cache, &engine, tree())?;
    if node_image.is_none() {
        wanted.push(images::ensure_jaeger(steps, &engine)?);
    }
    kind.load(steps, &wanted)?;
    Ok(Cluster {
        kubeconfig: kind.kubeconfig(),
        tools: cache.programs(),
        image_tag,
    })
}

/// Installs the distribution's packages that lints and tests need.
pub(crate) fn install_test_packages(steps: &mut Steps) -> Result<()> {
    machine::install_packages(steps, machine::TEST_PACKAGES)
}

/// Installs, builds or finds in the cache what the tests without a cluster need.
pub(crate) fn test_assets(steps: &mut Steps) -> Result<TestAssets> {
    machine::check_toolchains()?;
    install_test_packages(steps)?;
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    tools::ensure_built(
        steps,
        &cache,
        tree(),
        &[tools::ETCD, tools::KUBE_APISERVER, tools::HELM],
    )?;
    Ok(TestAssets {
        folder: cache.programs(),
    })
}

impl Cluster {
    /// Lets a command reach this cluster: its credentials, and `kubectl` and `helm` on PATH.
    pub(crate) fn command_env(&self, mut command: Command) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = iter::once(self.tools.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

/// `make down`.
pub(crate) fn down() -> Result<()> {
    let cache = Cache::open()?;
    let engine = Engine::choose(cache.root())?;
    let _lock = cache.lock()?;
    let kind = Kind::new(tree(), &engine, &cache)?;
    if !kind.exists() {
        println!("There is no cluster.");
        return Ok(());
    }
    let mut steps = Steps::new("down")?;
    kind.delete(&mut steps)?;
    steps.finish();
    Ok(())
}

/// `make clean-cache`.
pub(crate) fn clean_cache() -> Result<()> {
    let cache = Cache::open()?;
    let engine = Engine::choose(cache.root())?;
    let lock = cache.lock()?;
    if Kind::new(tree(), &engine, &cache)?.exists() {
        bail!("the cluster still runs from the cache: `make down` first");
    }
    let home = cache
        .root()
        .parent()
        .context("the cache has no parent folder")?
        .to_owned();
    let before = machine::free_bytes(&home)?;
    images::remove_built(&engine)?;
    cache.remove()?;
    drop(lock);
    let freed = machine::free_bytes(&home)?.saturating_sub(before);
    println!(
        "Freed {:.1} GiB. Go's and Cargo's own caches were left alone.",
        to_gib(freed)
    );
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people, rounded to a tenth"
)]
fn to_gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Where everything is kept that is built outside the tree.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    Ok(Cache::open()?.root().to_owned())
}

/// The folder of this checkout.
pub(crate) fn tree() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
