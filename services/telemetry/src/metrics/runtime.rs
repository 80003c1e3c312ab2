//! Metrics of the tokio runtime on which the service runs. No semantic conventions exist for them.

use opentelemetry::metrics::{Meter, ObservableCounter};
use tokio::runtime::{Handle, RuntimeMetrics};

/// Defines the metrics. The share of time in which the workers are busy, from 0 to 1, is
/// `rate(tokio_worker_busy_time_seconds_total[1m]) / tokio_workers`; near 1 the service has no time left, and
/// a task that blocks its thread shows before the CPU does.
pub(super) fn define(meter: &Meter) {
    for (name, help, read) in [
        (
            "tokio.workers",
            "Threads that run tasks.",
            RuntimeMetrics::num_workers as fn(&RuntimeMetrics) -> usize,
        ),
        (
            "tokio.tasks.alive",
            "Tasks that have not ended.",
            RuntimeMetrics::num_alive_tasks,
        ),
        (
            "tokio.global_queue.depth",
            "Tasks that are ready and that no worker has taken yet.",
            RuntimeMetrics::global_queue_depth,
        ),
    ] {
        // The meter keeps it.
        let _gauge = meter
            .u64_observable_gauge(name)
            .with_description(help)
            .with_callback(move |observer| {
                if let Some(metrics) = current() {
                    observer.observe(read(&metrics) as u64, &[]);
                }
            })
            .build();
    }
    let _busy: ObservableCounter<f64> = meter
        .f64_observable_counter("tokio.worker.busy_time")
        .with_unit("s")
        .with_description("Time in which workers were busy, of all workers together.")
        .with_callback(|observer| {
            if let Some(metrics) = current() {
                let workers = 0..metrics.num_workers();
                let busy = workers.map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64());
                observer.observe(busy.sum(), &[]);
            }
        })
        .build();
}

/// A scrape is answered on the runtime that it asks about.
fn current() -> Option<RuntimeMetrics> {
    Handle::try_current().ok().map(|runtime| runtime.metrics())
}
