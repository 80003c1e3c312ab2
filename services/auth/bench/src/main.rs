//! What the auth service gives and takes: sign-ins beside bare argon2id, everybody else during a flood of sign-ins,
//! `GET /v1/me` beside the Express service that it replaces, and how small and how soon ready it is. `make bench-auth`
//! runs it.
//!
//! The service is its release binary in a process of its own, with all of its telemetry on. What is compared takes
//! turns, round after round, so that what disturbs the machine disturbs all of it; ratios are taken within a round, and
//! their median counts. Load and servers share the machine's cores.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and nanoseconds of a run are far below 2^52"
)]

mod accounts;
mod argon;
mod flood;
mod rounds;
mod servers;
mod verdict;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use tokio::runtime;

#[derive(Parser)]
#[command(about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Option<Options>,
}

/// How long to measure. The defaults take about four minutes.
#[derive(Args)]
struct Options {
    /// The service's program.
    #[arg(long)]
    service: PathBuf,
    /// Rounds that count, after one that does not.
    #[arg(long, default_value = "7")]
    rounds: NonZeroUsize,
    /// Seconds of load for each part of a round.
    #[arg(long, default_value = "4")]
    seconds: NonZeroUsize,
}

/// What the bench starts itself as.
#[derive(Subcommand)]
enum Role {
    /// Hashes on so many threads for so long, and prints how many a second.
    #[command(hide = true)]
    Hash {
        #[arg(long)]
        threads: usize,
        #[arg(long)]
        milliseconds: u64,
    },
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("auth-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether every target was met.
fn start(cli: Cli) -> Result<bool> {
    if let Some(Role::Hash {
        threads,
        milliseconds,
    }) = cli.role
    {
        println!("{}", argon::rate(threads, Duration::from_millis(milliseconds))?);
        return Ok(true);
    }
    let options = cli.options.context("--service must name the service's program")?;
    runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(measure(options))
}

async fn measure(options: Options) -> Result<bool> {
    let bench = servers::Bench::prepare(options.service).await?;
    let seconds = options.seconds.get().try_into()?;
    let results = rounds::run(&bench, options.rounds.get(), Duration::from_secs(seconds)).await?;
    Ok(bench_kit::figures::print(&verdict::judge(&results)))
}
