//! What a scraper gets: the text format of Prometheus, or `OpenMetrics`, which has a place for exemplars. The `prometheus`
//! crate writes the first alone, and bounds of buckets as no other client does (`1` for `1.0`): then a series would change
//! its name with the format.

use std::{borrow::Cow, fmt, sync::Arc, time::UNIX_EPOCH};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplars::{Buckets, Exemplar};

/// A format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>
    Text,
    /// Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Format {
    /// The one for a scraper that accepts these media types.
    pub(crate) fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus::TEXT_FORMAT,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes `families`. `exemplars` knows those of a histogram by its name and labels.
pub(super) fn write(
    families: &[MetricFamily],
    format: Format,
    exemplars: impl Fn(&str, &[LabelPair]) -> Option<Arc<Buckets>>,
) -> String {
    let mut text = String::new();
    for family in families {
        text.push_str(&head(family, format));
        for metric in family.get_metric() {
            let known = || exemplars(family.name(), metric.get_label());
            let exemplars = (format == Format::OpenMetrics).then(known).flatten();
            for sample in samples(family, metric, exemplars.as_deref()) {
                text.push_str(&sample.to_string());
            }
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn head(family: &MetricFamily, format: Format) -> String {
    let (name, help, kind) = (family.name(), family.help(), family.get_field_type());
    let name = match (format, kind) {
        // The counter's samples have the suffix, the counter itself has not.
        (Format::OpenMetrics, MetricType::COUNTER) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let help = escaped(help, format == Format::OpenMetrics);
    let kind = format!("{kind:?}").to_lowercase();
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// One line.
struct Sample<'a> {
    name: &'a str,
    suffix: &'static str,
    labels: &'a [LabelPair],
    /// Of a bucket.
    bound: Option<f64>,
    value: String,
    exemplar: Option<Exemplar>,
}

fn samples<'a>(family: &'a MetricFamily, metric: &'a Metric, exemplars: Option<&Buckets>) -> Vec<Sample<'a>> {
    let sample = |suffix, value| Sample {
        name: family.name(),
        suffix,
        labels: metric.get_label(),
        bound: None,
        value,
        exemplar: None,
    };
    let histogram = match family.get_field_type() {
        MetricType::HISTOGRAM => metric.get_histogram(),
        MetricType::COUNTER => return vec![sample("", number(metric.get_counter().get_value()))],
        // There are no others: neither this crate nor OpenTelemetry's exporter makes summaries.
        _ => return vec![sample("", number(metric.get_gauge().get_value()))],
    };
    let finite = histogram.get_bucket().iter();
    let finite = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let all = finite.chain([(f64::INFINITY, histogram.get_sample_count())]);
    let buckets = all.enumerate().map(|(place, (bound, count))| Sample {
        bound: Some(bound),
        exemplar: exemplars.and_then(|exemplars| exemplars.last(place)),
        ..sample("_bucket", count.to_string())
    });
    let sum = sample("_sum", number(histogram.get_sample_sum()));
    let count = sample("_count", histogram.get_sample_count().to_string());
    buckets.chain([sum, count]).collect()
}

impl fmt::Display for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.suffix)?;
        let labels = self.labels.iter();
        let labels = labels.map(|label| format!("{}=\"{}\"", label.name(), escaped(label.value(), true)));
        let bound = self.bound.map(|bound| format!("le=\"{}\"", float(bound)));
        let labels: Vec<_> = labels.chain(bound).collect();
        if !labels.is_empty() {
            write!(f, "{{{}}}", labels.join(","))?;
        }
        write!(f, " {}", self.value)?;
        if let Some(exemplar) = &self.exemplar {
            write!(f, " # {exemplar}")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            value,
            at,
        } = self;
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        write!(
            f,
            "{{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {at:.3}"
        )
    }
}

/// As short as it can be.
fn number(value: f64) -> String {
    if value.is_infinite() {
        float(value)
    } else {
        value.to_string()
    }
}

/// With a point also where it is whole, as bounds are written.
fn float(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => format!("{value:?}"),
    }
}

fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return text.into();
    }
    let text = text.replace('\\', r"\\").replace('\n', r"\n");
    if quotes {
        text.replace('"', r#"\""#).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounter, Opts, Registry};

    use super::*;

    fn families() -> Vec<MetricFamily> {
        let registry = Registry::new();
        let orders = IntCounter::new("orders_total", "Orders \\ \"all\".").unwrap();
        orders.inc_by(3);
        let room = GaugeVec::new(Opts::new("room", "Room."), &["where"]).unwrap();
        room.with_label_values(&["a\"b\\c\nd"]).set(f64::INFINITY);
        let options = HistogramOpts::new("wait_seconds", "Wait.").buckets(vec![0.5, 1.0]);
        let wait = HistogramVec::new(options, &[]).unwrap();
        wait.with_label_values::<&str>(&[]).observe(0.75);
        registry.register(Box::new(orders)).unwrap();
        registry.register(Box::new(room)).unwrap();
        registry.register(Box::new(wait)).unwrap();
        registry.gather()
    }

    #[test]
    fn both_formats_differ_in_names_of_counters_quotes_and_the_end() {
        let text = write(&families(), Format::Text, |_, _| None);
        assert_eq!(
            text,
            r#"# HELP orders_total Orders \\ "all".
# TYPE orders_total counter
orders_total 3
# HELP room Room.
# TYPE room gauge
room{where="a\"b\\c\nd"} +Inf
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.5"} 0
wait_seconds_bucket{le="1.0"} 1
wait_seconds_bucket{le="+Inf"} 1
wait_seconds_sum 0.75
wait_seconds_count 1
"#
        );
        let renamed = text
            .replace("# HELP orders_total", "# HELP orders")
            .replace("# TYPE orders_total", "# TYPE orders")
            .replace(r#""all""#, r#"\"all\""#);
        assert_eq!(
            write(&families(), Format::OpenMetrics, |_, _| None),
            renamed + "# EOF\n"
        );
    }
}
