//! Databases: what is made, in which order, what stays, and what is said.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use platform_core::api::{MigrationState, Platform};
use platform_core::diff::Cause;
use platform_core::kinds::Kind;
use platform_core::labels;
use platform_core::ownership::belongs;
use platform_core::passwords::Entropy;
use platform_core::references::{Reference, references};
use platform_core::step::{Facts, Input, Live, Output, step};
use serde_json::{Value, json};

use crate::fixture::{
    applied, conditions, decide, decide_with, deployment_mut, input, key, platform, serving, settings, state,
};

fn on_postgres() -> Value {
    json!({"services": [{"name": "auth"}], "database": {"type": "Postgres"}})
}

/// Kinds and names of what is applied now.
fn applies(output: &Output) -> Vec<String> {
    let applies = output.changes.waves.iter().flat_map(|wave| &wave.applies);
    applies
        .map(|apply| format!("{} {}", apply.key.kind, apply.key.name))
        .collect()
}

/// Kinds and causes of what waits.
fn held(output: &Output) -> Vec<String> {
    let held = output.changes.held.iter();
    held.map(|held| format!("{} {}", held.apply.key.kind, held.cause.message))
        .collect()
}

fn job_of(live: &Live, app: &str) -> platform_core::kinds::ObjectKey {
    let found = live.objects.iter().find(|(key, object)| {
        key.kind == Kind::Job && object.labels().get(labels::NAME).is_some_and(|n| n == app)
    });
    found.expect("there is such a Job").0.clone()
}

fn set_job(live: &mut Live, app: &str, type_: &str) {
    let key = job_of(live, app);
    let conditions = json!([{"type": type_, "status": "True", "message": "the deadline is over"}]);
    if let Some(job) = live.objects.get_mut(&key) {
        job.data["status"] = json!({"conditions": conditions});
    }
}

#[test]
fn each_step_waits_for_the_one_before() {
    let platform = platform(on_postgres());
    let first = decide(&platform, &Live::default());
    let names = applies(&first);
    for made in [
        "Secret demo-postgres",
        "Secret demo-auth-database",
        "PersistentVolumeClaim demo-postgres-data",
    ] {
        assert!(names.iter().any(|name| name == made), "{made}: {names:?}");
    }
    assert_eq!(
        held(&first),
        [
            "StatefulSet waits for Secret shop/demo-postgres",
            "Job waits for Secret shop/demo-auth-database",
            "Job waits for Secret shop/demo-auth-database",
            "Deployment waits for Secret shop/demo-auth-database",
        ]
    );

    let whole = serving(&platform);
    let mut live = whole.clone();
    live.objects
        .retain(|key, _| !matches!(key.kind, Kind::StatefulSet | Kind::Job | Kind::Deployment));
    let second = decide(&platform, &live);
    assert_eq!(
        applies(&second),
        ["StatefulSet demo-postgres", "Deployment demo-jaeger"]
    );
    assert_eq!(
        held(&second),
        [
            "Job waits for PostgreSQL",
            "Job waits for its role in PostgreSQL",
            "Deployment waits for its role in PostgreSQL"
        ]
    );

    let mut live = whole.clone();
    live.objects
        .retain(|key, _| !matches!(key.kind, Kind::Job | Kind::Deployment));
    assert!(applies(&decide(&platform, &live))[0].starts_with("Job demo-postgres-roles-"));

    let mut live = whole.clone();
    let (migration, deployment) = (
        job_of(&live, "auth.migration"),
        key(Kind::Deployment, "demo-auth"),
    );
    live.objects
        .retain(|key, _| *key != migration && *key != deployment);
    let fourth = decide(&platform, &live);
    assert_eq!(applies(&fourth), [format!("Job {}", migration.name)]);
    assert_eq!(held(&fourth), ["Deployment waits for its migration"]);
    let status = &fourth.status.services[0]
        .migration
        .clone()
        .expect("a migration is wanted");
    assert_eq!(status.state, MigrationState::Pending);

    let mut live = whole.clone();
    live.objects.remove(&deployment);
    assert_eq!(applies(&decide(&platform, &live)), ["Deployment demo-auth"]);
    assert!(decide(&platform, &whole).changes.is_empty());
}

#[test]
fn a_new_image_waits_for_its_migration_and_the_old_pods_serve_on() {
    let mut platform = platform(on_postgres());
    let mut live = serving(&platform);
    platform.status = Some(decide(&platform, &live).status);
    platform.spec.services[0].image = Some("mine:2".to_owned());
    let before = job_of(&live, "auth.migration");
    let output = decide(&platform, &live);
    let job = &output.changes.waves[0].applies[0];
    assert_ne!(job.key, before, "another image is another Job");
    assert_eq!(held(&output), ["Deployment waits for its migration"]);
    assert_eq!(output.changes.prunes[0].key, before);
    let told = conditions(&output.status);
    assert_eq!(told["ServicesAvailable"].0, "True", "the old pods serve");
    assert_eq!((told["Ready"].0, told["DatabaseReady"].0), ("False", "False"));

    live.objects.remove(&before);
    let mut failed = job.object.clone();
    failed.metadata.uid = Some("job".to_owned());
    live.objects.insert(job.key.clone(), failed);
    set_job(&mut live, "auth.migration", "Failed");
    let last_words = json!({"name": "migrate", "image": "mine:2", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": "a\nno such column: b\n"}}});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "x", "labels": {"batch.kubernetes.io/job-name": job.key.name}},
        "status": {"phase": "Failed", "containerStatuses": [last_words]},
    }))
    .expect("a pod");
    live.pods.push(pod);
    let output = decide(&platform, &live);
    let words = "container migrate ended with exit code 1: no such column: b";
    let told = conditions(&output.status);
    assert_eq!(
        told["Stalled"],
        (
            "True",
            "MigrationFailed",
            format!(
                "Deployment shop/demo-auth waits: the migration of its database by mine:2 failed: {words}"
            )
            .as_str()
        )
    );
    assert_eq!(
        told["DatabaseReady"],
        (
            "False",
            "MigrationFailed",
            format!("migration of auth: {words}").as_str()
        )
    );
    let migration = output.status.services[0].migration.clone().expect("there is one");
    assert_eq!(
        (migration.state, migration.image.as_str()),
        (MigrationState::Failed, "mine:2")
    );
    assert!(applies(&output).is_empty(), "the Deployment is held");

    platform.spec.services[0].env =
        serde_json::from_value(json!([{"name": "FIXED", "value": "1"}])).expect("an environment");
    let retried = decide(&platform, &live);
    assert!(
        applies(&retried)[0].starts_with("Job demo-auth-migrate-"),
        "a change is another try"
    );

    set_job(&mut live, "auth.migration", "Complete");
    platform.spec.services[0].env = Vec::new();
    assert_eq!(applies(&decide(&platform, &live)), ["Deployment demo-auth"]);
}

#[test]
fn a_password_is_made_once_and_shown_to_nobody() {
    let platform = platform(on_postgres());
    let facts = Facts::default();
    let settings = settings();
    let with = |live: &Live, bytes: u8| {
        step(Input {
            entropy: Entropy::new([bytes; 32]),
            ..input(&platform, live, &facts, &settings)
        })
    };
    let contents = |output: &Output| -> Vec<String> {
        let applies = output.changes.waves.iter().flat_map(|wave| &wave.applies);
        let contents = applies.filter_map(|apply| apply.content.as_ref());
        contents
            .filter_map(|content| {
                content.reveal()["stringData"]["password"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    };
    let made = with(&Live::default(), 1);
    let passwords = contents(&made);
    assert_eq!(
        passwords.iter().collect::<BTreeSet<_>>().len(),
        2,
        "one for each role"
    );
    assert_ne!(contents(&with(&Live::default(), 2)), passwords);
    let everything = format!("{made:?} {}", json!(made.status));
    for password in &passwords {
        assert!(!everything.contains(password), "a password is shown");
    }

    let live = serving(&platform);
    let later = with(&live, 3);
    assert!(later.changes.is_empty(), "{:?}", applies(&later));
}

#[test]
fn a_password_that_was_deleted_is_made_anew_and_reaches_the_role_and_the_pods() {
    let platform = platform(on_postgres());
    let whole = serving(&platform);
    let mut live = whole.clone();
    let secret = key(Kind::Secret, "demo-auth-database");
    live.objects.get_mut(&secret).expect("it is there").metadata.uid = Some("another".to_owned());
    let output = decide(&platform, &live);
    assert!(
        applies(&output)[0].starts_with("Job demo-postgres-roles-"),
        "{:?}",
        applies(&output)
    );
    assert_ne!(
        output.changes.waves[0].applies[0].key,
        job_of(&whole, "postgres.roles")
    );
    assert_eq!(
        held(&output),
        [
            "Job waits for its role in PostgreSQL",
            "Deployment waits for its role in PostgreSQL"
        ]
    );
}

#[test]
fn on_a_new_volume_roles_and_schemas_are_made_again() {
    let platform = platform(on_postgres());
    let whole = serving(&platform);
    let mut live = whole.clone();
    let claim = key(Kind::PersistentVolumeClaim, "demo-postgres-data");
    live.objects.get_mut(&claim).expect("it is there").metadata.uid = Some("another".to_owned());
    let output = decide(&platform, &live);
    assert!(
        applies(&output)[0].starts_with("Job demo-postgres-roles-"),
        "{:?}",
        applies(&output)
    );
    assert_eq!(
        held(&output),
        ["Job waits for its role in PostgreSQL"],
        "pods stay as they are"
    );
}

/// What the next Platform of the same name finds.
fn next_of_its_name(before: &Platform) -> (Platform, Live) {
    let mut left = serving(before);
    let mut next = before.clone();
    next.metadata.uid = Some("uid-2".to_owned());
    left.objects
        .retain(|key, object| belongs(&next, key.kind, object));
    left.pods.clear();
    (next, left)
}

#[test]
fn the_key_to_a_database_of_somebody_else_outlives_the_platform() {
    let external = json!({"type": "External", "external": {"urlSecretRef": {"name": "databases"}}});
    let spec = json!({"services": [{"name": "auth"}], "database": external});
    let (_, left) = next_of_its_name(&platform(spec));
    let names: Vec<_> = left.objects.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["demo-auth-encryption"]);
}

#[test]
fn what_is_retained_is_taken_over_by_the_next_platform_of_the_name() {
    let mut spec = on_postgres();
    spec["deletionPolicy"] = json!("RetainStorage");
    let (next, left) = next_of_its_name(&platform(spec.clone()));
    let names: Vec<_> = left
        .objects
        .keys()
        .map(|key| format!("{} {}", key.kind, key.name))
        .collect();
    assert_eq!(
        names,
        [
            "Secret demo-auth-database",
            "Secret demo-auth-encryption",
            "Secret demo-postgres",
            "PersistentVolumeClaim demo-postgres-data"
        ]
    );
    let output = decide(&next, &left);
    let adopted = output.changes.waves[0]
        .applies
        .iter()
        .filter(|apply| apply.cause == Cause::Left)
        .inspect(|apply| assert!(apply.content.is_none(), "a password that is there stays"));
    let events: Vec<_> = adopted.filter_map(|apply| Some(apply.event()?.message)).collect();
    assert_eq!(
        events,
        [
            "Took over Secret demo-postgres: an earlier Platform of this name left it",
            "Took over PersistentVolumeClaim demo-postgres-data: an earlier Platform of this name left it",
            "Took over Secret demo-auth-database: an earlier Platform of this name left it",
            "Took over Secret demo-auth-encryption: an earlier Platform of this name left it",
        ]
    );

    let mut stranger = next.clone();
    stranger.metadata.name = Some("other".to_owned());
    assert!(
        left.objects
            .iter()
            .all(|(key, object)| !belongs(&stranger, key.kind, object))
    );
    let (_, of_the_living) = next_of_its_name(&platform(on_postgres()));
    assert!(of_the_living.objects.is_empty(), "what has an owner goes with it");
    let foreign = left.objects.iter().map(|(key, object)| {
        let mut object = object.clone();
        object
            .metadata
            .labels
            .get_or_insert_default()
            .insert(labels::MANAGED_BY.to_owned(), "me".to_owned());
        belongs(&next, key.kind, &object)
    });
    assert!(
        foreign.into_iter().all(|belongs| !belongs),
        "made by somebody else"
    );
}

#[test]
fn a_policy_that_changes_gives_and_takes_the_owner() {
    let mut platform = platform(on_postgres());
    let live = serving(&platform);
    platform.spec.deletion_policy = serde_json::from_value(json!("RetainStorage")).expect("a policy");
    let output = decide(&platform, &live);
    let changed: Vec<_> = output.changes.waves[0].applies.iter().collect();
    assert_eq!(changed.len(), 4);
    for apply in changed {
        assert!(
            apply.object.owner_references().is_empty() && apply.content.is_none(),
            "{}",
            apply.key
        );
    }
    assert!(output.changes.prunes.is_empty());
}

#[test]
fn the_status_says_how_the_databases_are() {
    let told = |spec: Value| {
        let platform = platform(spec);
        let facts = Facts {
            references: references(&platform)
                .into_iter()
                .map(|r| (r, Some("1".to_owned())))
                .collect(),
            ..Facts::default()
        };
        let status = decide_with(&platform, &serving(&platform), &facts).status;
        let (status, reason) = state(&status, "DatabaseReady");
        format!("{status} {reason}")
    };
    assert_eq!(told(json!({})), "True DatabaseAvailable");
    assert_eq!(
        told(json!({"services": [{"name": "gateway"}]})),
        "True NoDatabase"
    );
    assert_eq!(told(on_postgres()), "True DatabaseAvailable");
    let external = json!({"type": "External", "external": {"urlSecretRef": {"name": "databases"}}});
    // With the URL known, the Job is another one than the one that was made without; it is under way.
    let platform = platform(json!({"services": [{"name": "auth"}], "database": external}));
    assert_eq!(references(&platform), [Reference::secret("databases")].into());
    let status = decide(&platform, &serving(&platform)).status;
    assert_eq!(state(&status, "DatabaseReady"), ("Unknown", "ExternalDatabase"));
}

#[test]
fn a_server_without_a_volume_says_which_one() {
    let mut spec = on_postgres();
    spec["database"]["postgres"] = json!({"storage": {"storageClassName": "fast"}});
    let platform = platform(spec);
    let mut live = serving(&platform);
    live.objects
        .get_mut(&key(Kind::StatefulSet, "demo-postgres"))
        .expect("it is there")
        .data["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1});
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": "1970-01-01T00:00:00Z", "message": "pod has unbound immediate PersistentVolumeClaims"});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "demo-postgres-0", "labels": {labels::NAME: "postgres"}},
        "status": {"conditions": [unscheduled]},
    }))
    .expect("a pod");
    live.pods.push(pod);
    let output = decide(&platform, &live);
    let message = "postgres: pod has unbound immediate PersistentVolumeClaims; the claim demo-postgres-data asks the \
                   storage class fast";
    let told = conditions(&output.status);
    assert_eq!(told["DatabaseReady"], ("False", "VolumePending", message));
    assert_eq!(told["Stalled"], ("True", "VolumePending", message));
    assert!(output.changes.is_empty(), "what runs is left as it is");
}

#[test]
fn a_backup_that_is_not_wanted_any_more_leaves_its_volume() {
    let mut spec = on_postgres();
    spec["database"]["postgres"] = json!({"backup": {}});
    let with = platform(spec);
    let live = serving(&with);
    let output = decide(&platform(on_postgres()), &live);
    let pruned: Vec<_> = output.changes.prunes.iter().map(|prune| prune.key.kind).collect();
    assert_eq!(pruned, [Kind::CronJob, Kind::ConfigMap]);
}

#[test]
fn a_file_is_brought_forward_by_its_own_pod() {
    let mine = json!({"name": "mine", "image": "x", "port": 80, "database": "Enabled", "migrations": {"args": ["up"]}});
    let platform = platform(json!({"services": [{"name": "auth"}, mine]}));
    let mut live = applied(&platform);
    assert!(live.objects.keys().all(|key| key.kind != Kind::Job));
    let mut init = |name: &str| {
        let containers = &deployment_mut(&mut live, name).data["spec"]["template"]["spec"]["initContainers"];
        let containers = containers.as_array().cloned().unwrap_or_default();
        containers
            .into_iter()
            .map(|container| container["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(init("demo-auth"), ["collector"]);
    assert_eq!(init("demo-mine"), ["collector", "migrate"]);
}
