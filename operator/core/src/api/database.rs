//! Where services keep their data.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, Storage};

/// The volume may grow and is never another one. What is left out counts as its default, so that neither adding a block nor
/// taking it away changes a volume unseen.
const SIZE_GROWS: &str = "quantity(has(self.embedded) ? self.embedded.storage.size : has(self.postgres) ? self.postgres.storage.size : '1Gi')\
     .compareTo(quantity(has(oldSelf.embedded) ? oldSelf.embedded.storage.size : has(oldSelf.postgres) ? oldSelf.postgres.storage.size : '1Gi')) >= 0";
const CLASS_STAYS: &str = "[has(self.embedded) ? self.embedded.storage.?storageClassName.orValue('') : has(self.postgres) ? self.postgres.storage.?storageClassName.orValue('') : ''] == \
     [has(oldSelf.embedded) ? oldSelf.embedded.storage.?storageClassName.orValue('') : has(oldSelf.postgres) ? oldSelf.postgres.storage.?storageClassName.orValue('') : '']";

/// Where services with a database keep their data.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(SIZE_GROWS).message("storage of the database cannot be made smaller: volumes do not shrink"),
    validation = Rule::new(CLASS_STAYS).message("storageClassName of the database cannot be changed: data is not moved between volumes"),
    validation = Rule::new("!has(self.external) || (has(self.type) && self.type == 'External')").message("database.external is allowed only when database.type is External")
)]
pub struct DatabaseSpec {
    /// Kind of database. Left out, it is Embedded with profile Local, Postgres with profile Production. With Embedded, the pod of
    /// before ends first, as it holds the file: an image that cannot start takes its service down until it is corrected.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<DatabaseType>,
    /// Settings of type Embedded. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabase>,
    /// Settings of type Postgres. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresDatabase>,
    /// Settings of type External.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

/// Kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseType {
    /// An SQLite file on a volume of its own for each service; such a service has one pod.
    Embedded,
    /// A PostgreSQL server of the Platform's own, with a database and a role for each service.
    Postgres,
    /// Databases that somebody else runs, each given by its URL in a Secret.
    External,
}

/// SQLite files.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedDatabase {
    /// The volume of each service. It can grow, where its storage class lets it; its class cannot be changed.
    #[serde(default)]
    pub storage: Storage,
}

/// A PostgreSQL server: one pod, with its data on a volume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresDatabase {
    /// Container image with `initdb`, `postgres`, `psql`, `pg_dump`, `pg_restore`, `pg_isready` and `sh` on its PATH.
    /// Its major version cannot be changed once there is data. Left out, it is the operator's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,
    /// The volume of the server. It can grow, where its storage class lets it; its class cannot be changed.
    #[serde(default)]
    pub storage: Storage,
    /// CPU and memory of the server. What is left out has a small default.
    #[serde(default)]
    pub resources: Resources,
    /// Backups. Left out, there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
}

/// Dumps of every database, made again and again and kept on a volume of their own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When, in the notation of cron and in UTC: minute, hour, day of the month, month, day of the week.
    #[serde(default = "every_night")]
    #[schemars(
        length(min = 1, max = 100),
        regex(pattern = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|\S+ \S+ \S+ \S+ \S+)$")
    )]
    pub schedule: String,
    /// Dumps of each database that are kept, the newest.
    #[serde(default = "one_week")]
    #[schemars(range(min = 1, max = 365))]
    pub retain_count: i32,
    /// The volume of the dumps. It can grow, where its storage class lets it; its class cannot be changed.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0").message("storage of backups cannot be made smaller: volumes do not shrink"),
        validation = Rule::new("[self.?storageClassName.orValue('')] == [oldSelf.?storageClassName.orValue('')]").message("storageClassName of backups cannot be changed: dumps are not moved between volumes")
    )]
    pub storage: Storage,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            schedule: every_night(),
            retain_count: one_week(),
            storage: Storage::default(),
        }
    }
}

fn every_night() -> String {
    "0 3 * * *".to_owned()
}

fn one_week() -> i32 {
    7
}

/// Databases that somebody else runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// The Secret with the URLs, for example `postgres://user:password@host:5432/name`.
    pub url_secret_ref: UrlSecretRef,
}

/// A Secret in the Platform's namespace that holds the URL of a database.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside it. Left out, each service uses the key of its own name: a database belongs to one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// How an image brings its database's schema up to date. It is done before pods of the image start.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.command) || has(self.args)").message("migrations needs command or args: without them the service itself would be started"))]
pub struct Migrations {
    /// Program and arguments in place of the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub command: Option<Vec<String>>,
    /// Arguments of the entrypoint or of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub args: Option<Vec<String>>,
    /// How long all attempts may take together, in seconds. After that the migration has failed, and the pods of the
    /// version before go on serving.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 10, max = 86400))]
    pub deadline_seconds: i32,
}

impl Default for Migrations {
    fn default() -> Self {
        Self {
            command: None,
            args: None,
            deadline_seconds: ten_minutes(),
        }
    }
}

fn ten_minutes() -> i32 {
    600
}
