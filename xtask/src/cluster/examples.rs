//! Images of the examples in other languages, for `examples/polyglot.yaml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::engine::{Engine, Origin};
use super::images::{Names, Programs, REPOSITORY, ThirdParty, remove_images};
use crate::cache::{Cache, Fingerprint};
use crate::packages::{self, Node};
use crate::steps::Steps;

/// A service in another language: a folder of `examples/` with a Containerfile.
struct Example {
    folder: &'static str,
    /// What the Containerfile copies, besides the packages of its language.
    files: &'static [&'static str],
    language: Language,
    /// The image that it stands on, and the build argument that names it.
    base: ThirdParty,
    base_argument: &'static str,
}

enum Language {
    /// Its package-lock.json is installed as `node_modules`.
    JavaScript,
    /// Its requirements.txt is installed for this version as `packages`.
    Python(&'static str),
}

const EXAMPLES: [Example; 2] = [
    Example {
        folder: "node-service",
        files: &["package.json", "server.js"],
        language: Language::JavaScript,
        base: ThirdParty {
            image: "docker.io/library/node:24-slim",
            folder: "node",
            programs: Programs::NodeJs,
        },
        base_argument: "NODE",
    },
    Example {
        folder: "python-service",
        files: &["server.py"],
        language: Language::Python("3.11"), // Debian's
        base: ThirdParty {
            image: "docker.io/library/python:3.11-slim",
            folder: "python",
            programs: Programs::FromGo(&[]),
        },
        base_argument: "PYTHON",
    },
];

/// Builds every example. Each has the name that its Platform asks for, and a second one with the hash of its inputs.
pub(crate) fn ensure(
    steps: &mut Steps,
    cache: &Cache,
    engine: &Engine,
    origin: Origin,
    tree: &Path,
) -> Result<Vec<Names>> {
    let ensured = EXAMPLES.iter().map(|example| {
        let base = example.base.ensure(steps, cache, engine, origin, tree)?;
        let packages = example.install_packages(steps, cache, tree)?;
        // The last name of the base changes with its content, if it was built here.
        let base = base.last().map_or(example.base.image, String::as_str);
        example.build(steps, cache, engine, tree, base, &packages)
    });
    ensured.collect()
}

/// Removes the images that the examples stand on, where they were built here.
pub(crate) fn remove_bases(engine: &Engine) -> Result<()> {
    EXAMPLES
        .iter()
        .try_for_each(|example| example.base.remove(engine))
}

impl Example {
    /// Gives the folder of packages; its path has a hash of their pins in it.
    fn install_packages(&self, steps: &mut Steps, cache: &Cache, tree: &Path) -> Result<PathBuf> {
        let folder = tree.join("examples").join(self.folder);
        Ok(match self.language {
            Language::JavaScript => Node::ensure(steps, cache, tree)?
                .modules(steps, cache, self.folder, &folder)?
                .join("node_modules"),
            Language::Python(version) => {
                let pins = folder.join("requirements.txt");
                packages::python_packages(steps, cache, self.folder, &pins, version)?.join("packages")
            }
        })
    }

    fn build(
        &self,
        steps: &mut Steps,
        cache: &Cache,
        engine: &Engine,
        tree: &Path,
        base: &str,
        packages: &Path,
    ) -> Result<Names> {
        let folder = tree.join("examples").join(self.folder);
        let containerfile = folder.join("Containerfile");
        let files: Vec<_> = self.files.iter().map(|file| folder.join(file)).collect();
        let mut parts = Fingerprint::builder();
        parts.text(base).text(&packages.display().to_string());
        for file in files.iter().chain([&containerfile]) {
            parts.file(file)?;
        }
        let repository = format!("{REPOSITORY}/example-{}", self.folder);
        let image = format!("{repository}:{}", parts.finish());
        if !engine.has_image(&image) {
            steps.step(&format!("Build the image of examples/{}", self.folder), |step| {
                let context = cache.scratch("context")?;
                let mut copy = Command::new("cp");
                step.run(copy.arg("-r").args(&files).arg(packages).arg(context.path()))?;
                let argument = format!("{}={base}", self.base_argument);
                let mut build = engine.command(["build", "--quiet", "--build-arg", &argument]);
                build.args(["--tag", &image, "--file"]).arg(&containerfile);
                step.run(build.arg(context.path()))?;
                remove_images(engine, &repository, Some(&image))
            })?;
        }
        let name = format!("{repository}:1");
        engine.tag(&image, &name)?;
        Ok(vec![name, image])
    }
}
