//! The operator while nobody asks for anything, and its restart.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use platform_envtest::Operator;
use tracewell_e2e::figures::Figure;

use crate::{
    journal::Journal,
    units::{mebibytes, percent, seconds},
    world::World,
};

/// The longest that the first look at all Platforms may take after a restart.
const FIRST_LOOK: Duration = Duration::from_mins(10);

pub(crate) async fn at_rest(world: &World, operator: &Operator, window: Duration) -> Result<Vec<Figure>> {
    let journal = Journal::open(&world.plane.etcd()).await?;
    let (before, mark) = (operator.usage()?, world.audit.mark());
    // A window of time is what is measured here.
    tokio::time::sleep(window).await;
    let (after, requests) = (operator.usage()?, world.audit.since(mark)?);
    let written = journal.close();
    for (key, times) in &written {
        eprintln!("written at rest: {key}, {times} times");
    }
    eprintln!("asked for at rest: {requests}");
    let writes: usize = written.values().sum();
    let percent = percent(&before, &after, window);
    let of = |what: &str| format!("at rest for {} s: {what}", window.as_secs());
    Ok(vec![
        Figure::new(of("writes to etcd, leases left out"), writes, "0", writes == 0),
        Figure::new(of("lists"), requests.lists(), "0", requests.lists() == 0),
        Figure::at_most(
            of("CPU, of one core"),
            percent,
            0.1,
            "<= 0.1 %",
            format!("{percent:.2} %"),
        ),
    ])
}

/// Replaces the operator by a new one, which looks at every Platform once.
pub(crate) async fn restart(world: &World, operator: &mut Operator, platforms: usize) -> Result<Vec<Figure>> {
    let steady = operator.usage()?.resident;
    operator.terminate()?;
    let (mark, started) = (world.audit.mark(), Instant::now());
    *operator = world.start_operator().await?;
    let ready = started.elapsed();
    while reconciles(&operator.answer("/metrics", "200").await?) < platforms {
        ensure!(
            started.elapsed() < FIRST_LOOK,
            "not every Platform was looked at within {FIRST_LOOK:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let looked = started.elapsed();
    world.settled().await?;
    let (usage, requests) = (operator.usage()?, world.audit.since(mark)?);
    eprintln!("asked for after the restart: {requests}");
    let peak = usage.peak as f64 / steady as f64;
    let text = format!("{peak:.2} ({:.1} MiB)", mebibytes(usage.peak));
    Ok(vec![
        Figure::at_most(
            "restart until ready",
            ready.as_secs_f64(),
            5.0,
            "<= 5 s",
            seconds(ready),
        ),
        Figure::plain("restart until every Platform was looked at", seconds(looked)),
        Figure::new("restart: writes", requests.writes(), "0", requests.writes() == 0),
        Figure::at_most(
            "restart: most resident memory, of that before",
            peak,
            1.25,
            "<= 1.25",
            text,
        ),
    ])
}

/// Reconciles that came to a good end, from the operator's own metrics.
fn reconciles(metrics: &str) -> usize {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix("tracewell_operator_reconciles_total{result=\"ok\"} "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or_default()
}
