//! The container engine, and where images come from. The two ways differ in nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::machine;

/// Where the node image and third-party images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Pulled from their registries.
    Registry,
    /// Built here from Go modules and Debian packages, under their usual names.
    Packages,
}

/// A registry that every image of ours is on. Any answer will do, also "unauthorised".
const REGISTRY: &str = "https://registry-1.docker.io/v2/";

/// Files and processes that a node may have open where limits cannot be raised: plenty for one small cluster.
const NODE_FILES: u64 = 1_048_576;
const NODE_PROCESSES: u64 = 16_384;

/// Docker or podman.
pub(crate) struct Engine {
    program: &'static str,
    pub(crate) origin: Origin,
    /// Settings for podman where the machine's limits are below podman's defaults.
    containers_conf: Option<PathBuf>,
}

impl Engine {
    /// Chooses by what answers; `TRACEWELL_IMAGES=registry|packages` decides instead.
    pub(crate) fn choose(cache: &Path) -> Result<Self> {
        let forced = match std::env::var("TRACEWELL_IMAGES").as_deref() {
            Err(_) | Ok("") => None,
            Ok("registry") => Some(Origin::Registry),
            Ok("packages") => Some(Origin::Packages),
            Ok(other) => bail!("TRACEWELL_IMAGES is `{other}`; it may be `registry` or `packages`"),
        };
        let running = ["docker", "podman"].into_iter().find(|program| answers(program));
        let origin = match (forced, running) {
            (Some(origin), _) => origin,
            (None, Some(_)) if is_reachable(REGISTRY) => Origin::Registry,
            (None, _) => Origin::Packages,
        };
        let program = match (origin, running) {
            // Debian's podman needs no daemon and asks only for capabilities that the kernel grants.
            (Origin::Packages, _) => "podman",
            (Origin::Registry, Some(program)) => program,
            (Origin::Registry, None) => {
                bail!("neither docker nor podman answers: start one, or install podman")
            }
        };
        Ok(Self {
            program,
            origin,
            containers_conf: containers_conf(program, cache)?,
        })
    }

    /// What people are told.
    pub(crate) fn describe(&self) -> String {
        match self.origin {
            Origin::Registry => format!("{} pulls images from their registries", self.program),
            Origin::Packages => {
                format!(
                    "no image registry: {} runs images built from Go modules and Debian packages",
                    self.program
                )
            }
        }
    }

    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments);
        self.configure(&mut command);
        command
    }

    /// Lets any program that calls the engine (kind, our scripts) call it as we do.
    pub(crate) fn configure(&self, command: &mut Command) {
        command.env("KIND_EXPERIMENTAL_PROVIDER", self.program);
        command.env("BUILDAH_LAYERS", "false"); // podman: no nameless image for each line of a Containerfile
        if let Some(path) = &self.containers_conf {
            command.env("CONTAINERS_CONF", path);
        }
    }

    pub(crate) fn has_image(&self, name: &str) -> bool {
        succeeds(&mut self.command(["image", "inspect", name]))
    }

    pub(crate) fn is_podman(&self) -> bool {
        self.program == "podman"
    }
}

fn answers(program: &str) -> bool {
    succeeds(Command::new(program).arg("info"))
}

fn is_reachable(url: &str) -> bool {
    succeeds(Command::new("curl").args(["--silent", "--output", "/dev/null", "--max-time", "5", url]))
}

pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What this machine asks of podman that its defaults do not give.
fn containers_conf(program: &str, cache: &Path) -> Result<Option<PathBuf>> {
    let mut settings = Vec::new();
    if !machine::may_raise_limits() {
        // podman's default limits fail ("error setting rlimit type 7"): ask for what is granted. podman lowers its own
        // number of processes, so the hard limit of this process would be too much.
        let files = machine::hard_limit("Max open files")
            .unwrap_or(NODE_FILES)
            .min(NODE_FILES);
        let processes = machine::hard_limit("Max processes")
            .unwrap_or(NODE_PROCESSES)
            .min(NODE_PROCESSES);
        let limits = format!(r#"["nofile={files}:{files}", "nproc={processes}:{processes}"]"#);
        settings.push(format!("[containers]\ndefault_ulimits = {limits}\n"));
    }
    if !machine::has_cgroup_v2() {
        // crun: "cgroups in hybrid mode not supported"
        settings.push("[engine]\nruntime = \"runc\"\n".to_owned());
    }
    if program != "podman" || settings.is_empty() {
        return Ok(None);
    }
    let path = cache.join("containers.conf");
    fs::write(&path, settings.concat()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(path))
}
