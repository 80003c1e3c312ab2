//! What is said of backups.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DynamicObject;
use platform_core::api::Platform;
use platform_core::kinds::Kind;
use platform_core::step::Live;
use serde_json::json;

use crate::fixture::{at, conditions, decide, key, platform, serving, state};

#[test]
fn the_last_backup_is_told() {
    let platform = platform(json!({
        "services": [{"name": "auth"}],
        "database": {"type": "Postgres", "postgres": {"backup": {}}},
    }));
    let mut live = serving(&platform);
    let told = |live: &Live, platform: &Platform| {
        let status = decide(platform, live).status;
        let (state, reason, message) = conditions(&status)["BackupSucceeded"];
        (format!("{state} {reason}"), message.to_owned(), status)
    };
    assert_eq!(told(&live, &platform).0, "Unknown BackupNotDue");

    let cron_job = live.objects[&key(Kind::CronJob, "demo-postgres-backup")].clone();
    let template = &cron_job.data["spec"]["jobTemplate"];
    let labels: BTreeMap<String, String> =
        serde_json::from_value(template["metadata"]["labels"].clone()).expect("its Jobs have its labels");
    assert_eq!(Some(&labels), cron_job.metadata.labels.as_ref());
    let job = |minute: u8, condition: &str| {
        let mut job = DynamicObject::new(&format!("backup-{minute}"), &Kind::Job.info().api_resource());
        job.metadata.labels = Some(labels.clone());
        job.metadata.creation_timestamp = Some(Time(at(i64::from(minute) * 60)));
        job.data = json!({"spec": template["spec"].clone(), "status": {
            "completionTime": "1970-01-12T13:50:00Z",
            "conditions": [{"type": condition, "status": "True", "message": "the deadline is over"}],
        }});
        (key(Kind::Job, &format!("backup-{minute}")), job)
    };
    live.objects.extend([job(1, "Complete")]);
    let done = told(&live, &platform);
    assert_eq!(
        (done.0.as_str(), done.1.as_str()),
        (
            "True BackupSucceeded",
            "the last backup was done at 1970-01-12T13:50:00Z"
        )
    );

    // One that restores is none, though it has the same labels.
    let (restore, mut object) = job(2, "Failed");
    object.data["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["sh", "restore.sh"]);
    live.objects.insert(restore, object);
    assert_eq!(told(&live, &platform).0, "True BackupSucceeded");

    live.objects.extend([job(3, "Failed")]);
    let mut before = platform.clone();
    before.status = Some(done.2);
    let failed = told(&live, &before);
    assert_eq!(failed.0, "False BackupFailed");
    assert_eq!(failed.1, "the last backup: the deadline is over");
    assert!(
        state(&failed.2, "Ready").0 == "True",
        "what serves goes on serving"
    );
    let events = decide(&before, &live).events;
    assert_eq!(
        events
            .iter()
            .map(|event| event.reason.as_str())
            .collect::<Vec<_>>(),
        ["BackupFailed"]
    );

    // While the next one is under way, what was said stands.
    live.objects.extend([job(4, "Suspended")]);
    before.status = Some(failed.2);
    assert_eq!(told(&live, &before).0, "False BackupFailed");
}
