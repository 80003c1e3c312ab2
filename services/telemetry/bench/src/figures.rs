//! The figures with their targets, and whether each was met.

use bench_kit::{MEBIBYTE, figures::Figure, statistics::Spread};

use crate::{rounds::Results, span::SpanCosts, variant::Variant};

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
            ">= 0.95",
            throughput.median >= 0.95,
        ),
        Figure::against(
            "all on: p99, of that with nothing",
            p99.to_string(),
            "<= 1.05",
            p99.median <= 1.05,
        ),
        Figure::against(
            "all on: more resident memory, MiB",
            format!("{memory:.1}"),
            "<= 12",
            memory <= 12.0,
        ),
    ])
}

fn span(spans: &SpanCosts) -> Vec<Figure> {
    vec![
        Figure::against(
            "one server span on the request's thread, µs of CPU",
            spans.request.to_string(),
            "<= 2",
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
