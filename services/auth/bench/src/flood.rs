//! Open-loop load: requests come at their time, whether or not those before were answered.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use bench_kit::load::{Connection, Requests, latencies, nanoseconds};
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::sleep_until};

/// Connections that no request is using.
type Idle = Arc<Mutex<Vec<Connection>>>;

/// Nanoseconds from each request to the last byte of its answer, by the status.
pub(crate) struct Answers {
    by_status: BTreeMap<u16, Histogram<u64>>,
    /// Until the last one came.
    pub(crate) elapsed: Duration,
}

impl Answers {
    /// The latencies of all answers with one of these statuses.
    pub(crate) fn with(&self, statuses: &[u16]) -> Result<Histogram<u64>> {
        let mut all = latencies()?;
        for (_, latency) in self
            .by_status
            .iter()
            .filter(|(status, _)| statuses.contains(status))
        {
            all.add(latency)?;
        }
        Ok(all)
    }

    /// Answers with another status than these.
    pub(crate) fn others(&self, statuses: &[u16]) -> Vec<u16> {
        let others = self.by_status.keys().filter(|status| !statuses.contains(status));
        others.copied().collect()
    }
}

/// Sends so many requests a second for `duration`, and waits for all answers.
pub(crate) async fn run(
    address: SocketAddr,
    rate: f64,
    duration: Duration,
    requests: &Requests,
) -> Result<Answers> {
    let (started, idle) = (Instant::now(), Idle::default());
    let mut running = JoinSet::new();
    let (pause, mut sent) = (Duration::from_secs_f64(1.0 / rate), 0);
    while pause * sent < duration {
        sleep_until((started + pause * sent).into()).await;
        running.spawn(send(address, Arc::clone(&idle), Arc::clone(requests)));
        sent += 1;
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = running.join_next().await {
        let (status, nanoseconds) = answer??;
        let latency = match answers.entry(status) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(latencies()?),
        };
        latency.record(nanoseconds)?;
    }
    Ok(Answers {
        by_status: answers,
        elapsed: started.elapsed(),
    })
}

async fn send(address: SocketAddr, idle: Idle, requests: Requests) -> Result<(u16, u64)> {
    let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut connection = match waiting {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let request = requests(0)?;
    let sent = Instant::now();
    let (status, _) = connection.send(request).await?;
    let latency = nanoseconds(sent)?;
    idle.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(connection);
    Ok((status.as_u16(), latency))
}
