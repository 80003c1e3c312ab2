//! What one change costs, and how long it takes.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracewell_e2e::figures::Figure;

use crate::{
    audit::Requests,
    observer::{Observer, until_ready},
    platforms::{EDITED, annotate, apply, create_namespaces, namespace, objects_of_one, until_rolled_out},
    units::{milliseconds, percentile},
    world::World,
};

/// Edits of which the latency is taken, in each part.
const EDITS: usize = 50;

/// Parts without and with a Platform that flaps, in turn: what a machine gives drifts, and a 99th percentile needs many.
const PARTS: usize = 4;

/// Time between two edits of the Platform that flaps: 50 in a second.
const FLAP: Duration = Duration::from_millis(20);

/// The longest that one repair may take.
const REPAIR: Duration = Duration::from_secs(30);

/// The longest that an edit may take until it is rolled out: the operator lets the last of many wait for half of it.
const ROLLOUT: Duration = Duration::from_mins(1);

/// What the operator writes for one Platform more, an edit of it, a change that means nothing, and for drift.
pub(crate) async fn writes(world: &World, platforms: usize) -> Result<Vec<Figure>> {
    let (client, number) = (&world.client, platforms);
    create_namespaces(client, number..number + 1).await?;
    let created = requests_of(world, async {
        apply(client, number, 0).await?;
        until_ready(client, platforms + 1).await
    })
    .await?;
    let edited = requests_of(world, async {
        apply(client, number, 1).await?;
        until_ready(client, platforms + 1).await
    })
    .await?;
    let annotated = requests_of(world, annotate(client, number, 1, "seen")).await?;
    let repaired = requests_of(world, Box::pin(drift(world, number))).await?;
    for (what, requests) in [
        ("create", &created),
        ("edit", &edited),
        ("no-op edit", &annotated),
        ("drift", &repaired),
    ] {
        eprintln!("{what}: {requests}");
    }
    let most = objects_of_one()? + 3;
    let written = |what: &str, requests: &Requests, most: usize| {
        Figure::new(
            format!("written (objects + statuses + events): {what}"),
            requests.written(),
            format!("<= {most}"),
            requests.writes() <= most,
        )
    };
    let repairs = repaired.writes_of_objects();
    Ok(vec![
        written("create", &created, most),
        written("edit of one field", &edited, 3),
        written("edit that changes nothing", &annotated, 0),
        Figure::new("objects written to repair one", repairs, "1", repairs == 1),
    ])
}

/// What the operator asks for because of a change, until it asks for nothing more.
async fn requests_of(world: &World, change: impl Future<Output = Result<()>>) -> Result<Requests> {
    let mark = world.audit.mark();
    change.await?;
    world.settled().await?;
    world.audit.since(mark)
}

/// Somebody else changes the number of pods, and the operator changes it back.
async fn drift(world: &World, number: usize) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &namespace(number));
    let edit = json!({"spec": {"replicas": 3}});
    let edited = deployments
        .patch(EDITED, &PatchParams::default(), &Patch::Merge(&edit))
        .await?;
    let is_back = |found: Option<&Deployment>| {
        found.is_some_and(|found| {
            found.metadata.generation > edited.metadata.generation
                && found.spec.as_ref().is_some_and(|spec| spec.replicas == Some(1))
        })
    };
    timeout(REPAIR, await_condition(deployments, EDITED, is_back)).await??;
    Ok(())
}

/// How long an edit takes until the first object is written, alone and beside a Platform that flaps.
pub(crate) async fn latency(world: &World, platforms: usize) -> Result<Vec<Figure>> {
    let mut observer = Observer::start(&world.client).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut flaps = 0;
    for part in 0..PARTS {
        alone.extend(edit_in_turn(world, &mut observer, platforms, 2 * part).await?);
        beside.extend(tokio::select! {
            times = edit_in_turn(world, &mut observer, platforms, 2 * part + 1) => times?,
            error = flap(world, &mut flaps) => return Err(error),
        });
        timeout(ROLLOUT, until_rolled_out(&world.client, 0)).await??;
        world.settled().await?;
    }
    let (p50, p99) = (percentile(&mut alone, 50), percentile(&mut alone, 99));
    let beside_p50 = percentile(&mut beside, 50);
    let beside = percentile(&mut beside, 99);
    let ratio = beside.as_secs_f64() / p99.as_secs_f64();
    let text = |time| format!("{:.0} ms", milliseconds(time));
    Ok(vec![
        Figure::plain("edit until the first object is written, p50", text(p50)),
        Figure::at_most("the same, p99", milliseconds(p99), 50.0, "<= 50 ms", text(p99)),
        Figure::plain(
            "p50 beside a Platform that is edited 50 times a second",
            text(beside_p50),
        ),
        Figure::plain("the same, p99", text(beside)),
        Figure::at_most(
            "the same, of that without it",
            ratio,
            2.0,
            "<= 2",
            format!("{ratio:.2}"),
        ),
    ])
}

/// Edits the first Platform until that fails, and counts how often it did.
async fn flap(world: &World, flaps: &mut usize) -> anyhow::Error {
    let mut pace = interval(FLAP);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        pace.tick().await;
        *flaps += 1;
        if let Err(error) = apply(&world.client, 0, *flaps).await {
            return error;
        }
    }
}

/// One edit after the other, each of another Platform than the first, and when the one before is rolled out: what others' rollouts
/// cost an edit is another figure.
async fn edit_in_turn(
    world: &World,
    observer: &mut Observer,
    platforms: usize,
    turn: usize,
) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(EDITS);
    for edit in turn * EDITS..(turn + 1) * EDITS {
        let number = 1 + edit % (platforms - 1).max(1);
        // None that it may have had already.
        let revision = 2 + edit;
        let change = apply(&world.client, number, revision);
        times.push(observer.latency(&namespace(number), change).await?);
        timeout(ROLLOUT, until_rolled_out(&world.client, number)).await??;
    }
    Ok(times)
}
