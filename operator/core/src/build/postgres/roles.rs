//! A role for each service, with a database that it owns.

use std::fmt::Write;

use k8s_openapi::api::core::v1::Container;

use super::{ROLES_APP, SCRIPTS, SUPERUSER, client_container, password_variable, role_variable};
use crate::build::config::{build_files, files_volume};
use crate::build::job::{Attempts, build_job};
use crate::build::pod::{mount, restricted_pod, variable};
use crate::build::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Postgres, Resolved, Service};

const FILE: &str = "roles.sql";
const GRACE_SECONDS: i64 = 5;

/// The Job that makes the roles, with its script. Only this one has the superuser's password.
pub(super) fn build_roles(resolved: &Resolved, postgres: &Postgres, users: &[&Service]) -> Vec<Part> {
    if users.is_empty() {
        return Vec::new();
    }
    let files = [(FILE, roles_sql(users))];
    let config = build_files(Component::RolesConfig, &files, |hash| {
        resolved.name.roles_config(hash)
    });
    let pod = restricted_pod(
        Vec::new(),
        vec![build_container(resolved, postgres, users)],
        vec![files_volume("scripts", &config.name)],
        GRACE_SECONDS,
    );
    let job = Part {
        name: resolved.name.roles_job(),
        app: ROLES_APP.to_owned(),
        component: Component::Roles,
        // What it does is quick and can be repeated: it goes on until the server takes it.
        body: Body::of(&build_job(pod, resolved.database_uid(), Attempts::Unbounded)),
    };
    vec![config, job]
}

fn build_container(resolved: &Resolved, postgres: &Postgres, users: &[&Service]) -> Container {
    let mut env = vec![
        variable("PGUSER", SUPERUSER),
        variable("PGDATABASE", SUPERUSER),
        // Statements with a password in them stay out of the server's log, also where one fails.
        variable(
            "PGOPTIONS",
            "-c log_statement=none -c log_min_error_statement=panic",
        ),
        password_variable("PGPASSWORD", resolved.name.postgres()),
    ];
    env.extend(users.iter().map(|user| role_variable(resolved, user)));
    let script = format!("--file={SCRIPTS}/{FILE}");
    let command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", &script];
    Container {
        volume_mounts: Some(vec![mount("scripts", SCRIPTS, true)]),
        ..client_container(resolved, postgres, "roles", &command, env)
    }
}

/// Everything in it can be repeated. Names of roles need no quotes, see [`role`](crate::names::ServiceName::role).
fn roles_sql(users: &[&Service]) -> String {
    let mut sql = String::new();
    for user in users {
        let role = user.name.role();
        // Writing to a string cannot fail.
        let _ = writeln!(
            sql,
            r"\getenv password PASSWORD_{role}
SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \gexec
ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SELECT 'CREATE DATABASE {role} OWNER {role}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{role}') \gexec
ALTER DATABASE {role} OWNER TO {role};
REVOKE CONNECT, TEMPORARY ON DATABASE {role} FROM PUBLIC;"
        );
    }
    sql
}
