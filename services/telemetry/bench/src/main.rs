//! What the instrumentation layer costs: the same route with nothing, with parts of the layer, with all of it,
//! with its peers in Rust, and on the Node stack that it replaces. `make bench-telemetry` runs it.
//!
//! Each variant is a server in a process of its own. They take turns under the same load for some seconds,
//! round after round, so that what disturbs the machine disturbs all of them; ratios are taken within a
//! round, and their median counts. Load and servers share the machine's cores: throughput and latency are
//! therefore of the pair. CPU per request is the servers' own, but rises with the load of the machine as well.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and nanoseconds of a run are far below 2^52"
)]

mod figures;
mod peer;
mod process;
mod rounds;
mod server;
mod span;
mod table;
mod variant;

use std::{num::NonZeroUsize, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tokio::runtime;

use variant::Variant;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

/// How long to measure. The defaults take about ten minutes.
#[derive(Args)]
struct Options {
    /// Rounds that count, after one that does not.
    #[arg(long, default_value = "11")]
    rounds: NonZeroUsize,
    /// Seconds of load per variant and round.
    #[arg(long, default_value = "4")]
    seconds: NonZeroUsize,
    /// Connections, each with one request under way.
    #[arg(long, default_value = "16")]
    connections: NonZeroUsize,
}

/// What the bench starts itself as.
#[derive(Subcommand)]
enum Role {
    /// Serves the route until it is killed.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        variant: Variant,
    },
    /// Answers requests in process and prints the CPU time that they took.
    #[command(hide = true)]
    Span,
}

fn main() -> ExitCode {
    match start(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("telemetry-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether every target was met.
fn start(cli: &Cli) -> Result<bool> {
    match &cli.role {
        None => runtime()?.block_on(measure(&cli.options)),
        Some(Role::Serve { variant }) => runtime()?.block_on(server::serve(*variant)).map(|()| true),
        Some(Role::Span) => span::spend().map(|()| true),
    }
}

fn runtime() -> std::io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread().enable_all().build()
}

async fn measure(options: &Options) -> Result<bool> {
    let bench = process::Bench::prepare().await?;
    let spans = span::costs(&bench).await?;
    let results = rounds::run(&bench, options).await?;
    table::print(&results);
    Ok(bench_kit::figures::print(&figures::judge(&results, &spans)))
}
