//! Golden files: what a person is shown of a Platform that works, of one that does not, and of changes.
//!
//! To accept a change, run with `UPDATE_GOLDEN=1` and read the difference before you commit it.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anstream::adapter::strip_str;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::ResourceExt as _;
use kubectl_platform::{
    doctor::{Check, Diagnosis, Seen, SeenService, Verdict, examine},
    plan::{Effect, Plan, assess},
    status::report,
};
use platform_core::{
    api::{DeletionPolicy, Platform, PlatformSpec},
    evidence::{Counters, Evidence, Silence},
    labels::{self, Component},
    references::references,
    resolve::resolve,
    step::Facts,
};
use platform_operator::{
    cluster::{Cluster as _, PlatformKey},
    controller::{Holdings, Knowledge, Referrers, Snapshot, reconcile},
    diff::compare,
};
use platform_testkit::{FakeCluster, Fate, example, settings};
use serde_json::{from_value, json};

/// Reconciles, each followed by the cluster's own controllers, in which everything has come to its fate.
const RECONCILES: usize = 16;

/// A Platform on a cluster in memory.
struct World {
    cluster: FakeCluster,
    key: PlatformKey,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

impl World {
    /// With everything at its fate.
    async fn new(example_name: &str, fate: impl Fn(&str) -> Fate) -> Self {
        let (cluster, platform) = (FakeCluster::new(), example(example_name));
        let world = Self {
            key: cluster.create_platform(platform.clone()),
            cluster,
        };
        for reference in references(&platform) {
            world.cluster.put_referred(&world.key.namespace, reference);
        }
        world.reconcile(fate).await;
        world
    }

    async fn reconcile(&self, fate: impl Fn(&str) -> Fate) {
        let settings = settings();
        let knowledge = Knowledge {
            settings: &settings,
            kinds: &BTreeSet::new(),
            evidence: None,
            referrers: &Referrers::default(),
            holdings: &Holdings::default(),
            fresh_for: Duration::ZERO,
            uid: None,
            is_edited: false,
        };
        for _ in 0..RECONCILES {
            reconcile(&self.cluster, &knowledge, &self.key, Snapshot::default(), now)
                .await
                .unwrap();
            self.cluster.settle(&fate);
        }
    }

    fn platform(&self) -> Platform {
        self.cluster.platform(&self.key).unwrap()
    }

    /// The pods, with what the fake kubelet leaves out.
    async fn pods(&self) -> Vec<Pod> {
        let pods = self.cluster.pods(&self.platform()).await.unwrap();
        pods.into_iter().map(|pod| self.completed(pod)).collect()
    }

    /// The pod with a name, an age, a phase and the state of its sidecar.
    fn completed(&self, mut pod: Pod) -> Pod {
        let label = |label: &str| pod.labels().get(label).cloned().unwrap_or_default();
        let has_sidecar = label(labels::COMPONENT) == Component::Service.as_str();
        pod.metadata.name = Some(format!("{}-{}-1", label(labels::INSTANCE), label(labels::NAME)));
        pod.metadata.namespace = Some(self.key.namespace.clone());
        pod.metadata.creation_timestamp = Some(Time(now() - SignedDuration::from_mins(74)));
        let sidecar = json!({
            "name": "collector", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}},
        });
        let status = pod.status.get_or_insert_default();
        status.init_container_statuses = has_sidecar.then(|| vec![from_value(sidecar).unwrap()]);
        let is_ready = status
            .container_statuses
            .iter()
            .flatten()
            .all(|container| container.ready);
        status.phase = Some(if is_ready { "Running" } else { "Pending" }.to_owned());
        pod
    }

    /// What an edit would change.
    async fn plan(&self, edit: impl FnOnce(&mut PlatformSpec)) -> Plan {
        self.cluster.edit_platform(&self.key, edit);
        let platform = self.platform();
        let mut compared = compare(&self.cluster, platform, &BTreeSet::new(), &settings())
            .await
            .unwrap();
        compared.live.pods = self.pods().await;
        assess(&compared)
    }

    /// What the doctor would see where everything answers.
    async fn seen(&self) -> Seen {
        let platform = self.platform();
        let resolved = resolve(&platform, &Facts::default(), &settings()).unwrap();
        let service = |name: String| {
            let seen = SeenService {
                name_resolves: Ok(true),
                endpoints: Ok(1),
                metrics: Some(Ok("telemetry_envelopes_sent_total 3\nup 1\n".to_owned())),
                document: Some(Ok(json!({"openapi": "3.1.0"}).to_string())),
            };
            (name, seen)
        };
        let names = || resolved.services.iter().map(|service| service.name.to_string());
        Seen {
            services: names().map(service).collect(),
            evidence: Some(Evidence {
                seen: names().collect(),
                ..Evidence::default()
            }),
            dsn: None,
            portal: Some(Ok(200)),
            pods: self.pods().await,
            resolved: Ok(resolved),
            platform,
        }
    }
}

fn chat_has_no_image(app: &str) -> Fate {
    if app == "chat" {
        Fate::ImageMissing
    } else {
        Fate::Serve
    }
}

/// Compares with the golden file, without colours.
fn assert_golden(name: &str, shown: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    let shown = strip_str(shown).to_string();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &shown).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == shown,
        "UPDATE_GOLDEN=1 accepts this for {name}:\n{shown}"
    );
}

#[tokio::test]
async fn status_is_a_tree_with_the_cause_at_the_pod() {
    let well = World::new("demo", |_| Fate::Serve).await;
    let shown = report(&well.platform(), &well.pods().await, now());
    assert!(shown.ready);
    assert_golden("status-ready", &shown.draw());

    let ill = World::new("metrics", chat_has_no_image).await;
    let shown = report(&ill.platform(), &ill.pods().await, now());
    assert!(!shown.ready);
    let chat = shown
        .services
        .iter()
        .find(|service| service.name == "chat")
        .unwrap();
    let cause = chat.pods[0].cause.as_ref().unwrap();
    assert_eq!(cause.reason, "ImagePullFailed");
    assert_golden("status-not-ready", &shown.draw());

    let data = serde_json::to_value(&shown).unwrap();
    assert_eq!(
        data["services"][2]["pods"][0]["cause"]["reason"],
        "ImagePullFailed"
    );
    assert_eq!(data["services"][0]["status"]["readyReplicas"], 1);
}

#[tokio::test]
async fn a_way_in_that_is_not_there_says_why() {
    const WHY: &str = "Service shop/demo-gateway does not have node port 30080 yet";
    let world = World::new("demo", |_| Fate::Serve).await;
    let mut platform = world.platform();
    let status = platform.status.as_mut().unwrap();
    status.endpoints.clear();
    let mut conditions = status.conditions.iter_mut();
    let exposed = conditions.find(|condition| condition.type_ == "Exposed").unwrap();
    (exposed.status, exposed.message) = ("False".to_owned(), WHY.to_owned());
    let places = report(&platform, &[], now()).places;
    let notes: Vec<_> = places[..2].iter().map(|place| place.note.as_deref()).collect();
    assert_eq!(notes, [Some(WHY), Some("there is none")]);
}

#[tokio::test]
async fn a_spec_that_nobody_has_looked_at_is_not_ready() {
    let world = World::new("demo", |_| Fate::Serve).await;
    world.cluster.edit_platform(&world.key, |spec| {
        spec.services.pop();
    });
    let shown = report(&world.platform(), &world.pods().await, now());
    assert_eq!((shown.ready, shown.reason.as_str()), (false, "NotSeenYet"));
}

#[tokio::test]
async fn a_plan_says_which_pods_restart_and_what_becomes_of_data() {
    let world = World::new("database-embedded", |_| Fate::Serve).await;
    let plan = world
        .plan(|spec| {
            spec.services.retain(|service| service.name != "price-list");
            for service in &mut spec.services {
                if service.name == "auth" {
                    service.image = Some("registry.test/auth:next".to_owned());
                }
            }
        })
        .await;
    assert_golden("plan-without-a-service", &plan.draw());
    let change = |kind: &str, name: &str| {
        plan.changes
            .iter()
            .find(|change| change.kind == kind && change.name.ends_with(name))
            .unwrap()
    };
    let auth = change("Deployment", "-auth").pods.clone().unwrap();
    assert_eq!(auth.effect, Effect::Restart, "its file has one writer");
    assert_eq!(auth.names.len(), 1);
    let removed = change("Deployment", "-price-list");
    assert_eq!(removed.pods.as_ref().unwrap().effect, Effect::End);
    assert!(
        removed.data[0].contains("stays with its data"),
        "{:?}",
        removed.data
    );
}

#[tokio::test]
async fn a_plan_says_that_traces_in_memory_are_lost() {
    let world = World::new("demo", |_| Fate::Serve).await;
    let memory = json!({"type": "Managed", "managed": {"storage": {"memory": {"maxTraces": 7}}}});
    let plan = world
        .plan(|spec| spec.telemetry.tracing.jaeger = from_value(memory).unwrap())
        .await;
    let jaeger = plan
        .changes
        .iter()
        .find(|change| change.name == "demo-jaeger")
        .unwrap();
    assert_eq!(
        jaeger.data,
        ["the traces until now are lost: they are kept in memory"]
    );
    let nothing = world.plan(|_| {}).await;
    assert_eq!(nothing.changes.len(), plan.changes.len(), "a plan writes nothing");
}

#[tokio::test]
async fn a_variable_that_is_taken_away_restarts_its_pods_though_no_field_differs() {
    let world = World::new("demo", |_| Fate::Serve).await;
    world.cluster.edit_platform(&world.key, |spec| {
        spec.services[1].env = from_value(json!([{"name": "COLOUR", "value": "red"}])).unwrap();
    });
    world.reconcile(|_| Fate::Serve).await;
    let name = world.platform().spec.services[1].name.clone();
    let plan = world.plan(|spec| spec.services[1].env.clear()).await;
    assert_eq!(plan.changes.len(), 1, "{}", plan.draw());
    let pods = plan.changes[0].pods.clone().unwrap();
    assert_eq!((plan.changes[0].fields.len(), pods.effect), (0, Effect::Restart));
    assert_eq!(pods.names, [format!("demo-{name}-1")]);
}

#[tokio::test]
async fn a_plan_says_where_data_goes_with_another_database_or_policy() {
    let world = World::new("database-embedded", |_| Fate::Serve).await;
    world.cluster.edit_platform(&world.key, |spec| {
        spec.deletion_policy = DeletionPolicy::RetainStorage;
    });
    world.reconcile(|_| Fate::Serve).await;
    let plan = world
        .plan(|spec| {
            spec.deletion_policy = DeletionPolicy::Delete;
            spec.database = from_value(json!({"type": "Postgres"})).unwrap();
        })
        .await;
    let data: BTreeSet<String> = plan
        .changes
        .iter()
        .flat_map(|change| change.data.clone())
        .collect();
    let says = |words: &str| data.iter().any(|sentence| sentence.contains(words));
    assert!(says("stall-auth-data stays with its data"), "{data:#?}");
    let plan = world
        .plan(|spec| {
            spec.database =
                from_value(json!({"type": "Embedded", "embedded": {"storage": {"size": "9Gi"}}})).unwrap();
        })
        .await;
    let data: BTreeSet<String> = plan
        .changes
        .iter()
        .flat_map(|change| change.data.clone())
        .collect();
    let says = |words: &str| data.iter().any(|sentence| sentence.contains(words));
    assert!(says("the volume grows"), "{data:#?}");
    assert!(says("it will be deleted with the Platform"), "{data:#?}");
}

#[tokio::test]
async fn a_platform_at_rest_has_nothing_planned() {
    let world = World::new("demo", |_| Fate::Serve).await;
    let plan = world.plan(|_| {}).await;
    assert_eq!(plan.changes, []);
    assert!(
        plan.draw().starts_with("0 to create, 0 to update, 0 to delete, "),
        "{}",
        plan.draw()
    );
}

fn failures(seen: &Seen) -> BTreeMap<String, (String, String)> {
    let failed = |check: Check| match check.verdict {
        Verdict::Failed { detail, fix } => Some((
            format!("{} {}", check.check, check.subject).trim().to_owned(),
            (detail, fix),
        )),
        _ => None,
    };
    examine(seen, now()).into_iter().filter_map(failed).collect()
}

#[tokio::test]
async fn a_healthy_platform_fails_no_check() {
    let world = World::new("demo", |_| Fate::Serve).await;
    let seen = world.seen().await;
    assert_eq!(failures(&seen), BTreeMap::new());
    let diagnosis = Diagnosis {
        namespace: "shop".to_owned(),
        name: "demo".to_owned(),
        checks: examine(&seen, now()),
    };
    assert!(diagnosis.is_well());
    assert_golden("doctor-well", &diagnosis.draw());
}

#[tokio::test]
async fn where_documents_are_disabled_none_is_missed() {
    let world = World::new("demo", |_| Fate::Serve).await;
    let mut seen = world.seen().await;
    seen.services
        .values_mut()
        .for_each(|service| service.document = None);
    seen.portal = None;
    assert_eq!(failures(&seen), BTreeMap::new());
}

#[tokio::test]
async fn each_failure_is_found_with_its_fix() {
    let world = World::new("demo", chat_has_no_image).await;
    let mut seen = world.seen().await;
    let silent = Silence::Counted(Counters::default());
    seen.evidence
        .as_mut()
        .unwrap()
        .silent
        .insert("auth".to_owned(), silent);
    let auth = seen.services.get_mut("auth").unwrap();
    auth.name_resolves = Ok(false);
    auth.endpoints = Ok(0);
    auth.document = Some(Err("it answers 404".to_owned()));
    auth.metrics = Some(Ok(
        "telemetry_envelopes_dropped_total{reason=\"refused\"} 2 # {trace_id=\"ab\"} 1\n\
         telemetry_envelopes_dropped_total{reason=\"queue_full\"} 0\n"
            .to_owned(),
    ));
    seen.dsn = Some(Ok(true));
    seen.portal = Some(Ok(503));
    let found = failures(&seen);
    let fix = |check: &str| {
        found
            .get(check)
            .unwrap_or_else(|| panic!("{check} in {found:#?}"))
            .1
            .clone()
    };
    assert!(fix("pods chat").contains("Check its name, its tag"));
    assert!(fix("dns auth").contains("kube-dns"));
    assert!(fix("endpoints auth").contains("does not select them"));
    assert!(fix("docs auth").contains("services.apiDocs.path"));
    assert!(fix("traces auth").contains("docs/instrument-your-own-service.md"));
    assert!(fix("sentry auth").contains("check the DSN"));
    assert!(
        found["sentry auth"].0.contains("2 (refused)"),
        "{}",
        found["sentry auth"].0
    );
    assert!(fix("docs page").contains("logs --service gateway"));
    assert_eq!(found.len(), 7, "{found:#?}");
    let diagnosis = Diagnosis {
        namespace: "shop".to_owned(),
        name: "demo".to_owned(),
        checks: examine(&seen, now()),
    };
    assert!(!diagnosis.is_well());
    assert_golden("doctor-ill", &diagnosis.draw());
}
