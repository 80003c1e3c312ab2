//! The Platform's own PostgreSQL: the server, a role with a database for each service, and backups. The image's
//! programs are started by their names, never by its entrypoint.

mod backup;
mod roles;
mod server;

use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::Part;
use super::credentials::build_secret;
use super::environment::from_secret;
use super::pod::{restricted_container, variable};
use crate::api::KeyRef;
use crate::labels::Component;
use crate::names::ServiceName;
use crate::passwords::PASSWORD_KEY;
use crate::resolve::{ContainerSizes, Database, Postgres, Resolved, Service};

/// Port of the server.
pub(super) const PORT: i32 = 5432;
/// Value of the label `app.kubernetes.io/name` of the server's pods.
pub(crate) const APP: &str = "postgres";
/// The same of the pod that makes the roles. No service can have a name with a dot.
pub(crate) const ROLES_APP: &str = "postgres.roles";
/// The same of the pods that make backups.
pub(crate) const BACKUP_APP: &str = "postgres.backup";
/// The role that may do everything.
const SUPERUSER: &str = "postgres";
/// Where the scripts are mounted.
const SCRIPTS: &str = "/scripts";

/// Every object of the server and of what belongs to it.
pub(super) fn build_postgres(resolved: &Resolved, postgres: &Postgres) -> Vec<Part> {
    let users: Vec<&Service> = resolved
        .services
        .iter()
        .filter(|service| service.database == Some(Database::Managed))
        .collect();
    let mut parts = server::build_server(resolved, postgres);
    parts.extend(users.iter().map(|user| {
        build_secret(
            resolved.name.role_secret(&user.name),
            user.name.as_str(),
            Component::Credentials,
        )
    }));
    parts.extend(roles::build_roles(resolved, postgres, &users));
    if let Some(backup) = &postgres.backup {
        parts.extend(backup::build_backup(resolved, postgres, backup, &users));
    }
    parts
}

/// How a service reaches its database: a password, and a URL that refers to it.
pub(super) fn connection_variables(resolved: &Resolved, service: &ServiceName) -> [EnvVar; 2] {
    let role = service.role();
    let password = password_variable("DATABASE_PASSWORD", resolved.name.role_secret(service));
    let host = resolved.name.postgres();
    let url = format!("postgres://{role}:$(DATABASE_PASSWORD)@{host}:{PORT}/{role}");
    [password, variable("DATABASE_URL", url)]
}

fn password_variable(name: &str, secret: String) -> EnvVar {
    let reference = KeyRef {
        name: secret,
        key: PASSWORD_KEY.to_owned(),
    };
    from_secret(name, &reference)
}

/// Name of the variable with the password of a role, for the scripts.
fn role_variable(resolved: &Resolved, service: &Service) -> EnvVar {
    password_variable(
        &format!("PASSWORD_{}", service.name.role()),
        resolved.name.role_secret(&service.name),
    )
}

/// A container that runs a client of the server.
fn client_container(
    resolved: &Resolved,
    postgres: &Postgres,
    name: &str,
    command: &[&str],
    env: Vec<EnvVar>,
) -> Container {
    let sizes = ContainerSizes {
        cpu_request: "10m".to_owned(),
        memory_request: "32Mi".to_owned(),
        cpu_limit: None,
        memory_limit: "128Mi".to_owned(),
    };
    let mut variables = vec![
        variable("PGHOST", resolved.name.postgres()),
        variable("PGPORT", PORT.to_string()),
        variable("PGCONNECT_TIMEOUT", "10"),
    ];
    variables.extend(env);
    Container {
        command: Some(command.iter().map(ToString::to_string).collect()),
        env: Some(variables),
        ..restricted_container(name, &postgres.image, &sizes)
    }
}
