//! From nothing to so many Platforms, beside the same objects applied with nothing in between.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use platform_envtest::Operator;
use tracewell_e2e::figures::Figure;

use crate::{
    observer::{until_available, until_ready},
    platforms::{SERVICES, apply_all, apply_bare, create_namespaces, objects_of_one},
    units::{mebibytes, seconds},
    world::World,
};

/// Until all Deployments are available that a loop of bare server-side applies makes, on a control plane of its own.
pub(crate) async fn bare(operator: &Path, platforms: usize) -> Result<Duration> {
    let world = World::start(operator).await?;
    create_namespaces(&world.client, 0..platforms).await?;
    let started = Instant::now();
    let (applied, available) = tokio::join!(
        apply_bare(&world.client, platforms),
        until_available(&world.client, SERVICES * platforms)
    );
    applied?;
    available?;
    Ok(started.elapsed())
}

/// What the operator took beside what the bare loop did, before and after it.
pub(crate) fn compare(operator: Duration, before: Duration, after: Duration) -> Vec<Figure> {
    let ratio = operator.as_secs_f64() / f64::midpoint(before.as_secs_f64(), after.as_secs_f64());
    vec![
        Figure::plain(
            "bare server-side applies of all objects until all are available, before and after",
            format!("{}, {}", seconds(before), seconds(after)),
        ),
        Figure::plain("the operator until all are available", seconds(operator)),
        Figure::at_most(
            "the operator, of the bare loop",
            ratio,
            1.25,
            "<= 1.25",
            format!("{ratio:.2}"),
        ),
    ]
}

/// Creates the Platforms, and gives how long it took until all was available.
pub(crate) async fn platforms(
    world: &World,
    operator: &Operator,
    platforms: usize,
) -> Result<(Duration, Vec<Figure>)> {
    create_namespaces(&world.client, 0..platforms).await?;
    let (before, mark, started) = (operator.usage()?, world.audit.mark(), Instant::now());
    let (applied, available) = tokio::join!(
        apply_all(&world.client, platforms),
        until_available(&world.client, SERVICES * platforms)
    );
    applied?;
    available?;
    let available = started.elapsed();
    until_ready(&world.client, platforms).await?;
    let ready = started.elapsed();
    world.settled().await?;
    let (after, requests) = (operator.usage()?, world.audit.since(mark)?);
    eprintln!("until all are ready: {requests}");
    let objects = platforms * objects_of_one()?;
    let figures = vec![
        Figure::plain("the operator until all Platforms are Ready", seconds(ready)),
        Figure::plain(
            "its CPU time for that",
            seconds(after.cpu.saturating_sub(before.cpu)),
        ),
        Figure::plain("its lists for that", requests.lists()),
        Figure::plain(
            format!("its writes for these {objects} objects"),
            requests.writes(),
        ),
        Figure::at_most(
            "resident memory with all Platforms",
            mebibytes(after.resident),
            48.0,
            "<= 48 MiB",
            format!("{:.1} MiB", mebibytes(after.resident)),
        ),
    ];
    Ok((available, figures))
}
