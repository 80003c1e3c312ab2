//! Images: the node's, Jaeger's and our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::{Cache, Fingerprint};
use super::engine::Engine;
use super::tools::Built;
use crate::steps::Steps;

/// The folder of our images' names in the local cluster.
pub(crate) const REPOSITORY: &str = "localhost/tracewell";
/// Jaeger, which is the collector too.
const JAEGER: &str = "docker.io/jaegertracing/jaeger:2.13.0";
/// Our programs: (Cargo package, binary and image name).
const PROGRAMS: [(&str, &str); 5] = [
    ("platform-operator", "tracewell-operator"),
    ("tracewell-gateway", "tracewell-gateway"),
    ("tracewell-auth", "tracewell-auth"),
    ("tracewell-chat", "tracewell-chat"),
    ("tracewell-billing", "tracewell-billing"),
];

/// Builds the kind node image unless it exists, and returns its name. It stands on a Debian image that is kept on its
/// own: that one changes rarely and takes longest.
pub(crate) fn ensure_node(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    tree: &Path,
    node: &[Built],
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
    for built in node {
        parts.text(&built.fingerprint.to_string());
    }
    let image = format!("localhost/kindest/node:{}", parts.finish());
    if !engine.has_image(&image) {
        let scratch = cache.scratch("node")?;
        remove_images(engine, "localhost/kindest/node", None)?; // older ones, unless a cluster runs them
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

/// Pulls Jaeger's image, which the node image lacks when it comes from a registry, and returns its name.
pub(crate) fn ensure_jaeger(steps: &mut Steps, engine: &Engine) -> Result<String> {
    if !engine.has_image(JAEGER) {
        steps.run(
            "Pull Jaeger's image",
            &mut engine.command(["pull", "--quiet", JAEGER]),
        )?;
    }
    Ok(JAEGER.to_owned())
}

/// Builds our programs, statically, and an image of each; returns their tag and their names.
pub(crate) fn ensure_ours(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    tree: &Path,
) -> Result<(String, Vec<String>)> {
    let binaries = build_programs(steps, cache, tree)?;
    let mut parts = Fingerprint::builder();
    parts.file(&tree.join("Containerfile"))?;
    for binary in &binaries {
        parts.file(binary)?;
    }
    let tag = parts.finish().to_string();
    let names: Vec<_> = PROGRAMS
        .iter()
        .map(|(_, program)| format!("{REPOSITORY}/{program}:{tag}"))
        .collect();
    if names.iter().all(|name| engine.has_image(name)) {
        return Ok((tag, names));
    }
    steps.step("Build images", |step| {
        let context = cache.scratch("context")?;
        for ((_, program), (binary, name)) in PROGRAMS.iter().zip(binaries.iter().zip(&names)) {
            fs::copy(binary, context.path().join(program))
                .with_context(|| format!("cannot copy {program}"))?;
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
    })?;
    Ok((tag, names))
}

/// Release builds in a target folder of their own, so that they never wait for or spoil a developer's.
fn build_programs(steps: &mut Steps, cache: &Cache, tree: &Path) -> Result<Vec<PathBuf>> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = cache.root().join("cargo");
    let mut cargo = Command::new("cargo");
    // The target is named, or the flags would reach procedural macros too, which cannot be static.
    cargo
        .current_dir(tree)
        .args(["build", "--release", "--locked", "--target", &target]);
    let flags = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.to_uppercase().replace('-', "_")
    );
    cargo.env(flags, "-C target-feature=+crt-static -C force-frame-pointers=yes");
    cargo.env_remove("RUSTFLAGS").env("CARGO_TARGET_DIR", &folder);
    for (package, program) in PROGRAMS {
        cargo.args(["--package", package, "--bin", program]);
    }
    steps.run("Build the operator and the services", &mut cargo)?;
    Ok(PROGRAMS
        .iter()
        .map(|(_, program)| folder.join(&target).join("release").join(program))
        .collect())
}

/// Removes every image that was built here.
pub(crate) fn remove_built(engine: &Engine) -> Result<()> {
    remove_images(engine, &format!("{REPOSITORY}/*"), None)?;
    remove_images(engine, "localhost/kindest/node", None)
}

/// Removes the images whose names match, but one, and but those that a container runs.
fn remove_images(engine: &Engine, pattern: &str, keep: Option<&str>) -> Result<()> {
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
