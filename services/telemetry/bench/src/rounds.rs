//! The rounds: every server under the same load in turn, again and again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bench_kit::{
    load::{self, Requests},
    sink::Counts,
    statistics::Spread,
};
use clap::ValueEnum;
use http::{Request, header::HOST};

use crate::{
    Options,
    process::{Bench, Server},
    server::PLANS,
    variant::Variant,
};

/// One server in one round.
pub(crate) struct Sample {
    pub(crate) requests: u64,
    /// Requests a second.
    pub(crate) throughput: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// CPU time of the server for each request, in microseconds, with all that its telemetry does later.
    pub(crate) cpu: f64,
}

/// One server in all rounds that count.
pub(crate) struct Measured {
    pub(crate) samples: Vec<Sample>,
    /// Resident bytes after the last round.
    pub(crate) memory: u64,
    /// What its backends got meanwhile.
    pub(crate) received: Counts,
}

/// What was measured, by variant.
pub(crate) struct Results {
    pub(crate) measured: BTreeMap<Variant, Measured>,
}

/// Reads one figure of a sample.
pub(crate) type Reading = fn(&Sample) -> f64;

impl Measured {
    pub(crate) fn requests(&self) -> u64 {
        self.samples.iter().map(|sample| sample.requests).sum()
    }

    pub(crate) fn median(&self, reading: Reading) -> f64 {
        Spread::of(self.samples.iter().map(reading)).map_or(f64::NAN, |spread| spread.median)
    }
}

impl Results {
    pub(crate) fn of(&self, variant: Variant) -> Option<&Measured> {
        self.measured.get(&variant)
    }

    /// A figure of `this` over that of `that`, round by round.
    pub(crate) fn ratio(&self, this: Variant, that: Variant, reading: Reading) -> Option<Spread> {
        let these = self.of(this)?.samples.iter().map(reading);
        Spread::of_ratios(these, self.of(that)?.samples.iter().map(reading))
    }

    /// Bytes that `this` takes more than `that`.
    pub(crate) fn more_memory(&self, this: Variant, that: Variant) -> Option<f64> {
        Some(self.of(this)?.memory as f64 - self.of(that)?.memory as f64)
    }
}

/// Starts every server, lets them take turns, and stops them.
pub(crate) async fn run(bench: &Bench, options: &Options) -> Result<Results> {
    let mut servers = start(bench).await?;
    let (rounds, seconds, connections) = (
        options.rounds.get(),
        options.seconds.get(),
        options.connections.get(),
    );
    println!(
        "{rounds} rounds of {seconds} s per variant, {connections} connections; load, backends and servers share {} cores",
        std::thread::available_parallelism()?
    );
    let duration = Duration::from_secs(seconds.try_into()?);
    let mut samples: BTreeMap<Variant, Vec<Sample>> = BTreeMap::new();
    let mut before = BTreeMap::new();
    for round in 0..=rounds {
        eprintln!("round {round} of {rounds}");
        for (variant, server) in &servers {
            let sample = measure(server, connections, duration)
                .await
                .with_context(|| format!("{}, round {round}", variant.label()))?;
            if round == 0 {
                // Caches, pools and compilers are warm from here on.
                before.insert(*variant, bench.sink.counts(*variant as usize));
            } else {
                samples.entry(*variant).or_default().push(sample);
            }
        }
        // Back and forth: nobody always runs right after the same neighbour.
        servers.reverse();
    }
    let mut measured = BTreeMap::new();
    for (variant, server) in servers {
        let counts = bench.sink.counts(variant as usize);
        measured.insert(
            variant,
            Measured {
                samples: samples.remove(&variant).unwrap_or_default(),
                memory: server.process.memory()?,
                received: counts.since(before.get(&variant).copied().unwrap_or_default()),
            },
        );
    }
    Ok(Results { measured })
}

async fn start(bench: &Bench) -> Result<Vec<(Variant, Server)>> {
    let mut servers = Vec::new();
    for variant in Variant::value_variants() {
        match bench.serve(*variant).await? {
            Some(server) => servers.push((*variant, server)),
            None => eprintln!(
                "left out, since TRACEWELL_BENCH_NODE is unset: {}",
                variant.label()
            ),
        }
    }
    Ok(servers)
}

async fn measure(server: &Server, connections: usize, duration: Duration) -> Result<Sample> {
    let before = server.process.cpu()?;
    let outcome = load::run(server.address, connections, duration, &plans()).await?;
    server.process.settle().await?;
    let cpu = server.process.cpu()?.saturating_sub(before);
    Ok(Sample {
        requests: outcome.requests,
        throughput: outcome.throughput(),
        p50: outcome.latency_at(0.5),
        p99: outcome.latency_at(0.99),
        cpu: cpu.as_secs_f64() * 1e6 / outcome.requests as f64,
    })
}

/// One plan after the other.
fn plans() -> Requests {
    Arc::new(|number| {
        Request::get(format!("/v1/plans/plan-{}", number % PLANS))
            .header(HOST, "bench")
            .body(http_body_util::Full::default())
    })
}
