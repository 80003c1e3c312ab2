//! The server: one pod, with its data on a volume.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{Container, ExecAction, PodTemplateSpec, Probe, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{APP, PORT, SCRIPTS, password_variable};
use crate::api::Storage;
use crate::build::config::{build_files, files_volume};
use crate::build::credentials::build_secret;
use crate::build::network::{build_ports, named_port, selector};
use crate::build::pod::{
    LIVENESS, Patience, READINESS, USER, container_port, memory_volume, mount, restricted_container,
    restricted_pod, variable,
};
use crate::build::storage::{build_storage, claim_volume};
use crate::build::{Body, Part};
use crate::labels::Component;
use crate::quantity::parse_quantity;
use crate::resolve::{Postgres, Resolved};

const DIRECTORY: &str = "/data";
/// A folder of the volume, not its root: that may hold what a file system puts there, and belong to somebody else.
const DATA_FOLDER: &str = "/data/postgres";
/// After a crash the server first replays its log, which takes minutes where much was written.
const STARTUP: Patience = Patience {
    period: 1,
    failures: 600,
};
/// Open transactions are ended at once; then everything is written to the volume.
const GRACE_SECONDS: i64 = 60;
const MEBIBYTE: i128 = 1_000_000_000 << 20;

/// Configuration, password, volume, pod and name of the server.
pub(super) fn build_server(resolved: &Resolved, postgres: &Postgres) -> Vec<Part> {
    let files = [
        ("initialise.sh", include_str!("initialise.sh").to_owned()),
        ("pg_hba.conf", include_str!("pg_hba.conf").to_owned()),
        // initdb asks for the name of its user, and an image need not know ours.
        ("passwd", format!("postgres:x:{USER}:{USER}::/tmp:/bin/sh\n")),
    ];
    let config = build_files(Component::DatabaseConfig, &files, |hash| {
        resolved.name.postgres_config(hash)
    });
    let part = |name: String, body: Body| Part {
        name,
        app: APP.to_owned(),
        component: Component::Database,
        body,
    };
    let name = resolved.name.postgres();
    vec![
        build_secret(name.clone(), APP, Component::Credentials),
        part(resolved.name.postgres_claim(), build_storage(&postgres.storage)),
        part(
            name.clone(),
            build_ports(resolved, APP, vec![named_port(APP, PORT)]),
        ),
        part(
            name,
            Body::of(&build_stateful_set(resolved, postgres, &config.name)),
        ),
        config,
    ]
}

fn build_stateful_set(resolved: &Resolved, postgres: &Postgres, config: &str) -> StatefulSet {
    let pod = restricted_pod(
        vec![build_initialiser(resolved, postgres)],
        vec![build_container(postgres)],
        vec![
            memory_volume("tmp", "16Mi"),
            files_volume("scripts", config),
            claim_volume("data", &resolved.name.postgres_claim()),
        ],
        GRACE_SECONDS,
    );
    // The claim is no template of the StatefulSet: such a claim would carry no label and no owner of ours.
    StatefulSet {
        spec: Some(StatefulSetSpec {
            service_name: Some(resolved.name.postgres()),
            replicas: Some(1),
            // With OrderedReady, a pod that never gets ready is not replaced by a better one
            // (kubernetes/kubernetes#67250).
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(selector(resolved, APP)),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta::default()),
                spec: Some(pod),
            },
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn build_initialiser(resolved: &Resolved, postgres: &Postgres) -> Container {
    Container {
        command: Some(vec!["sh".to_owned(), format!("{SCRIPTS}/initialise.sh")]),
        env: Some(vec![
            variable("PGDATA", DATA_FOLDER),
            password_variable("SUPERUSER_PASSWORD", resolved.name.postgres()),
        ]),
        volume_mounts: Some(mounts()),
        ..restricted_container("initialise", &postgres.image, &postgres.sizes)
    }
}

fn build_container(postgres: &Postgres) -> Container {
    let settings = [
        "listen_addresses=*".to_owned(),
        // Nobody is in this pod but the server.
        "unix_socket_directories=".to_owned(),
        format!("hba_file={SCRIPTS}/pg_hba.conf"),
        format!(
            "shared_buffers={}MB",
            shared_buffers(&postgres.sizes.memory_limit)
        ),
        format!("max_wal_size={}MB", max_wal_size(&postgres.storage)),
        "log_timezone=UTC".to_owned(),
        "timezone=UTC".to_owned(),
    ];
    let mut command = vec!["postgres".to_owned(), "-D".to_owned(), DATA_FOLDER.to_owned()];
    command.extend(
        settings
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting]),
    );
    Container {
        command: Some(command),
        ports: Some(vec![container_port(APP, PORT)]),
        startup_probe: Some(probe(STARTUP)),
        liveness_probe: Some(probe(LIVENESS)),
        readiness_probe: Some(probe(READINESS)),
        volume_mounts: Some(mounts()),
        ..restricted_container(APP, &postgres.image, &postgres.sizes)
    }
}

fn mounts() -> Vec<VolumeMount> {
    let passwd = VolumeMount {
        sub_path: Some("passwd".to_owned()),
        ..mount("scripts", "/etc/passwd", true)
    };
    vec![
        mount("tmp", "/tmp", false),
        mount("scripts", SCRIPTS, true),
        passwd,
        mount("data", DIRECTORY, false),
    ]
}

fn probe(patience: Patience) -> Probe {
    let command = ["pg_isready", "--quiet", "--host=127.0.0.1"].map(str::to_owned);
    Probe {
        exec: Some(ExecAction {
            command: Some(command.into()),
        }),
        period_seconds: Some(patience.period),
        failure_threshold: Some(patience.failures),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// A quarter of the memory, in MiB. Source: PostgreSQL's manual, `shared_buffers`.
fn shared_buffers(memory_limit: &str) -> i128 {
    (mebibytes(memory_limit) / 4).max(16)
}

/// The server's own default, 1 GiB, would fill a small volume: at most a quarter of it, in MiB.
fn max_wal_size(storage: &Storage) -> i128 {
    (mebibytes(&storage.size) / 4).clamp(32, 1024)
}

fn mebibytes(quantity: &str) -> i128 {
    parse_quantity(quantity).unwrap_or_default() / MEBIBYTE
}
