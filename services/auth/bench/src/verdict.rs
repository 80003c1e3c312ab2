//! The figures with their targets.

use bench_kit::{MEBIBYTE, figures::Figure, statistics::Spread};

use crate::{
    argon,
    rounds::{Results, Round},
};

/// MiB that the service may take in a flood besides what it takes idle and the memory of its hashes: for the connections,
/// for telemetry on its way, and for the database's cache.
const BESIDES: f64 = 32.0;

/// Holds the results against their targets. Without Express its figure is left out.
pub(crate) fn judge(results: &Results) -> Vec<Figure> {
    let of = |reading: fn(&Round) -> f64| Spread::of(results.rounds.iter().map(reading));
    [
        rates(&of),
        flood(&of),
        memory(results, &of),
        express(results),
        start(&of),
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect()
}

fn rates(of: &impl Fn(fn(&Round) -> f64) -> Option<Spread>) -> Option<Vec<Figure>> {
    let ratio = of(|round| round.sign_ins / round.bare)?;
    Some(vec![
        Figure::plain("bare argon2id, hashes/s", of(|round| round.bare)?.to_string()),
        Figure::plain("sign-ins/s", of(|round| round.sign_ins)?.to_string()),
        Figure::against(
            "sign-ins, of bare argon2id",
            ratio.to_string(),
            ">= 0.90",
            ratio.median >= 0.90,
        ),
    ])
}

fn flood(of: &impl Fn(fn(&Round) -> f64) -> Option<Spread>) -> Option<Vec<Figure>> {
    let refused = of(|round| round.flood.refused_p99)?;
    let slower = of(|round| round.flood.me_p99 / round.idle_p99)?;
    Some(vec![
        Figure::plain(
            "flood of 10 x the rate: let in, of the rate",
            of(|round| round.flood.admitted / round.sign_ins)?.to_string(),
        ),
        Figure::against(
            "flood: until 429 or 503, p99, ms",
            refused.to_string(),
            "< 10",
            refused.median < 10.0,
        ),
        Figure::plain(
            "flood: until 429 or 503, the slowest, ms",
            of(|round| round.flood.refused_most)?.to_string(),
        ),
        Figure::plain(
            "GET /v1/me idle, p99, ms",
            of(|round| round.idle_p99)?.to_string(),
        ),
        Figure::against(
            "flood: GET /v1/me p99, of idle",
            slower.to_string(),
            "<= 2",
            slower.median <= 2.0,
        ),
    ])
}

fn memory(results: &Results, of: &impl Fn(fn(&Round) -> f64) -> Option<Spread>) -> Option<Vec<Figure>> {
    let mebibytes = |bytes: f64| bytes / MEBIBYTE;
    let hashes = mebibytes(results.cores as f64 * argon::MEMORY);
    let idle = of(|round| round.fresh.memory / MEBIBYTE)?.median;
    let (peak, most) = (mebibytes(results.peak), idle + hashes + BESIDES);
    Some(vec![
        Figure::plain(
            "flood: peak RSS after the first one, MiB",
            format!("{:.1}", mebibytes(results.early_peak)),
        ),
        Figure::against(
            "flood: peak RSS after all, MiB",
            format!("{peak:.1}"),
            format!("<= {most:.0}: {idle:.0} idle, {hashes:.0} of hashes, {BESIDES:.0}"),
            peak <= most,
        ),
    ])
}

fn express(results: &Results) -> Option<Vec<Figure>> {
    let ratios = results.rounds.iter();
    let ratios: Option<Vec<_>> = ratios
        .map(|round| Some(round.express_cpu? / round.me_cpu))
        .collect();
    let ratio = Spread::of(ratios?)?;
    let own = Spread::of(results.rounds.iter().map(|round| round.me_cpu))?;
    Some(vec![
        Figure::plain("GET /v1/me, CPU µs each", own.to_string()),
        Figure::against(
            "GET /v1/me per CPU second, of Express",
            ratio.to_string(),
            ">= 4",
            ratio.median >= 4.0,
        ),
    ])
}

fn start(of: &impl Fn(fn(&Round) -> f64) -> Option<Spread>) -> Option<Vec<Figure>> {
    let memory = of(|round| round.fresh.memory / MEBIBYTE)?;
    let (first, again) = (
        of(|round| round.fresh.first_start)?,
        of(|round| round.fresh.restart)?,
    );
    Some(vec![
        Figure::against(
            "idle RSS, MiB",
            memory.to_string(),
            "<= 16",
            memory.median <= 16.0,
        ),
        Figure::plain(
            "idle RSS without the program's file, MiB",
            of(|round| round.fresh.own_memory / MEBIBYTE)?.to_string(),
        ),
        Figure::against(
            "cold start until ready, empty folder, ms",
            first.to_string(),
            "<= 100",
            first.median <= 100.0,
        ),
        Figure::against(
            "cold start until ready, with its data, ms",
            again.to_string(),
            "<= 100",
            again.median <= 100.0,
        ),
    ])
}
