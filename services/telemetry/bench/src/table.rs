//! The tables: what was measured, and how it compares.

use bench_kit::{MEBIBYTE, statistics::Spread};

use crate::{
    rounds::{Measured, Results, Sample},
    variant::Variant,
};

/// Prints the medians of all variants, then their ratios.
pub(crate) fn print(results: &Results) {
    println!();
    println!(
        "{:<30} {:>10} {:>8} {:>8} {:>12} {:>8} {:>10} {:>14} {:>8}",
        "variant (medians)",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/req",
        "RSS MiB",
        "spans/req",
        "trans./1000 req",
        "profiles"
    );
    for (variant, measured) in &results.measured {
        print_medians(*variant, measured);
    }
    println!();
    println!(
        "{:<30} {:>22} {:>22} {:>22} {:>8}",
        "ratio, median [range]", "throughput", "p99", "CPU per request", "RSS MiB"
    );
    for variant in results
        .measured
        .keys()
        .filter(|variant| **variant != variant.baseline())
    {
        print_ratios(results, *variant);
    }
}

fn print_medians(variant: Variant, measured: &Measured) {
    let requests = measured.requests() as f64;
    let received = measured.received;
    println!(
        "{:<30} {:>10.0} {:>8.2} {:>8.2} {:>12.1} {:>8.1} {:>10.2} {:>14.1} {:>8}",
        variant.label(),
        measured.median(|sample| sample.throughput),
        measured.median(|sample| sample.p50),
        measured.median(|sample| sample.p99),
        measured.median(|sample| sample.cpu),
        measured.memory as f64 / MEBIBYTE,
        received.spans as f64 / requests,
        1000.0 * received.transactions as f64 / requests,
        received.profile_chunks,
    );
}

fn print_ratios(results: &Results, variant: Variant) {
    let ratio = |reading: fn(&Sample) -> f64| {
        let spread = results.ratio(variant, variant.baseline(), reading);
        spread.as_ref().map(Spread::to_string).unwrap_or_default()
    };
    let memory = results
        .more_memory(variant, variant.baseline())
        .unwrap_or(f64::NAN);
    println!(
        "{:<30} {:>22} {:>22} {:>22} {:>+8.1}",
        variant.label(),
        ratio(|sample| sample.throughput),
        ratio(|sample| sample.p99),
        ratio(|sample| sample.cpu),
        memory / MEBIBYTE,
    );
}
