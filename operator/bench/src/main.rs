//! What the operator needs: the real one, on a real control plane whose one node is pretended by kwok, beside a loop of
//! bare server-side applies of the same objects. `make bench-operator` runs it.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes of a run are far below 2^52"
)]

mod audit;
mod edits;
mod foreign;
mod journal;
mod observer;
mod platforms;
mod rest;
mod scale;
mod units;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use tracewell_e2e::figures::{self, Figure};

use units::mebibytes;
use world::World;

/// How much to measure. The defaults take about half an hour.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// The operator's program, a release build.
    #[arg(long)]
    operator: PathBuf,
    /// Platforms of four services.
    #[arg(long, default_value_t = 1000)]
    platforms: usize,
    /// How long to watch the operator at rest, in seconds.
    #[arg(long, default_value_t = 600)]
    rest: u64,
    /// `ConfigMap`s and Secrets of others.
    #[arg(long, default_value_t = 50_000)]
    foreign: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    // With two providers in the tree, rustls would panic at the first handshake (rustls/rustls#2070); there is one, and
    // this names it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match measure(&Options::parse()).await {
        Ok(figures) => {
            figures::print(&figures);
            if figures.iter().all(Figure::holds) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("operator-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let bare = async || {
        eprintln!(
            "applying the objects of {} Platforms without an operator",
            options.platforms
        );
        scale::bare(&options.operator, options.platforms).await
    };
    let before = bare().await?;
    let (available, figures) = measure_operator(options).await?;
    // Once more: what a machine gives drifts within the half hour.
    let after = bare().await?;
    let mut all = scale::compare(available, before, after);
    all.extend(figures);
    Ok(all)
}

/// How long the operator took until all was available, and everything else.
async fn measure_operator(options: &Options) -> Result<(Duration, Vec<Figure>)> {
    let platforms = options.platforms;
    let world = World::start(&options.operator).await?;
    let mut operator = world.start_operator().await?;
    world.settled().await?;
    let empty = mebibytes(operator.usage()?.resident);
    let mut figures = vec![Figure::at_most(
        "resident memory without a Platform",
        empty,
        24.0,
        "<= 24 MiB",
        format!("{empty:.1} MiB"),
    )];
    eprintln!("applying {platforms} Platforms");
    let (available, of_scale) = scale::platforms(&world, &operator, platforms).await?;
    figures.extend(of_scale);
    eprintln!("watching the operator at rest for {} s", options.rest);
    figures.extend(rest::at_rest(&world, &operator, Duration::from_secs(options.rest)).await?);
    eprintln!("restarting the operator");
    figures.extend(rest::restart(&world, &mut operator, platforms).await?);
    eprintln!("editing");
    figures.extend(edits::writes(&world, platforms).await?);
    figures.extend(edits::latency(&world, platforms).await?);
    eprintln!("creating {} objects of others", options.foreign);
    figures.extend(foreign::cost(&world, &operator, options.foreign).await?);
    Ok((available, figures))
}
