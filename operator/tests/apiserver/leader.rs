//! Elections on a real Lease.

use std::{path::Path, time::Duration};

use futures::future::select_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::{Lease, LeaseSpec},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use platform_core::leader::Timing;
use platform_envtest::Operator;
use platform_operator::{
    cluster::{LeaseKey, Leases},
    leader::{Election, LostLeadership},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{
    PROGRAM,
    fixture::{World, control_plane, world},
};

const TIMING: Timing = Timing {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    pause: Duration::from_millis(200),
};

/// Nobody waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

fn candidate(world: &World, name: &str, timing: Timing) -> Election {
    let key = LeaseKey {
        namespace: world.namespace.clone(),
        name: "operator".into(),
    };
    Election::new(Leases::new(world.client.clone(), key), name.into(), timing)
}

async fn win(election: &mut Election) {
    timeout(PATIENCE, election.win()).await.expect("it leads");
}

async fn spec(leases: &Api<Lease>) -> LeaseSpec {
    leases.get("operator").await.unwrap().spec.unwrap()
}

#[tokio::test]
async fn one_leads_the_other_follows_and_takes_over_at_once_when_the_lease_is_laid_down() {
    let Some(world) = world("leader").await else {
        return;
    };
    let leases = Api::<Lease>::namespaced(world.client.clone(), "leader");
    let (mut one, mut two) = (candidate(&world, "one", TIMING), candidate(&world, "two", TIMING));
    win(&mut one).await;
    let first = spec(&leases).await;
    assert_eq!(first.holder_identity.as_deref(), Some("one"));
    assert_eq!(
        (first.lease_duration_seconds, first.lease_transitions),
        (Some(3), Some(0))
    );

    // A leader that renews is waited for, however long.
    let holds = tokio::select! {
        lost = one.hold() => panic!("{lost}"),
        () = two.win() => panic!("two lead"),
        () = tokio::time::sleep(TIMING.lease * 2) => spec(&leases).await,
    };
    assert_eq!(holds.acquire_time, first.acquire_time);
    assert!(holds.renew_time > first.renew_time);

    one.release().await;
    assert_eq!(spec(&leases).await.holder_identity.as_deref(), Some(""));
    win(&mut two).await;
    let second = spec(&leases).await;
    assert_eq!(second.holder_identity.as_deref(), Some("two"));
    assert_eq!(second.lease_transitions, Some(1));
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_keeps_nobody_from_laying_the_lease_down() {
    let Some(world) = world("cut-off-renewal").await else {
        return;
    };
    let leases = Api::<Lease>::namespaced(world.client.clone(), "cut-off-renewal");
    let mut one = candidate(&world, "one", TIMING);
    win(&mut one).await;
    let renewed = json!({"metadata": {"labels": {"renewed": "once-more"}}});
    leases
        .patch("operator", &PatchParams::default(), &Patch::Merge(&renewed))
        .await
        .unwrap();
    one.release().await;
    assert_eq!(spec(&leases).await.holder_identity.as_deref(), Some(""));
}

#[tokio::test]
async fn a_leader_that_was_killed_is_followed_after_its_lease() {
    let Some(world) = world("killed-leader").await else {
        return;
    };
    win(&mut candidate(&world, "killed", TIMING)).await;
    let started = Instant::now();
    win(&mut candidate(&world, "next", TIMING)).await;
    assert!(
        started.elapsed() >= TIMING.lease,
        "not before it was seen unchanged for so long"
    );
}

#[tokio::test]
async fn a_leader_notices_that_another_leads_and_takes_a_deleted_lease_again() {
    let Some(world) = world("lost-leader").await else {
        return;
    };
    let leases = Api::<Lease>::namespaced(world.client.clone(), "lost-leader");
    let mut one = candidate(&world, "one", TIMING);
    win(&mut one).await;
    leases.delete("operator", &DeleteParams::default()).await.unwrap();
    tokio::select! {
        lost = one.hold() => panic!("{lost}"),
        () = tokio::time::sleep(TIMING.pause * 5) => {}
    }
    assert_eq!(spec(&leases).await.holder_identity.as_deref(), Some("one"));

    // As after a pause of the process that was longer than its lease.
    let taken = json!({"spec": {"holderIdentity": "two"}});
    leases
        .patch("operator", &PatchParams::default(), &Patch::Merge(&taken))
        .await
        .unwrap();
    let lost = timeout(PATIENCE, one.hold()).await.expect("it is told");
    assert!(
        matches!(&lost, LostLeadership::Taken { holder } if holder == "two"),
        "{lost:?}"
    );
    one.release().await;
    assert_eq!(
        spec(&leases).await.holder_identity.as_deref(),
        Some("two"),
        "it is not ours to lay down"
    );
}

#[tokio::test]
async fn of_many_candidates_at_once_one_wins() {
    let Some(world) = world("crowd").await else { return };
    let patient = Timing {
        lease: PATIENCE * 2,
        ..TIMING
    };
    let mut crowd: Vec<_> = (0..6)
        .map(|number| candidate(&world, &format!("candidate-{number}"), patient))
        .collect();
    let campaigns = crowd.iter_mut().map(|election| Box::pin(election.win()));
    let ((), _, others) = timeout(PATIENCE, select_all(campaigns)).await.expect("one wins");
    let looks = TIMING.pause * 5;
    let second = timeout(looks, select_all(others)).await;
    assert!(second.is_err(), "two lead");
}

#[tokio::test]
async fn a_follower_is_ready_and_goes_on_where_the_leader_stops() {
    let Some(world) = world("two-operators").await else {
        return;
    };
    let plane = control_plane().await.expect("it is there");
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let start = |folder: &Path, pod: &str| {
        let environment = [
            ("WATCH_NAMESPACE", "two-operators"),
            ("LEASE_NAMESPACE", "two-operators"),
            ("LEASE_NAME", "operator"),
            ("POD_NAME", pod),
        ];
        Operator::start(Path::new(PROGRAM), plane.kubeconfig(), folder, &environment).unwrap()
    };
    let mut one = start(folders[0].path(), "one");
    let leases = Api::<Lease>::namespaced(world.client.clone(), "two-operators");
    let led_by = |pod: &'static str| {
        let leases = leases.clone();
        let is_so = move |lease: Option<&Lease>| {
            let holder = lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
            holder.is_some_and(|holder| holder.starts_with(pod))
        };
        async move {
            let waiting = timeout(PATIENCE, await_condition(leases, "operator", is_so)).await;
            waiting.unwrap_or_else(|_| panic!("{pod} does not lead")).unwrap();
        }
    };
    led_by("one").await;
    let mut two = start(folders[1].path(), "two");
    for operator in [&mut one, &mut two] {
        operator.answer("/readyz", "200").await.unwrap();
    }
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), "two-operators");
    let asked_for = async |replicas: i32| {
        world
            .apply(
                "demo",
                json!({"services": [{"name": "gateway", "replicas": replicas}]}),
            )
            .await;
        let is_so = |found: Option<&Deployment>| {
            found.and_then(|found| found.spec.as_ref()?.replicas) == Some(replicas)
        };
        let waiting = timeout(
            PATIENCE,
            await_condition(deployments.clone(), "demo-gateway", is_so),
        )
        .await;
        waiting.expect("the edit is carried out").unwrap();
    };
    asked_for(1).await;

    assert_eq!(one.terminate().unwrap(), Some(0));
    let holder = spec(&leases).await.holder_identity.unwrap();
    assert!(!holder.starts_with("one"), "the Lease was laid down: {holder}");
    asked_for(2).await;
    led_by("two").await;

    let taken = json!({"spec": {"holderIdentity": "three"}});
    leases
        .patch("operator", &PatchParams::default(), &Patch::Merge(&taken))
        .await
        .unwrap();
    assert_eq!(
        two.end().await.unwrap(),
        Some(2),
        "it ends, to begin as a candidate"
    );
    let log = two.log().unwrap();
    assert!(log.contains("three leads now"), "{log}");
}
