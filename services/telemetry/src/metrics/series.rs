//! Series of what every request records, found by a few comparisons. OpenTelemetry's instruments would hash all labels of each
//! observation anew, and need them as texts of their own.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Series by the one label value that is no constant, such as the route, and by the others.
struct Series<K, H>(RwLock<ByText<K, H>>);

type ByText<K, H> = HashMap<Box<str>, Vec<(K, H)>>;

impl<K, H> Default for Series<K, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Copy + PartialEq, H> Series<K, H> {
    /// Hands the series of these labels to `record`; `find` makes it at the first time.
    fn with(&self, text: &str, others: K, find: impl FnOnce() -> H, record: impl FnOnce(&H)) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let series = known
            .get(text)
            .and_then(|all| all.iter().find(|(key, _)| *key == others));
        if let Some((_, series)) = series {
            return record(series);
        }
        drop(known);
        // Another thread may have been here meanwhile. Then there are two handles on one series, of which one is found.
        let series = find();
        record(&series);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(text.into()).or_default().push((others, series));
    }
}

/// A histogram of durations. Its labels come from small fixed sets.
pub(super) struct Durations<K> {
    family: Option<HistogramVec>,
    series: Series<K, Histogram>,
}

impl<K: Copy + PartialEq> Durations<K> {
    /// `name` as Prometheus shows it.
    pub(super) fn new(registry: &Registry, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> Self {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, labels);
        Self {
            family: registered(registry, name, family),
            series: Series::default(),
        }
    }

    /// `labels` gives the values in the order of the labels' names; of them `text` may be anything and `others` are the rest.
    pub(super) fn record<const N: usize>(
        &self,
        text: &str,
        others: K,
        labels: impl FnOnce() -> [String; N],
        duration: Duration,
    ) {
        let Some(family) = &self.family else {
            return;
        };
        self.series.with(
            text,
            others,
            || family.with_label_values(&labels()),
            |series| series.observe(duration.as_secs_f64()),
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
            self.series.with(
                label,
                (),
                || family.with_label_values(&[label]),
                |series| series.add(change),
            );
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
