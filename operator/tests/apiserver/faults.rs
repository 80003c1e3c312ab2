//! The operator as a process, and an API server that fails in every way that it can: the operator returns by itself
//! soon after it does.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use http::StatusCode;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, runtime::wait::await_condition};
use platform_envtest::{Operator, Usage};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    PROGRAM,
    fixture::{World, world},
    proxy::{Fault, Proxy},
};

const FAULTS: [Fault; 14] = [
    Fault::Away,
    Fault::Blackholed,
    Fault::Status(StatusCode::UNAUTHORIZED),
    Fault::Status(StatusCode::FORBIDDEN),
    Fault::Status(StatusCode::NOT_FOUND),
    Fault::Status(StatusCode::CONFLICT),
    Fault::Status(StatusCode::GONE),
    Fault::Status(StatusCode::TOO_MANY_REQUESTS),
    Fault::Status(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
    Fault::Writes(StatusCode::FORBIDDEN),
    Fault::Writes(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::HalfBody,
    Fault::Html,
];

/// Long enough for the pauses between attempts to begin a watch to have become their longest.
const FAULT: Duration = Duration::from_secs(4);

/// The longest that the operator may take to carry out, after the fault, what was asked for during it.
const RETURN: Duration = Duration::from_secs(10);

/// Each watch may have a connection more for a while, and each reconcile some.
const MORE_FILES: usize = 32;

const MORE_MEMORY: u64 = 8 * 1024 * 1024;

/// The longest that anything may take while nothing is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// One operator for each fault, all at once: they wait most of the time.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_returns_by_itself_after_each_fault() {
    let walks = FAULTS.iter().map(|fault| async move {
        let name = format!("{fault:?}").to_lowercase().replace(['(', ')'], "-");
        let world = world(name.trim_end_matches('-')).await?;
        Some((fault, walk(&world, *fault).await))
    });
    let failures: Vec<_> = join_all(walks)
        .await
        .into_iter()
        .flatten()
        .filter_map(|(fault, walked)| Some(format!("{fault:?}: {:#}", walked.err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A Platform is edited while the fault lasts, and once more after the operator's return.
async fn walk(world: &World, fault: Fault) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let proxy = Proxy::start(world).await;
    // The other tests of this binary have Platforms as well.
    let own = [("WATCH_NAMESPACE", world.namespace.as_str())];
    let mut operator = Operator::start(Path::new(PROGRAM), proxy.kubeconfig(), directory.path(), &own)?;
    operator.answer("/readyz", "200").await?;
    ask_for(world, 1).await?;
    carried_out(world, 1, PATIENCE).await?;
    let before = operator.usage()?;

    proxy.begin(fault);
    ask_for(world, 2).await?;
    let during = most_within(FAULT, &operator).await?;
    proxy.end();
    carried_out(world, 2, RETURN).await?;
    ask_for(world, 3).await?;
    carried_out(world, 3, RETURN).await?;

    bounded(&before, &during)?;
    bounded(&before, &operator.usage()?)?;
    ensure!(
        during.cpu < before.cpu + FAULT / 2,
        "it is busy with a fault: {during:?}"
    );
    let log = operator.log()?;
    ensure!(!log.contains("panicked"), "{log}");
    ensure!(operator.terminate()? == Some(0), "it does not end well");
    Ok(())
}

async fn ask_for(world: &World, replicas: i32) -> Result<()> {
    let spec = json!({"services": [{"name": "gateway", "replicas": replicas}]});
    world.try_apply("demo", spec).await?;
    Ok(())
}

async fn carried_out(world: &World, replicas: i32, patience: Duration) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    let is_so =
        |found: Option<&Deployment>| found.and_then(|found| found.spec.as_ref()?.replicas) == Some(replicas);
    timeout(patience, await_condition(deployments, "demo-gateway", is_so))
        .await
        .with_context(|| format!("{replicas} replicas were asked for {patience:?} ago"))??;
    Ok(())
}

/// Neither connections nor memory pile up.
fn bounded(before: &Usage, now: &Usage) -> Result<()> {
    ensure!(
        now.open_files <= before.open_files + MORE_FILES && now.resident <= before.resident + MORE_MEMORY,
        "{before:?} became {now:?}"
    );
    Ok(())
}

/// The most that the operator takes of the machine within this time.
async fn most_within(window: Duration, operator: &Operator) -> Result<Usage> {
    let started = Instant::now();
    let mut most = operator.usage()?;
    while started.elapsed() < window {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = operator.usage()?;
        most.open_files = most.open_files.max(now.open_files);
        most.resident = most.resident.max(now.resident);
        most.cpu = now.cpu;
    }
    Ok(most)
}
