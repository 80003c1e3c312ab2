//! Migrations: what brings the schema of a service's database up to date before pods of a new image start.
//!
//! A database that several pods reach is brought forward once, by a Job. A file on the volume of the one pod is brought
//! forward by the pod itself, before its service starts.

use k8s_openapi::api::core::v1::Container;

use super::environment::{build_migration_environment, build_sources};
use super::job::{Attempts, build_job};
use super::pod::{memory_volume, mount, restricted_container, restricted_pod};
use super::workload::DATA_DIRECTORY;
use super::{Body, Part};
use crate::api::Migrations;
use crate::labels::Component;
use crate::resolve::{Database, Resolved, Service};

const CONTAINER: &str = "migrate";
/// Further attempts at one migration: a database may be away for a moment.
const RETRIES: i32 = 3;
const GRACE_SECONDS: i64 = 30;

/// The Job of a service whose database is not a file; None where nothing is to be done.
pub(super) fn build_migration(resolved: &Resolved, service: &Service) -> Option<Part> {
    let migrations = service.migrations.as_ref()?;
    let done_to = match service.database.as_ref()? {
        Database::File(_) => return None,
        Database::Managed => resolved.database_uid(),
        Database::External(_) => None,
    };
    let container = Container {
        volume_mounts: Some(vec![mount("tmp", "/tmp", false)]),
        ..build_container(resolved, service, migrations)
    };
    let pod = restricted_pod(
        Vec::new(),
        vec![container],
        vec![memory_volume("tmp", "16Mi")],
        GRACE_SECONDS,
    );
    let attempts = Attempts::Bounded {
        retries: RETRIES,
        deadline_seconds: migrations.deadline_seconds,
    };
    Some(Part {
        name: resolved.name.migration_job(&service.name),
        app: service.name.migration(),
        component: Component::Migration,
        body: Body::of(&build_job(pod, done_to, attempts)),
    })
}

/// The init container of a service whose database is a file; None where nothing is to be done.
pub(super) fn build_init_container(resolved: &Resolved, service: &Service) -> Option<Container> {
    let migrations = service.migrations.as_ref()?;
    matches!(service.database, Some(Database::File(_))).then(|| Container {
        volume_mounts: Some(vec![
            mount("tmp", "/tmp", false),
            mount("data", DATA_DIRECTORY, false),
        ]),
        ..build_container(resolved, service, migrations)
    })
}

fn build_container(resolved: &Resolved, service: &Service, migrations: &Migrations) -> Container {
    Container {
        command: migrations.command.clone(),
        args: migrations.args.clone(),
        env: Some(build_migration_environment(resolved, service)),
        env_from: build_sources(service),
        ..restricted_container(CONTAINER, &service.image, &service.sizes)
    }
}
