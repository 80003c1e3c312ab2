//! `tracewell-operator`: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser as _;
use kube::CustomResourceExt as _;
use platform_core::api::Platform;
use platform_operator::{
    cluster::{KubeCluster, connect},
    diff, lint,
    manifest::{self, Manifest},
    render, run,
    settings::{Cli, Command, ManifestArgs, RunArgs, VERSION},
};
use tokio::runtime;
use tracewell_telemetry::{ServiceInfo, Telemetry};

/// `diff` found differences.
const DIFFERENCES: u8 = 1;

/// The Platform breaks rules.
const BROKEN_RULES: u8 = 1;

/// Something went wrong. Like kubectl diff: above the code that says that there are differences.
const FAILURE: u8 = 2;

fn main() -> ExitCode {
    // With two providers in the tree, rustls would panic at the first handshake (rustls/rustls#2070); there is one, and
    // this names it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => run_operator(arguments),
        Command::Crd => print_crd(),
        Command::Render(arguments) => render_manifest(&arguments),
        Command::Lint(arguments) => lint_manifest(&arguments),
        Command::Diff(arguments) => diff_manifest(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("Error: {error:#}");
        ExitCode::from(FAILURE)
    })
}

fn run_operator(arguments: RunArgs) -> anyhow::Result<ExitCode> {
    // Two threads: the probes answer while a reconcile computes.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let telemetry = Telemetry::init(ServiceInfo::new("tracewell-operator", VERSION))?;
    runtime.block_on(run::run(arguments, telemetry))?;
    Ok(ExitCode::SUCCESS)
}

fn print_crd() -> anyhow::Result<ExitCode> {
    print!("{}", serde_saphyr::to_string(&Platform::crd())?);
    Ok(ExitCode::SUCCESS)
}

fn render_manifest(arguments: &ManifestArgs) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(&arguments.file)?;
    print!(
        "{}",
        render::render(manifest.platform, &arguments.settings.to_settings())?
    );
    Ok(ExitCode::SUCCESS)
}

fn lint_manifest(arguments: &ManifestArgs) -> anyhow::Result<ExitCode> {
    let written = manifest::read_written(&arguments.file)?;
    let violations = lint::lint(&written, &arguments.settings.to_settings());
    for violation in &violations {
        println!("{}: {violation}", arguments.file.display());
    }
    if violations.is_empty() {
        println!("{}: every rule holds", arguments.file.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(BROKEN_RULES))
}

fn diff_manifest(arguments: &ManifestArgs) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(&arguments.file)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let compared = runtime.block_on(async {
        let (client, namespace) = connect().await?;
        let cluster = KubeCluster::new(client, None);
        anyhow::Ok(diff::diff(&cluster, &manifest, &namespace, &arguments.settings.to_settings()).await?)
    })?;
    print!("{}", diff::explain(&compared.changes));
    Ok(if compared.changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENCES)
    })
}
