//! The figures with their targets, and whether each was met.

use crate::{rounds::Results, span::SpanCosts, statistics::Spread, table::MEBIBYTE, variant::Variant};

/// One line of the verdict. Without a target it is for reading.
pub(crate) struct Figure {
    what: &'static str,
    measured: String,
    target: String,
    holds: bool,
}

impl Figure {
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    fn against(what: &'static str, measured: String, target: String, holds: bool) -> Self {
        Self {
            what,
            measured,
            target,
            holds,
        }
    }

    fn plain(what: &'static str, measured: String) -> Self {
        Self::against(what, measured, String::new(), true)
    }
}

/// Holds the results against their targets. A figure whose variant did not run is left out.
pub(crate) fn judge(results: &Results, spans: &SpanCosts) -> Vec<Figure> {
    [
        all_on(results).unwrap_or_default(),
        span(spans),
        dead_backends(results).unwrap_or_default(),
        peers(results),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Everything on at 100 % sampling, against nothing.
fn all_on(results: &Results) -> Option<Vec<Figure>> {
    let (all, nothing) = (Variant::All, Variant::Nothing);
    let throughput = results.ratio(all, nothing, |sample| sample.throughput)?;
    let p99 = results.ratio(all, nothing, |sample| sample.p99)?;
    let memory = results.more_memory(all, nothing)? / MEBIBYTE;
    Some(vec![
        Figure::against(
            "all on: throughput, of that with nothing",
            throughput.to_string(),
            ">= 0.95".to_owned(),
            throughput.median >= 0.95,
        ),
        Figure::against(
            "all on: p99, of that with nothing",
            p99.to_string(),
            "<= 1.05".to_owned(),
            p99.median <= 1.05,
        ),
        Figure::against(
            "all on: more resident memory, MiB",
            format!("{memory:.1}"),
            "<= 12".to_owned(),
            memory <= 12.0,
        ),
    ])
}

fn span(spans: &SpanCosts) -> Vec<Figure> {
    vec![
        Figure::against(
            "one server span on the request's thread, µs of CPU",
            spans.request.to_string(),
            "<= 2".to_owned(),
            spans.request.median <= 2.0,
        ),
        Figure::plain("the same with its export, µs of CPU", spans.exported.to_string()),
    ]
}

/// "No measurable change": the median differs less than two equal servers do in some round.
fn dead_backends(results: &Results) -> Option<Vec<Figure>> {
    let dead = |reading| results.ratio(Variant::Dead, Variant::All, reading);
    let noise = |reading| results.ratio(Variant::Control, Variant::Nothing, reading);
    let (throughput, p99) = (dead(|sample| sample.throughput)?, dead(|sample| sample.p99)?);
    let least = 1.0 / noise(|sample| sample.throughput)?.largest_factor();
    let most = noise(|sample| sample.p99)?.largest_factor();
    Some(vec![
        Figure::against(
            "backends dead: throughput, of that with live ones",
            throughput.to_string(),
            format!(">= {least:.3}, the noise"),
            throughput.median >= least,
        ),
        Figure::against(
            "backends dead: p99, of that with live ones",
            p99.to_string(),
            format!("<= {most:.3}, the noise"),
            p99.median <= most,
        ),
    ])
}

/// CPU time of the telemetry alone is what is left when the route's own is taken away.
fn peers(results: &Results) -> Vec<Figure> {
    let added = |variant: Variant| {
        let own = results.of(variant)?.samples.iter();
        let route = results.of(variant.baseline())?.samples.iter();
        Spread::of(own.zip(route).map(|(own, route)| own.cpu - route.cpu))
    };
    [
        ("CPU µs that telemetry adds to a request: all on", Variant::All),
        ("the same: opentelemetry tower + sentry", Variant::Peer),
        ("the same: Node", Variant::NodeAll),
    ]
    .into_iter()
    .filter_map(|(what, variant)| Some(Figure::plain(what, added(variant)?.to_string())))
    .collect()
}

/// Prints them, the missed ones marked.
pub(crate) fn print(figures: &[Figure]) {
    println!();
    println!("{:<52} {:>24}  {:<22}", "figure", "measured", "target");
    for Figure {
        what,
        measured,
        target,
        holds,
    } in figures
    {
        let verdict = match (target.is_empty(), holds) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        println!("{what:<52} {measured:>24}  {target:<22} {verdict}");
    }
}
