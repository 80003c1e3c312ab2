//! The operator's own metrics.

use std::{sync::LazyLock, time::Duration};

use platform_core::{diff::Cause, kinds::Kind, step::FailureCategory};
use tracewell_telemetry::{Counter, Histogram, counter, histogram};

use super::ReconcileError;

/// Bucket bounds in seconds: from a reconcile that finds nothing to do to one whose every request is slow.
const DURATION_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

static RECONCILES: LazyLock<Counter> =
    LazyLock::new(|| counter("tracewell.operator.reconciles", "Reconciles by result."));
static DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "tracewell.operator.reconcile.duration",
        "Duration of reconciles.",
        "s",
        &DURATION_BUCKETS,
    )
});
static WRITES: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "tracewell.operator.writes",
        "Objects written, by kind and reason.",
    )
});
static REPAIRS: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "tracewell.operator.drift.repairs",
        "Objects restored after somebody else changed or deleted them.",
    )
});

/// A write that succeeded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Write {
    Apply(Cause),
    Prune,
}

/// Counts a reconcile, and gives the label of its result.
pub(super) fn reconcile<T>(result: &Result<T, ReconcileError>, duration: Duration) -> &'static str {
    let label = match result {
        Ok(_) => "ok",
        Err(error) => failure_label(error.category()),
    };
    RECONCILES.add(1, &[("result", label)]);
    DURATION.record(duration.as_secs_f64(), &[("result", label)]);
    label
}

pub(super) fn write(kind: Kind, write: Write) {
    let kind = ("kind", kind.info().name);
    let reason = match write {
        Write::Apply(Cause::Created) => "created",
        Write::Apply(Cause::Changed) => "changed",
        Write::Apply(Cause::Edited) => "edited_by_others",
        Write::Apply(Cause::Deleted) => "deleted_by_others",
        Write::Apply(Cause::Left) => "left_by_another",
        Write::Prune => "pruned",
    };
    WRITES.add(1, &[kind, ("reason", reason)]);
    if matches!(write, Write::Apply(Cause::Edited | Cause::Deleted)) {
        REPAIRS.add(1, &[kind]);
    }
}

fn failure_label(category: FailureCategory) -> &'static str {
    match category {
        FailureCategory::Conflict => "conflict",
        FailureCategory::Contested => "contested",
        FailureCategory::Forbidden => "forbidden",
        FailureCategory::Invalid => "invalid",
        FailureCategory::Quota => "quota",
        FailureCategory::Throttled => "throttled",
        FailureCategory::Unavailable => "unavailable",
        FailureCategory::Timeout => "timeout",
    }
}
