//! `make test`, `make lint` and `make bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::assets;
use crate::cache::Cache;
use crate::cluster::{self, Cluster};
use crate::codegen;
use crate::programs;
use crate::steps::Steps;

/// Crates of which a second version would split global state (tracer provider, crypto provider, client types).
const ONE_COPY: [&str; 8] = [
    "axum",
    "kube-core",
    "k8s-openapi",
    "opentelemetry",
    "opentelemetry_sdk",
    "ring",
    "rustls",
    "tracing-core",
];

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    #[arg(value_enum, default_value_t)]
    what: Bench,
    /// Passed on to the bench: `bench operator -- --platforms 100`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What is measured.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Bench {
    /// The auth service beside bare argon2id and the Express service that it replaces, without a cluster
    Auth,
    /// The operator and the journey of a request, on the running cluster
    #[default]
    Cluster,
    /// The operator with a thousand Platforms, on a control plane without nodes
    Operator,
    /// What the telemetry layer costs a service, without a cluster
    Telemetry,
}

#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Leave out the journeys on kind; refused in CI.
    #[arg(long)]
    without_cluster: bool,
}

/// Everything, weakest first: lints, tests without a cluster, the real API server, journeys on kind.
pub(crate) fn test(args: &TestArgs) -> Result<()> {
    ensure!(
        !(args.without_cluster && std::env::var_os("CI").is_some()),
        "--without-cluster skips the journeys on kind, and in CI nothing may be skipped"
    );
    if args.without_cluster {
        cluster::preflight_without_cluster()?;
    } else {
        cluster::preflight()?;
    }
    let mut steps = Steps::new("test")?;
    let assets = assets::ensure(&mut steps, cluster::tree())?;
    check(&mut steps)?;
    // One choice of packages for every build: with another, cargo would choose other features and compile them again.
    let mut without_cluster = cargo(&["test", "--locked", "--no-fail-fast", "--workspace"]);
    without_cluster.env("TRACEWELL_ASSETS", &assets);
    let title = "Test laws, golden files, the fake cluster, a real API server and the services";
    let mut tally = suite(&mut steps, title, without_cluster)?;
    if args.without_cluster {
        println!("!!! SKIPPED: the journeys on kind (--without-cluster)");
        tally.skipped += 1;
    } else {
        let cluster = running_cluster(&mut steps)?;
        let journeys = cargo(&["test", "--locked", "--workspace", "--test", "journeys"]);
        let journeys = cluster.command_env(journeys);
        tally.add(&suite(&mut steps, "Test journeys on kind", journeys)?);
    }
    steps.finish();
    println!(
        "\n{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    Ok(())
}

/// What [`test`] installs before it starts.
pub(crate) fn assets() -> Result<()> {
    cluster::preflight_without_cluster()?;
    let mut steps = Steps::new("assets")?;
    let folder = assets::ensure(&mut steps, cluster::tree())?;
    steps.finish();
    println!("\nTRACEWELL_ASSETS={}", folder.display());
    Ok(())
}

/// Formatting, clippy, scripts, dependencies and generated files.
pub(crate) fn lint() -> Result<()> {
    let mut steps = Steps::new("lint")?;
    assets::install_packages(&mut steps)?;
    check(&mut steps)?;
    steps.finish();
    Ok(())
}

/// The figures of docs/benchmarks.md.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    let mut steps = Steps::new("bench")?;
    let mut bench = match args.what {
        Bench::Auth => auth_bench(&mut steps)?,
        Bench::Cluster => cluster_bench(&mut steps)?,
        Bench::Operator => operator_bench(&mut steps)?,
        Bench::Telemetry => telemetry_bench(&mut steps)?,
    };
    steps.finish();
    let status = bench
        .args(&args.arguments)
        .status()
        .context("cannot start the bench")?;
    ensure!(status.success(), "the bench failed ({status})");
    Ok(())
}

fn cluster_bench(steps: &mut Steps) -> Result<Command> {
    let programs = steps.step("Build the bench", programs::build)?;
    let cluster = running_cluster(steps)?;
    Ok(cluster.command_env(Command::new(programs.join("bench"))))
}

fn operator_bench(steps: &mut Steps) -> Result<Command> {
    let programs = release_programs(
        steps,
        "Build the operator and its bench",
        &[
            ("platform-operator", "tracewell-operator"),
            ("operator-bench", "operator-bench"),
        ],
    )?;
    let assets = assets::ensure_operator_bench(steps, cluster::tree())?;
    let mut bench = Command::new(programs.join("operator-bench"));
    bench.env("TRACEWELL_ASSETS", assets);
    bench.arg("--operator").arg(programs.join("tracewell-operator"));
    Ok(bench)
}

fn auth_bench(steps: &mut Steps) -> Result<Command> {
    let programs = release_programs(
        steps,
        "Build the auth service and its bench",
        &[("tracewell-auth", "tracewell-auth"), ("auth-bench", "auth-bench")],
    )?;
    let modules = assets::ensure_bench_node(steps, cluster::tree())?;
    let mut bench = Command::new(programs.join("auth-bench"));
    bench.env("TRACEWELL_BENCH_NODE", modules);
    bench.arg("--service").arg(programs.join("tracewell-auth"));
    Ok(bench)
}

fn telemetry_bench(steps: &mut Steps) -> Result<Command> {
    let title = "Build the telemetry bench";
    let programs = release_programs(steps, title, &[("telemetry-bench", "telemetry-bench")])?;
    let modules = assets::ensure_bench_node(steps, cluster::tree())?;
    let mut bench = Command::new(programs.join("telemetry-bench"));
    bench.env("TRACEWELL_BENCH_NODE", modules);
    Ok(bench)
}

/// Builds programs, each of a package, for release as the images are: a debug build would measure the lack of
/// optimisation. Gives the folder that they are in.
fn release_programs(steps: &mut Steps, title: &str, programs: &[(&str, &str)]) -> Result<PathBuf> {
    let cache = Cache::open()?;
    let mut build = programs::release("build", &cache);
    build.current_dir(cluster::tree());
    for (package, program) in programs {
        build.args(["--package", package, "--bin", program]);
    }
    steps.run(title, &mut build)?;
    Ok(programs::release_folder(&cache))
}

fn running_cluster(steps: &mut Steps) -> Result<Cluster> {
    let cluster = cluster::ensure(steps)?;
    cluster.install(steps)?;
    cluster.apply_demo(steps)?;
    Ok(cluster)
}

fn check(steps: &mut Steps) -> Result<()> {
    steps.run("Check the formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    steps.run("Check the scripts with shellcheck", &mut shellcheck()?)?;
    one_copy_each(&fs::read_to_string("Cargo.lock")?)?;
    let mut cargo_deny = Command::new(assets::ensure_cargo_deny(steps, cluster::tree())?);
    steps.run(
        "Check licences, bans and sources with cargo-deny",
        cargo_deny.args(["--locked", "check", "bans", "licenses", "sources"]),
    )?;
    steps.run(
        "Check the code with clippy",
        &mut cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    steps.step("Check the generated files", codegen::check)
}

/// Runs a test command as a step and counts its tests; a failing one is shown with what it printed.
fn suite(steps: &mut Steps, title: &str, mut command: Command) -> Result<Tally> {
    steps.step(title, |step| {
        let outcome = step.run(&mut command);
        let printed = step.printed()?;
        let tally = Tally::of(&printed);
        if outcome.is_err() && tally.failed > 0 {
            println!("{}", failures(&printed));
            bail!("{} passed, {} failed", tally.passed, tally.failed);
        }
        outcome?;
        ensure!(tally.passed > 0, "no test ran");
        Ok(tally)
    })
}

/// How many tests did what.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Adds up the closing lines of `cargo test`: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn of(printed: &str) -> Self {
        let mut sum = Self::default();
        for line in printed.lines().filter(|line| line.starts_with("test result:")) {
            for part in line.split(['.', ';']) {
                let mut words = part.split_whitespace();
                let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u64>), words.next())
                else {
                    continue;
                };
                match what {
                    "passed" => sum.passed += count,
                    "failed" => sum.failed += count,
                    "ignored" => sum.skipped += count,
                    _ => {}
                }
            }
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What the failing tests printed: each section between `---- NAME stdout ----` and the list of names.
fn failures(printed: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in printed.lines() {
        if line.starts_with("---- ") {
            inside = true;
        } else if line == "failures:" {
            inside = false;
        }
        if inside {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Fails where Cargo.lock holds a crate of [`ONE_COPY`] in two versions.
fn one_copy_each(lock: &str) -> Result<()> {
    for name in ONE_COPY {
        let copies = lock
            .lines()
            .filter(|line| *line == format!("name = \"{name}\""))
            .count();
        ensure!(
            copies == 1,
            "Cargo.lock has {copies} copies of {name}, and there must be one: `cargo tree -i {name}`"
        );
    }
    Ok(())
}

fn shellcheck() -> Result<Command> {
    let mut command = Command::new("shellcheck");
    command.arg(".ci/run").args(scripts_in(Path::new("cluster"))?);
    Ok(command)
}

fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            scripts.extend(scripts_in(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sh") {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_all_test_binaries_are_added_up() {
        let tally = Tally::of(
            "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: FAILED. 1 passed; 3 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.1s\n",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (3, 3, 4));
    }

    #[test]
    fn a_failing_test_is_shown_with_what_it_printed() {
        let printed = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nboom\n\nfailures:\n    a\n";
        assert_eq!(failures(printed), "---- a stdout ----\nboom\n");
    }

    #[test]
    fn a_second_copy_of_a_crate_is_named() {
        let two = "name = \"axum\"\n\nname = \"axum\"\n";
        assert!(
            one_copy_each(two)
                .unwrap_err()
                .to_string()
                .contains("2 copies of axum")
        );
    }
}
