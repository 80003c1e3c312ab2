//! Exemplars: for each bucket of a histogram the trace of an observation that fell into it, so that from a slow bucket
//! one gets to a slow request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use prometheus::proto::LabelPair;

/// One observation, and the span in which it was made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) value: f64,
    pub(super) at: SystemTime,
}

/// The last exemplar of each bucket of one series.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Upper bounds of all buckets but the last, which has none.
    bounds: Arc<[f64]>,
    last: Box<[Mutex<Option<Exemplar>>]>,
}

impl Buckets {
    fn new(bounds: Arc<[f64]>) -> Self {
        let last = (0..=bounds.len()).map(|_| Mutex::default());
        Self {
            last: last.collect(),
            bounds,
        }
    }

    /// Keeps an observation made in `span`, if that is in the tracing backend. Requests pass here, so nobody waits: of two
    /// at the same moment one is as good an example as the other.
    pub(super) fn keep(&self, duration: Duration, span: &SpanContext) {
        if !span.is_sampled() {
            return;
        }
        let value = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(Ok(mut last)) = self.last.get(bucket).map(Mutex::try_lock) {
            *last = Some(Exemplar {
                trace_id: span.trace_id(),
                span_id: span.span_id(),
                value,
                at: SystemTime::now(),
            });
        }
    }

    /// Of the bucket in this place.
    pub(super) fn last(&self, bucket: usize) -> Option<Exemplar> {
        let last = self.last.get(bucket)?;
        last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The exemplars of all series of one metric.
#[derive(Debug)]
pub(super) struct Exemplars {
    metric: String,
    labels: Vec<String>,
    bounds: Arc<[f64]>,
    /// By the values of the labels.
    series: Mutex<HashMap<Vec<String>, Arc<Buckets>>>,
}

impl Exemplars {
    /// Of a histogram with these names of labels and these upper bounds of buckets, in ascending order.
    pub(super) fn new(metric: &str, labels: &[&str], bounds: &[f64]) -> Self {
        Self {
            metric: metric.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            bounds: bounds.into(),
            series: Mutex::default(),
        }
    }

    /// The buckets of the series with these values, in the order of the labels' names.
    pub(super) fn of(&self, values: &[String]) -> Arc<Buckets> {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Buckets::new(self.bounds.clone()));
        series.entry(values.to_vec()).or_insert_with(new).clone()
    }

    /// Those of the series with these labels, which may be in another order, if `metric` is this one.
    pub(super) fn find(&self, metric: &str, labels: &[LabelPair]) -> Option<Arc<Buckets>> {
        if metric != self.metric {
            return None;
        }
        let value = |name: &String| {
            let label = labels.iter().find(|label| label.name() == name)?;
            Some(label.value().to_owned())
        };
        let values: Vec<_> = self.labels.iter().map(value).collect::<Option<_>>()?;
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.get(&values).cloned()
    }
}
