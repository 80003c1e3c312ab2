//! Images: the node's, those of others that a Platform runs, and our own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::engine::{Engine, Origin};
use super::tools::{self, Tool};
use crate::cache::{Cache, Fingerprint};
use crate::packages::Node;
use crate::programs;
use crate::steps::Steps;

/// The folder of our images' names in the local cluster.
pub(crate) const REPOSITORY: &str = "localhost/tracewell";
/// Jaeger, which is the collector too.
const JAEGER: &str = "docker.io/jaegertracing/jaeger:2.13.0";
/// The version is the one that `cluster/tools/prometheus` pins.
pub(crate) const PROMETHEUS: &str = "docker.io/prom/prometheus:v3.16.0";

/// An image of somebody else's that the node image does not bring along.
pub(super) struct ThirdParty {
    /// Its usual name.
    pub(super) image: &'static str,
    /// Below `cluster/images/`: the folder whose `build.sh IMAGE BIN WORK` makes it where no registry can be reached.
    pub(super) folder: &'static str,
    /// What its script takes from BIN.
    pub(super) programs: Programs,
}

/// Programs that an image is built around.
pub(super) enum Programs {
    FromGo(&'static [Tool]),
    NodeJs,
}

/// Those that a Platform runs.
const THIRD_PARTY: [ThirdParty; 3] = [
    ThirdParty {
        image: "docker.io/library/postgres:15",
        folder: "postgres",
        programs: Programs::FromGo(&[]),
    },
    ThirdParty {
        image: PROMETHEUS,
        folder: "prometheus",
        programs: Programs::FromGo(&[tools::PROMETHEUS]),
    },
    ThirdParty {
        // The version is the one that `cluster/tools/collector` pins.
        image: "docker.io/otel/opentelemetry-collector-contrib:0.144.0",
        folder: "collector",
        programs: Programs::FromGo(&[tools::COLLECTOR]),
    },
];

/// Our programs: (Cargo package, binary and image name).
const PROGRAMS: [(&str, &str); 5] = [
    ("platform-operator", "tracewell-operator"),
    ("tracewell-gateway", "tracewell-gateway"),
    ("tracewell-auth", "tracewell-auth"),
    ("tracewell-chat", "tracewell-chat"),
    ("tracewell-billing", "tracewell-billing"),
];

/// Bytes that an image of ours may have: more is slow to pull onto every node.
const LARGEST: u64 = 25_000_000;
/// The node image's name, before its tag.
const NODE_IMAGE: &str = "localhost/kindest/node";

/// Builds the kind node image unless it exists, and returns its name. It stands on a Debian image that is kept on its
/// own: that one changes rarely and takes longest.
pub(crate) fn ensure_node(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    tree: &Path,
    programs: &[Fingerprint],
) -> Result<String> {
    let scripts = tree.join("cluster/node");
    let mut parts = Fingerprint::builder();
    parts.file(&scripts.join("base.sh"))?;
    let base = format!("{REPOSITORY}/debian:{}", parts.finish());
    if !engine.has_image(&base) {
        let scratch = cache.scratch("debian")?;
        let mut build = Command::new(scripts.join("base.sh"));
        build.arg(&base).arg(scratch.path());
        engine.configure(&mut build);
        steps.run("Install Debian for the node image", &mut build)?;
    }

    let mut parts = Fingerprint::builder();
    parts.text(&base);
    for script in [
        "build.sh",
        "configure.sh",
        "preload.sh",
        "Containerfile",
        "bridge.conflist",
    ] {
        parts.file(&scripts.join(script))?;
    }
    for program in programs {
        parts.text(&program.to_string());
    }
    let image = format!("{NODE_IMAGE}:{}", parts.finish());
    if !engine.has_image(&image) {
        let scratch = cache.scratch("node")?;
        remove_images(engine, NODE_IMAGE, None)?; // older ones, unless a cluster runs them
        let mut build = Command::new(scripts.join("build.sh"));
        build
            .args([&image, &base])
            .arg(cache.programs())
            .arg(scratch.path())
            .arg(JAEGER);
        engine.configure(&mut build);
        steps.run("Build the node image", &mut build)?;
    }
    Ok(image)
}

/// Whether a node image of any version is there, built or pulled.
pub(crate) fn has_node(engine: &Engine) -> bool {
    ["reference=kindest/node", "reference=*/kindest/node"]
        .iter()
        .any(|filter| {
            let list = engine.command(["images", "--quiet", "--filter", filter]).output();
            list.is_ok_and(|listed| !listed.stdout.trim_ascii().is_empty())
        })
}

/// Names of one image in the engine.
pub(crate) type Names = Vec<String>;

/// Pulls or builds every image of others that the node image does not bring along. One that is built here has a second
/// name with the hash of its inputs.
pub(crate) fn ensure_third_party(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    origin: Origin,
    tree: &Path,
) -> Result<Vec<Names>> {
    let mut images = Vec::new();
    if origin == Origin::Registry {
        images.push(ensure_pulled(steps, engine, JAEGER)?);
    }
    for image in &THIRD_PARTY {
        images.push(image.ensure(steps, cache, engine, origin, tree)?);
    }
    Ok(images)
}

fn ensure_pulled(steps: &mut Steps, engine: &Engine, image: &str) -> Result<Names> {
    if !engine.has_image(image) {
        steps.run(
            &format!("Pull {image}"),
            &mut engine.command(["pull", "--quiet", image]),
        )?;
    }
    Ok(vec![image.to_owned()])
}

impl ThirdParty {
    /// Pulls or builds it.
    pub(super) fn ensure(
        &self,
        steps: &mut Steps,
        cache: &Cache,
        engine: &Engine,
        origin: Origin,
        tree: &Path,
    ) -> Result<Names> {
        match origin {
            Origin::Packages => self.ensure_built(steps, cache, engine, tree),
            Origin::Registry => ensure_pulled(steps, engine, self.image),
        }
    }

    fn ensure_built(&self, steps: &mut Steps, cache: &Cache, engine: &Engine, tree: &Path) -> Result<Names> {
        let scripts = tree.join("cluster/images");
        let script = scripts.join(self.folder).join("build.sh");
        let mut parts = Fingerprint::builder();
        parts
            .text(self.image)
            .file(&script)?
            .file(&scripts.join("debian.sh"))?;
        let programs = match &self.programs {
            Programs::FromGo(tools) => {
                for program in tools::ensure_built(steps, cache, tree, tools)? {
                    parts.text(&program.to_string());
                }
                cache.programs()
            }
            Programs::NodeJs => {
                let node = Node::ensure(steps, cache, tree)?;
                parts.file(&node.program())?;
                node.programs()
            }
        };
        let built = format!("{REPOSITORY}/{}:{}", self.folder, parts.finish());
        if !engine.has_image(&built) {
            let scratch = cache.scratch(self.folder)?;
            self.remove(engine)?;
            let mut command = Command::new(&script);
            command.arg(&built).arg(programs).arg(scratch.path());
            engine.configure(&mut command);
            steps.run(&format!("Build the image {}", self.image), &mut command)?;
        }
        // Always: a run that was killed may have left it on an older one.
        engine.tag(&built, self.image)?;
        Ok(vec![self.image.to_owned(), built])
    }

    pub(super) fn remove(&self, engine: &Engine) -> Result<()> {
        remove_images(engine, self.image, None)?;
        remove_images(engine, &format!("{REPOSITORY}/{}", self.folder), None)
    }
}

/// Builds our programs, statically, and an image of each; returns their tag and their names.
pub(crate) fn ensure_ours(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    tree: &Path,
) -> Result<(String, Vec<Names>)> {
    let binaries = build_programs(steps, cache, tree)?;
    let mut parts = Fingerprint::builder();
    parts
        .file(&tree.join("Containerfile"))?
        .text(&SILENT_SYMBOLS.join(" "));
    for binary in &binaries {
        parts.file(binary)?;
    }
    let tag = parts.finish().to_string();
    let names: Vec<_> = PROGRAMS
        .iter()
        .map(|(_, program)| format!("{REPOSITORY}/{program}:{tag}"))
        .collect();
    if !names.iter().all(|name| engine.has_image(name)) {
        build_images(steps, cache, engine, tree, &binaries, &names)?;
    }
    // Also those of an earlier run, which may have ended with this very error.
    let sizes = PROGRAMS
        .iter()
        .zip(&names)
        .map(|((_, program), name)| check_size(engine, program, name));
    println!("    {}", sizes.collect::<Result<Vec<_>>>()?.join(", "));
    Ok((tag, names.into_iter().map(|name| vec![name]).collect()))
}

fn build_images(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    tree: &Path,
    binaries: &[PathBuf],
    names: &[String],
) -> Result<()> {
    steps.step("Build images", |step| {
        let context = cache.scratch("context")?;
        for ((_, program), (binary, name)) in PROGRAMS.iter().zip(binaries.iter().zip(names)) {
            step.run(slim(binary).arg(context.path().join(program)))?;
            let mut build = engine.command(["build", "--quiet", "--build-arg", &format!("BINARY={program}")]);
            build.args([
                "--build-arg",
                concat!("VERSION=", env!("CARGO_PKG_VERSION")),
                "--tag",
                name,
                "--file",
            ]);
            step.run(build.arg(tree.join("Containerfile")).arg(context.path()))?;
            remove_images(engine, &format!("{REPOSITORY}/{program}"), Some(name))?;
        }
        Ok(())
    })
}

/// Symbols that say nothing in a profile or a stack: tables, of C too, generated destructors and `Debug`, a seventh of a
/// program.
const SILENT_SYMBOLS: [&str; 6] = [
    "GCC_except_table*",
    "__PRETTY_FUNCTION__*",
    "_nl_*",
    "anon.*",
    "*drop_in_place*",
    "*core..fmt..Debug*",
];

/// Copies a program to the path that is appended, with the names of its functions, which profiles and stacks need,
/// but without those of [`SILENT_SYMBOLS`].
fn slim(binary: &Path) -> Command {
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--strip-debug", "--wildcard"]);
    for names in SILENT_SYMBOLS {
        objcopy.args(["--strip-symbol", names]);
    }
    objcopy.arg(binary);
    objcopy
}

fn build_programs(steps: &mut Steps, cache: &Cache, tree: &Path) -> Result<Vec<PathBuf>> {
    let mut cargo = programs::release("build", cache);
    cargo.current_dir(tree);
    for (package, program) in PROGRAMS {
        cargo.args(["--package", package, "--bin", program]);
    }
    steps.run("Build the operator and the services", &mut cargo)?;
    let folder = programs::release_folder(cache);
    Ok(PROGRAMS.iter().map(|(_, program)| folder.join(program)).collect())
}

/// Whether the programs were built before, so that no dependency is left to compile.
pub(crate) fn has_release_builds(cache: &Cache) -> bool {
    let folder = programs::release_folder(cache);
    PROGRAMS.iter().all(|(_, program)| folder.join(program).exists())
}

/// A message for people where an image is larger than it may be; else its size.
fn check_size(engine: &Engine, program: &str, image: &str) -> Result<String> {
    let size = engine.image_size(image)?;
    if size > LARGEST {
        bail!(
            "image {image} has {size} bytes and may have {LARGEST}: see what {program} has gained \
             (`cargo tree --package`, `cargo bloat --release`) and [profile.release] in Cargo.toml"
        );
    }
    Ok(format!(
        "{program} {}.{} MB",
        size / 1_000_000,
        size / 100_000 % 10
    ))
}

/// Removes every image that was built here.
pub(crate) fn remove_built(engine: &Engine) -> Result<()> {
    remove_images(engine, &format!("{REPOSITORY}/*"), None)?;
    remove_images(engine, NODE_IMAGE, None)?;
    THIRD_PARTY.iter().try_for_each(|image| image.remove(engine))
}

/// Removes the images whose names match, but one, and but those that a container runs.
pub(super) fn remove_images(engine: &Engine, pattern: &str, keep: Option<&str>) -> Result<()> {
    let filter = format!("reference={pattern}");
    let mut list = engine.command([
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        &filter,
    ]);
    let listed = list.output().context("cannot list images")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for image in listed.lines().filter(|image| Some(*image) != keep) {
        engine
            .command(["rmi", image])
            .output()
            .context("cannot remove an image")?;
    }
    Ok(())
}
