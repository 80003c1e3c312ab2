//! What an OpenTelemetry collector counts, read from its metrics in Prometheus' text format.

use platform_core::evidence::Counters;

/// Sums up the spans that a collector counted since it started.
pub(super) fn count(metrics: &str) -> Counters {
    let mut counters = Counters::default();
    for (name, value) in samples(metrics) {
        let counter = match name {
            "otelcol_receiver_accepted_spans" => &mut counters.received,
            "otelcol_receiver_refused_spans" => &mut counters.refused,
            "otelcol_exporter_sent_spans" => &mut counters.sent,
            "otelcol_exporter_send_failed_spans" | "otelcol_exporter_enqueue_failed_spans" => {
                &mut counters.lost
            }
            "otelcol_exporter_queue_size" => &mut counters.waiting,
            _ => continue,
        };
        *counter += value;
    }
    counters
}

/// Bytes that are left on the volume of Jaeger's Badger database; None until it has looked, a minute after its start.
pub(super) fn room(metrics: &str) -> Option<u64> {
    samples(metrics)
        .filter(|(name, _)| {
            name.starts_with("jaeger_storage_badger_") && name.ends_with("_log_bytes_available")
        })
        .map(|(_, value)| value)
        .min()
}

/// Every sample of metrics in Prometheus' text format: its name, without the ending of counters that some versions write,
/// and its value.
pub fn samples(metrics: &str) -> impl Iterator<Item = (&str, u64)> {
    metrics.lines().filter_map(parse)
}

/// Name, without the ending of counters that some versions write, and value of a sample.
fn parse(line: &str) -> Option<(&str, u64)> {
    // What stands behind a # is an exemplar, or the whole line a comment.
    let line = line.split(" # ").next()?;
    let (series, value) = line.rsplit_once(' ')?;
    let name = series.split('{').next()?.trim();
    let value: f64 = value.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count: never negative, and far below 2^53; the cast saturates"
    )]
    let whole = value as u64;
    Some((name.strip_suffix("_total").unwrap_or(name), whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_volume_is_what_badger_says() {
        let metrics = "jaeger_storage_badger_key_log_bytes_available{kind=\"badger\",name=\"traces\"} 4.8767696896e+10\n\
            jaeger_storage_badger_size_bytes_lsm{kind=\"badger\"} 0\n\
            jaeger_storage_badger_value_log_bytes_available{kind=\"badger\",name=\"traces\"} 4.096e+03\n";
        assert_eq!(room(metrics), Some(4096));
        assert_eq!(room("jaeger_storage_badger_size_bytes_lsm 0\n"), None);
    }

    #[test]
    fn counts_are_summed_over_receivers_and_exporters() {
        let metrics = "# HELP otelcol_receiver_accepted_spans_total Number of spans\n\
            otelcol_receiver_accepted_spans_total{receiver=\"otlp\",transport=\"http\"} 12\n\
            otelcol_receiver_accepted_spans_total{receiver=\"otlp\",transport=\"grpc\"} 3\n\
            otelcol_receiver_refused_spans{receiver=\"otlp\"} 1\n\
            otelcol_exporter_sent_spans_total{exporter=\"otlphttp\"} 9\n\
            otelcol_exporter_send_failed_spans_total{exporter=\"otlphttp\"} 2\n\
            otelcol_exporter_queue_size{exporter=\"otlphttp\"} 4\n\
            go_goroutines 40\nnonsense\n";
        let expected = Counters {
            received: 15,
            refused: 1,
            sent: 9,
            lost: 2,
            waiting: 4,
        };
        assert_eq!(count(metrics), expected);
    }
}
