//! Backups: a dump of each database, made by the role that owns it, on a volume of their own.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::Container;

use super::{BACKUP_APP, SCRIPTS, client_container, role_variable};
use crate::api::Backup;
use crate::build::config::{build_files, files_volume};
use crate::build::job::{Attempts, build_job};
use crate::build::pod::{mount, restricted_pod, variable};
use crate::build::storage::{build_storage, claim_volume};
use crate::build::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Postgres, Resolved, Service};

/// Jobs kept to look back at, of each outcome.
const HISTORY: i32 = 1;
/// Further attempts at one backup.
const RETRIES: i32 = 2;
/// Longest backup, in seconds: the next one must not wait for ever.
const DEADLINE_SECONDS: i32 = 6 * 3600;
const GRACE_SECONDS: i64 = 5;

/// The scripts, the volume and the CronJob.
pub(super) fn build_backup(
    resolved: &Resolved,
    postgres: &Postgres,
    backup: &Backup,
    users: &[&Service],
) -> Vec<Part> {
    let files = [
        ("backup.sh", include_str!("backup.sh").to_owned()),
        ("restore.sh", include_str!("restore.sh").to_owned()),
        ("roles.sh", include_str!("roles.sh").to_owned()),
    ];
    let config = build_files(Component::BackupConfig, &files, |hash| {
        resolved.name.backup_config(hash)
    });
    let pod = restricted_pod(
        Vec::new(),
        vec![build_container(resolved, postgres, backup, users)],
        vec![
            files_volume("scripts", &config.name),
            claim_volume("backup", &resolved.name.backup()),
        ],
        GRACE_SECONDS,
    );
    let attempts = Attempts::Bounded {
        retries: RETRIES,
        deadline_seconds: DEADLINE_SECONDS,
    };
    let cron_job = CronJob {
        spec: Some(CronJobSpec {
            schedule: backup.schedule.clone(),
            time_zone: Some("Etc/UTC".to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            successful_jobs_history_limit: Some(HISTORY),
            failed_jobs_history_limit: Some(HISTORY),
            job_template: JobTemplateSpec {
                spec: build_job(pod, None, attempts).spec,
                ..JobTemplateSpec::default()
            },
            ..CronJobSpec::default()
        }),
        ..CronJob::default()
    };
    let part = |body: Body| Part {
        name: resolved.name.backup(),
        app: BACKUP_APP.to_owned(),
        component: Component::Backup,
        body,
    };
    vec![
        part(build_storage(&backup.storage)),
        part(Body::of(&cron_job)),
        config,
    ]
}

fn build_container(
    resolved: &Resolved,
    postgres: &Postgres,
    backup: &Backup,
    users: &[&Service],
) -> Container {
    let roles: Vec<String> = users.iter().map(|user| user.name.role()).collect();
    let mut env = vec![
        variable("ROLES", roles.join(" ")),
        variable("RETAIN_COUNT", backup.retain_count.to_string()),
    ];
    env.extend(users.iter().map(|user| role_variable(resolved, user)));
    let script = format!("{SCRIPTS}/backup.sh");
    Container {
        volume_mounts: Some(vec![
            mount("scripts", SCRIPTS, true),
            mount("backup", "/backup", false),
        ]),
        ..client_container(resolved, postgres, "backup", &["sh", &script], env)
    }
}
