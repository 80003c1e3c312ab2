//! The local cluster: what `make up`, `make down` and the tests on kind stand on.

use std::env;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::disk::{self, Need};
use crate::steps::Steps;
use crate::{assets, machine, programs};
use engine::{Engine, Origin};
use kind::Kind;

mod deploy;
mod engine;
mod examples;
mod images;
mod kind;
pub(crate) mod tools;

// What a run from empty caches left on the disk, rounded up.
/// GiB of the tools from Go modules, most of it sources and Go's build folder. A part of the tools takes its share.
const TOOLS: u64 = 15;
/// GiB of the release builds of the operator and the services.
const RELEASE_BUILDS: u64 = 2;
/// GiB of the builds that the lints and the tests take.
const TEST_BUILDS: u64 = 7;
/// GiB more that the compiler keeps of them for the next build.
const FOR_THE_NEXT_BUILD: u64 = 5;
/// GiB of the node image and of the running node, in the engine's storage.
const NODE: u64 = 4;
/// GiB that each of them may grow by besides: scratch folders, and changed code.
const MARGIN: u64 = 1;

/// A running cluster with every image loaded.
pub(crate) struct Cluster {
    /// Credentials of this cluster alone.
    pub(crate) kubeconfig: PathBuf,
    /// Folder that holds `kubectl`, `helm` and `kind`; put it first on PATH.
    pub(crate) tools: PathBuf,
    /// Tag of all five images of ours, a hash of their binaries: a changed binary rolls the pods.
    pub(crate) image_tag: String,
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

/// What `make test` takes of this machine, asked before anything is built; each failure is one sentence.
pub(crate) fn preflight() -> Result<()> {
    machine::check_toolchains()?;
    let cache = Cache::open()?;
    let (engine, origin) = Engine::choose(cache.root())?;
    check_machine(&cache, &engine, origin, Some(test_builds_need()?))
}

/// The part of [`preflight`] that also holds without a cluster.
pub(crate) fn preflight_without_cluster() -> Result<()> {
    machine::check_toolchains()?;
    let cache = Cache::open()?;
    disk::check(&[tools_need(&cache, &assets::FROM_GO)?, test_builds_need()?])
}

/// What the cluster takes, and on the disk `also`.
fn check_machine(cache: &Cache, engine: &Engine, origin: Origin, also: Option<Need>) -> Result<()> {
    if origin == Origin::Packages && !machine::is_root() {
        bail!(
            "no image registry can be reached, so the node image is built here, which only root may do: use sudo"
        );
    }
    let mut parts = assets::FROM_GO.to_vec();
    parts.extend([tools::KIND, tools::KUBECTL]);
    if origin == Origin::Packages {
        parts.extend(tools::NODE);
    }
    let mut needs = vec![
        tools_need(cache, &parts)?,
        need(
            programs::release_folder(cache),
            RELEASE_BUILDS,
            images::has_release_builds(cache),
        ),
        need(engine.storage(), NODE, images::has_node(engine)),
    ];
    needs.extend(also);
    disk::check(&needs)?;
    Kind::new(tree(), engine, cache)?.check_ports()
}

fn tools_need(cache: &Cache, wanted: &[tools::Tool]) -> Result<Need> {
    let missing = tools::missing(cache, tree(), wanted)?.len() as u64;
    Ok(Need {
        folder: cache.root().to_owned(),
        gib: MARGIN + (TOOLS * missing).div_ceil(wanted.len() as u64),
    })
}

fn test_builds_need() -> Result<Need> {
    let folder = programs::folder()?;
    let is_there = folder.join("tracewell-operator").exists(); // the folder itself is: this program is in it
    let is_once = env::var_os("CARGO_INCREMENTAL").is_some_and(|value| value == "0");
    let kept = if is_once { 0 } else { FOR_THE_NEXT_BUILD };
    Ok(need(folder, TEST_BUILDS + kept, is_there))
}

fn need(folder: PathBuf, gib: u64, is_there: bool) -> Need {
    let gib = if is_there { MARGIN } else { MARGIN + gib };
    Need { folder, gib }
}

/// The cluster runs, and every image is built and loaded; the chart is not installed yet.
pub(crate) fn ensure(steps: &mut Steps) -> Result<Cluster> {
    machine::check_toolchains()?;
    let cache = Cache::open()?;
    let (engine, origin) = Engine::choose(cache.root())?;
    println!("==> Images: {}", engine.describe(origin));
    check_machine(&cache, &engine, origin, None)?;

    let _lock = cache.lock()?;
    let node_image = match origin {
        Origin::Registry => None,
        Origin::Packages => {
            machine::install_packages(steps, machine::NODE_PACKAGES)?;
            let parts: Vec<_> = tools::NODE.iter().copied().chain([tools::JAEGER]).collect();
            let built = tools::ensure_built(steps, &cache, tree(), &parts)?;
            Some(images::ensure_node(steps, &cache, &engine, tree(), &built)?)
        }
    };
    tools::ensure_built(steps, &cache, tree(), &[tools::KIND, tools::HELM, tools::KUBECTL])?;
    let kind = Kind::new(tree(), &engine, &cache)?;
    kind.ensure(steps, node_image.as_deref())?;

    let (image_tag, mut wanted) = images::ensure_ours(steps, &cache, &engine, tree())?;
    wanted.extend(images::ensure_third_party(
        steps,
        &cache,
        &engine,
        origin,
        tree(),
    )?);
    wanted.extend(examples::ensure(steps, &cache, &engine, origin, tree())?);
    kind.load(steps, &wanted)?;
    Ok(Cluster {
        kubeconfig: kind.kubeconfig(),
        tools: cache.programs(),
        image_tag,
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
    let _lock = cache.lock()?;
    let Some(kind) = Kind::find(tree(), &cache)? else {
        println!("There is no cluster.");
        return Ok(());
    };
    let mut steps = Steps::new("down")?;
    kind.delete(&mut steps)?;
    steps.finish();
    Ok(())
}

/// `make clean-cache`.
pub(crate) fn clean_cache() -> Result<()> {
    let cache = Cache::open()?;
    let lock = cache.lock()?;
    if Kind::find(tree(), &cache)?.is_some() {
        bail!("the cluster still runs from the cache: `make down` first");
    }
    let home = cache
        .root()
        .parent()
        .context("the cache has no parent folder")?
        .to_owned();
    let before = disk::free_bytes(&home)?;
    for engine in Engine::answering(cache.root())? {
        images::remove_built(&engine)?;
        examples::remove_bases(&engine)?;
    }
    cache.remove()?;
    drop(lock);
    let freed = disk::free_bytes(&home)?.saturating_sub(before);
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
