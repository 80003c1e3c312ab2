//! Databases with their defaults.

use super::service::{SizeDefaults, resolve_sizes};
use super::{ContainerSizes, Violation};
use crate::api::{
    Backup, DatabaseType, KeyRef, Migrations, PlatformSpec, ServiceDatabase, ServiceSpec, Storage,
    UrlSecretRef,
};
use crate::known::{KnownService, known_service};
use crate::quantity::parse_quantity;
use crate::settings::Settings;

/// What a known service's entrypoint is told, to bring its schema up to date.
const MIGRATE: &str = "migrate";
/// Smallest volume: a fresh PostgreSQL takes a third of it.
const STORAGE_MIN: &str = "128Mi";
/// A server with a handful of busy connections; a quarter of the limit are its shared buffers.
const SIZES: SizeDefaults = SizeDefaults {
    cpu_request: "50m",
    memory_request: "128Mi",
    memory_limit: "512Mi",
};

/// The database server of a Platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// Its image.
    pub image: String,
    /// Its volume.
    pub storage: Storage,
    /// CPU and memory of its container.
    pub sizes: ContainerSizes,
    /// Its backups; None if there are none.
    pub backup: Option<Backup>,
}

/// The database of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file on a volume of the service's own.
    File(Storage),
    /// A database, and a role that owns it, in the Platform's server.
    Managed,
    /// Somebody else's, by the URL in a Secret.
    External(KeyRef),
}

/// The server that the Platform asks for; reports every rule that its database breaks.
pub(super) fn resolve_postgres(
    platform: &PlatformSpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Postgres> {
    let (spec, database_type) = (&platform.database, platform.database_type());
    for (member, present, type_) in [
        ("embedded", spec.embedded.is_some(), DatabaseType::Embedded),
        ("postgres", spec.postgres.is_some(), DatabaseType::Postgres),
        ("external", spec.external.is_some(), DatabaseType::External),
    ] {
        if present && database_type != type_ {
            violations.push(Violation::DatabaseMember { member });
        }
    }
    if database_type == DatabaseType::Embedded {
        check_storage(
            "embedded",
            &spec.embedded.clone().unwrap_or_default().storage,
            violations,
        );
    }
    if database_type != DatabaseType::Postgres {
        return None;
    }
    let postgres = spec.postgres.clone().unwrap_or_default();
    check_storage("postgres", &postgres.storage, violations);
    if let Some(backup) = &postgres.backup {
        check_storage("postgres.backup", &backup.storage, violations);
        if !(1..=365).contains(&backup.retain_count) {
            violations.push(Violation::RetainCount {
                count: backup.retain_count,
            });
        }
    }
    Some(Postgres {
        image: postgres.image.unwrap_or_else(|| settings.postgres_image.clone()),
        storage: postgres.storage,
        sizes: resolve_sizes("spec.database.postgres", &postgres.resources, &SIZES, violations),
        backup: postgres.backup,
    })
}

fn check_storage(field: &'static str, storage: &Storage, violations: &mut Vec<Violation>) {
    if parse_quantity(&storage.size).is_none_or(|size| Some(size) < parse_quantity(STORAGE_MIN)) {
        violations.push(Violation::StorageSize {
            field,
            size: storage.size.clone(),
        });
    }
}

/// The database of a service; None if it has none.
pub(super) fn resolve_database(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    platform: &PlatformSpec,
    violations: &mut Vec<Violation>,
) -> Option<Database> {
    let service = || spec.name.clone();
    if spec.database_url_secret_ref.is_some() && platform.database_type() != DatabaseType::External {
        violations.push(Violation::UrlWithoutExternal { service: service() });
    }
    if !has_database(spec, known) {
        if spec.migrations.is_some() {
            violations.push(Violation::MigrationsWithoutDatabase { service: service() });
        }
        return None;
    }
    match platform.database_type() {
        DatabaseType::Embedded => Some(Database::File(
            platform.database.embedded.clone().unwrap_or_default().storage,
        )),
        DatabaseType::Postgres => Some(Database::Managed),
        DatabaseType::External => {
            let url = database_url(spec, known, platform);
            if url.is_none() {
                violations.push(Violation::DatabaseUrlMissing { service: service() });
            }
            url.map(Database::External)
        }
    }
}

/// Where the URL of a service's external database is; None if it has no such database, or nobody says where.
pub(crate) fn database_url(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    platform: &PlatformSpec,
) -> Option<KeyRef> {
    if platform.database_type() != DatabaseType::External || !has_database(spec, known) {
        return None;
    }
    let shared = platform
        .database
        .external
        .as_ref()
        .map(|external| &external.url_secret_ref);
    let of_its_name = |shared: &UrlSecretRef| KeyRef {
        name: shared.name.clone(),
        key: shared.key.clone().unwrap_or_else(|| spec.name.clone()),
    };
    spec.database_url_secret_ref
        .clone()
        .or_else(|| shared.map(of_its_name))
}

/// A key of the Platform's Secret is given, and several services would use it.
pub(super) fn check_shared_url(spec: &PlatformSpec, violations: &mut Vec<Violation>) {
    let external = spec.database.external.as_ref();
    if external.is_none_or(|external| external.url_secret_ref.key.is_none()) {
        return;
    }
    let users: Vec<&str> = spec
        .services
        .iter()
        .filter(|service| {
            service.database_url_secret_ref.is_none() && has_database(service, known_service(&service.name))
        })
        .map(|service| service.name.as_str())
        .collect();
    if users.len() > 1 {
        violations.push(Violation::SharedDatabase {
            services: users.join(", "),
        });
    }
}

fn has_database(spec: &ServiceSpec, known: Option<&KnownService>) -> bool {
    match spec.database {
        Some(database) => database == ServiceDatabase::Enabled,
        None => known.is_some_and(|known| known.database),
    }
}

/// How the image of a service with a database brings its schema up to date; None if it does so by itself.
///
/// With an embedded database, a known service does it when it starts: the file is on the volume of its pod.
pub(super) fn resolve_migrations(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    database: Option<&Database>,
    violations: &mut Vec<Violation>,
) -> Option<Migrations> {
    let migrations = match (&spec.migrations, database?) {
        (Some(migrations), _) => migrations.clone(),
        (None, Database::Managed | Database::External(_)) if known.is_some_and(|known| known.database) => {
            Migrations {
                args: Some(vec![MIGRATE.to_owned()]),
                ..Migrations::default()
            }
        }
        (None, _) => return None,
    };
    if migrations.command.is_none() && migrations.args.is_none() {
        violations.push(Violation::MigrationsEmpty {
            service: spec.name.clone(),
        });
    }
    if !(10..=86_400).contains(&migrations.deadline_seconds) {
        violations.push(Violation::MigrationDeadline {
            service: spec.name.clone(),
            seconds: migrations.deadline_seconds,
        });
    }
    Some(migrations)
}
