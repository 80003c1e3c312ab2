//! The container engine, and where images come from. The two ways differ in nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::{self, succeeds};

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

/// A program that kind can use as its engine.
struct Program {
    name: &'static str,
    /// Where it will keep images if nobody says otherwise.
    usual_storage: &'static str,
    /// What it is asked for where it keeps them.
    storage: &'static str,
}

const PROGRAMS: [&Program; 2] = [&DOCKER, &PODMAN];
const DOCKER: Program = Program {
    name: "docker",
    usual_storage: "/var/lib/docker",
    storage: "{{.DockerRootDir}}",
};
const PODMAN: Program = Program {
    name: "podman",
    usual_storage: "/var/lib/containers",
    storage: "{{.Store.GraphRoot}}",
};

impl Program {
    fn answers(&self) -> bool {
        succeeds(Command::new(self.name).arg("info"))
    }
}

/// Docker or podman.
#[derive(Clone)]
pub(crate) struct Engine {
    program: &'static Program,
    /// Settings for podman where the machine's limits are below podman's defaults.
    containers_conf: Option<PathBuf>,
}

impl Engine {
    /// Chooses by what answers; `TRACEWELL_IMAGES=registry|packages` decides instead.
    pub(crate) fn choose(cache: &Path) -> Result<(Self, Origin)> {
        let forced = match std::env::var("TRACEWELL_IMAGES").as_deref() {
            Err(_) | Ok("") => None,
            Ok("registry") => Some(Origin::Registry),
            Ok("packages") => Some(Origin::Packages),
            Ok(other) => bail!("TRACEWELL_IMAGES is `{other}`; it may be `registry` or `packages`"),
        };
        let running = PROGRAMS.into_iter().find(|program| program.answers());
        let origin = match (forced, running) {
            (Some(origin), _) => origin,
            (None, Some(_)) if is_reachable(REGISTRY) => Origin::Registry,
            (None, _) => Origin::Packages,
        };
        let program = match (origin, running) {
            // Debian's podman needs no daemon and asks only for capabilities that the kernel grants.
            (Origin::Packages, _) => &PODMAN,
            (Origin::Registry, Some(program)) => program,
            (Origin::Registry, None) => {
                bail!("neither docker nor podman answers: start one, or install podman")
            }
        };
        Ok((Self::new(program, cache)?, origin))
    }

    /// The engine of this name, if there is one.
    pub(crate) fn named(name: &str, cache: &Path) -> Result<Option<Self>> {
        let program = PROGRAMS.into_iter().find(|program| program.name == name);
        program.map(|program| Self::new(program, cache)).transpose()
    }

    /// Every engine that answers now.
    pub(crate) fn answering(cache: &Path) -> Result<Vec<Self>> {
        let programs = PROGRAMS.into_iter().filter(|program| program.answers());
        programs.map(|program| Self::new(program, cache)).collect()
    }

    fn new(program: &'static Program, cache: &Path) -> Result<Self> {
        Ok(Self {
            program,
            containers_conf: containers_conf(program, cache)?,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.program.name
    }

    pub(crate) fn answers(&self) -> bool {
        self.program.answers()
    }

    /// What people are told.
    pub(crate) fn describe(&self, origin: Origin) -> String {
        match origin {
            Origin::Registry => format!("{} pulls images from their registries", self.name()),
            Origin::Packages => {
                format!(
                    "no image registry: {} runs images built from Go modules and Debian packages",
                    self.name()
                )
            }
        }
    }

    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(self.name());
        command.args(arguments);
        self.configure(&mut command);
        command
    }

    /// Lets any program that calls the engine (kind, our scripts) call it as we do.
    pub(crate) fn configure(&self, command: &mut Command) {
        command.env("KIND_EXPERIMENTAL_PROVIDER", self.name());
        command.env("BUILDAH_LAYERS", "false"); // podman: no nameless image for each line of a Containerfile
        if let Some(path) = &self.containers_conf {
            command.env("CONTAINERS_CONF", path);
        }
    }

    pub(crate) fn has_image(&self, name: &str) -> bool {
        succeeds(&mut self.command(["image", "inspect", name]))
    }

    /// Gives an image one more name.
    pub(crate) fn tag(&self, image: &str, name: &str) -> Result<()> {
        if !succeeds(&mut self.command(["tag", image, name])) {
            bail!("{} cannot give the image {image} the name {name}", self.name());
        }
        Ok(())
    }

    /// Bytes of an image, as the engine counts them.
    pub(crate) fn image_size(&self, name: &str) -> Result<u64> {
        let inspected = self
            .command(["image", "inspect", "--format", "{{.Size}}", name])
            .output()
            .with_context(|| format!("cannot start {}", self.name()))?;
        let printed = String::from_utf8_lossy(&inspected.stdout);
        printed
            .trim()
            .parse()
            .with_context(|| format!("{} does not tell the size of {name}", self.name()))
    }

    /// The folder that images are kept in; where the engine does not answer yet, the one that it will make.
    pub(crate) fn storage(&self) -> PathBuf {
        let said = self.command(["info", "--format", self.program.storage]).output();
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        match said {
            Ok(folder) if folder.starts_with('/') => folder.into(),
            _ => self.program.usual_storage.into(),
        }
    }

    pub(crate) fn is_podman(&self) -> bool {
        self.name() == PODMAN.name
    }
}

fn is_reachable(url: &str) -> bool {
    succeeds(Command::new("curl").args(["--silent", "--output", "/dev/null", "--max-time", "5", url]))
}

/// What this machine asks of podman that its defaults do not give.
fn containers_conf(program: &Program, cache: &Path) -> Result<Option<PathBuf>> {
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
    if program.name != PODMAN.name || settings.is_empty() {
        return Ok(None);
    }
    let path = cache.join("containers.conf");
    fs::write(&path, settings.concat()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(path))
}
