//! Series of what every request records, found by a few comparisons. OpenTelemetry's instruments would hash all labels of each
//! observation anew, and need them as texts of their own.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use opentelemetry::trace::SpanContext;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

use super::exemplars::{Buckets, Exemplars};

/// Series by the one label value that is no constant, such as the route, and by the others.
struct Series<K, H>(RwLock<ByText<K, H>>);

type ByText<K, H> = HashMap<Box<str>, Vec<(K, H)>>;

impl<K, H> Default for Series<K, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

/// Texts that a metric tells apart. A service may call as many others as its customers have.
const MAX_TEXTS: usize = 2000;

/// Stands for all further texts, as for methods in OpenTelemetry's conventions.
const OTHER: &str = "_OTHER";

impl<K: PartialEq, H> Series<K, H> {
    /// Hands the series of these labels to `record`; `find` makes it at the first time.
    fn with(&self, text: &str, others: K, find: impl FnOnce(&str) -> H, record: impl FnOnce(&H)) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let text = match known.len() {
            MAX_TEXTS.. if !known.contains_key(text) => OTHER,
            _ => text,
        };
        let of_text = known.get(text).into_iter().flatten();
        if let Some((_, series)) = of_text.into_iter().find(|(key, _)| *key == others) {
            return record(series);
        }
        drop(known);
        // Another thread may have been here meanwhile. Then there are two handles on one series, of which one is found.
        let series = find(text);
        record(&series);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(text.into()).or_default().push((others, series));
    }
}

/// A histogram of durations. All labels but one come from small fixed sets.
pub(super) struct Durations<K> {
    family: Option<HistogramVec>,
    series: Series<K, Observed>,
    pub(super) exemplars: Exemplars,
}

struct Observed {
    histogram: Histogram,
    exemplars: Arc<Buckets>,
}

impl<K: PartialEq> Durations<K> {
    /// `name` as Prometheus shows it.
    pub(super) fn new(registry: &Registry, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> Self {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, labels);
        Self {
            family: registered(registry, name, family),
            series: Series::default(),
            exemplars: Exemplars::new(name, labels, buckets),
        }
    }

    /// `labels` gives the values in the order of the labels' names, of which `others` are all but the text that it is given: `text`,
    /// or what stands for too many.
    pub(super) fn record<const N: usize>(
        &self,
        text: &str,
        others: K,
        labels: impl FnOnce(&str) -> [String; N],
        duration: Duration,
        span: &SpanContext,
    ) {
        let Some(family) = &self.family else {
            return;
        };
        self.series.with(
            text,
            others,
            |text| {
                let labels = labels(text);
                Observed {
                    histogram: family.with_label_values(&labels),
                    exemplars: self.exemplars.of(&labels),
                }
            },
            |series| {
                series.histogram.observe(duration.as_secs_f64());
                series.exemplars.keep(duration, span);
            },
        );
    }
}

/// A number that goes up and down, by one label.
pub(super) struct Gauge {
    family: Option<IntGaugeVec>,
    series: Series<(), IntGauge>,
}

impl Gauge {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, label: &str) -> Self {
        let family = IntGaugeVec::new(Opts::new(name, help), &[label]);
        Self {
            family: registered(registry, name, family),
            series: Series::default(),
        }
    }

    pub(super) fn add(&self, label: &str, change: i64) {
        if let Some(family) = &self.family {
            let find = |label: &str| family.with_label_values(&[label]);
            self.series.with(label, (), find, |series| series.add(change));
        }
    }
}

/// The metric once `registry` shows it. Nothing but a name used twice keeps it from that; the service goes on without the metric.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    name: &str,
    metric: prometheus::Result<C>,
) -> Option<C> {
    let registered = metric.and_then(|metric| {
        registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    });
    registered
        .inspect_err(|error| tracing::error!(name, %error, "a metric is missing"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_the_limit_share_a_series_and_known_ones_keep_theirs() {
        let registry = Registry::new();
        let durations = Durations::new(&registry, "seconds", "Seconds.", &[1.0], &["server", "status"]);
        let record = |server: &str| {
            let labels = |server: &str| [server.to_owned(), "200".to_owned()];
            let wait = Duration::from_millis(1);
            durations.record(server, 200, labels, wait, &SpanContext::NONE);
        };
        for number in 0..MAX_TEXTS + 10 {
            record(&number.to_string());
        }
        record("0");
        let [family] = &registry.gather()[..] else {
            panic!("one metric")
        };
        let count = |server: &str| {
            let mut series = family.get_metric().iter();
            let series = series.find(|series| series.get_label()[0].value() == server)?;
            Some(series.get_histogram().get_sample_count())
        };
        assert_eq!(family.get_metric().len(), MAX_TEXTS + 1);
        assert_eq!(
            (count("0"), count("1999"), count("2000"), count(OTHER)),
            (Some(2), Some(1), None, Some(10))
        );
    }
}
