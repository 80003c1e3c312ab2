//! Metrics of database connection pools, by the semantic conventions `db.client.connection.*`.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue,
    metrics::{Meter, UpDownCounter},
};

use super::{GLOBAL, seconds};

const POOL_NAME: &str = "db.client.connection.pool.name";

/// Bucket bounds in seconds of the wait for a connection: mostly none at all.
const WAIT_BUCKETS: [f64; 8] = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0, 5.0];

/// Pools by name. Only the newest of a name is asked: a process that opens its database anew must not keep
/// the old one alive.
static POOLS: LazyLock<Mutex<BTreeMap<&'static str, AskCounts>>> = LazyLock::new(Mutex::default);

type AskCounts = Arc<dyn Fn() -> ConnectionCounts + Send + Sync>;

/// How many connections a pool has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Lent to someone.
    pub used: u32,
    /// Open and waiting to be used.
    pub idle: u32,
}

/// The instruments that every pool shares.
pub(super) struct PoolMetrics {
    wait_time: opentelemetry::metrics::Histogram<f64>,
    pending: UpDownCounter<i64>,
    timeouts: opentelemetry::metrics::Counter<u64>,
}

impl PoolMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        // Asked at each scrape; the meter keeps it.
        let _count = meter
            .i64_observable_up_down_counter("db.client.connection.count")
            .with_description("Connections of a pool, by whether someone uses them.")
            .with_callback(|observer| {
                let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for (name, ask) in pools {
                    let counts = ask();
                    for (state, count) in [("used", counts.used), ("idle", counts.idle)] {
                        let state = KeyValue::new("db.client.connection.state", state);
                        observer.observe(count.into(), &[KeyValue::new(POOL_NAME, name), state]);
                    }
                }
            })
            .build();
        Self {
            wait_time: seconds(
                meter,
                "db.client.connection.wait_time",
                "Wait for a connection of a pool.",
                &WAIT_BUCKETS,
            ),
            pending: meter
                .i64_up_down_counter("db.client.connection.pending_requests")
                .with_description("Requests that wait for a connection of a pool.")
                .build(),
            timeouts: meter
                .u64_counter("db.client.connection.timeouts")
                .with_description("Requests that got no connection in time.")
                .build(),
        }
    }
}

/// Measures one pool of database connections.
#[derive(Clone, Copy)]
pub struct PoolMeter {
    name: &'static str,
}

impl PoolMeter {
    /// Measures the pool `name` (`readers`), which says by `counts` how many connections it has; it is
    /// asked at each scrape, so it must be cheap. A later pool of the same name takes the place of this one.
    pub fn new(name: &'static str, counts: impl Fn() -> ConnectionCounts + Send + Sync + 'static) -> Self {
        POOLS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::new(counts));
        // One that never happened must read 0, not be absent: alerts compare against it.
        GLOBAL.pools.timeouts.add(0, &[KeyValue::new(POOL_NAME, name)]);
        Self { name }
    }

    /// Awaits a connection and records how long that took. An error counts as a timeout if `timed_out`
    /// says so.
    pub async fn wait<T, E>(
        &self,
        connection: impl Future<Output = Result<T, E>>,
        timed_out: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let waiting = Waiting::start(self.name);
        let result = connection.await;
        if result.as_ref().is_err_and(timed_out) {
            GLOBAL.pools.timeouts.add(1, &waiting.labels());
        }
        result
    }
}

impl fmt::Debug for PoolMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMeter").field("name", &self.name).finish()
    }
}

/// A wait under way. Dropping it reports it, so that one that is given up counts too.
struct Waiting {
    name: &'static str,
    started: Instant,
}

impl Waiting {
    fn start(name: &'static str) -> Self {
        let waiting = Self {
            name,
            started: Instant::now(),
        };
        GLOBAL.pools.pending.add(1, &waiting.labels());
        waiting
    }

    fn labels(&self) -> [KeyValue; 1] {
        [KeyValue::new(POOL_NAME, self.name)]
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waited: Duration = self.started.elapsed();
        GLOBAL.pools.pending.add(-1, &self.labels());
        GLOBAL
            .pools
            .wait_time
            .record(waited.as_secs_f64(), &self.labels());
    }
}
