//! Names: checked once, then safe to put together. Every derived name of the system is made here.

use std::fmt;

use thiserror::Error;

use crate::hash::short_hash_of_text;

/// Longest name of a Platform.
pub const PLATFORM_NAME_MAX: usize = 30;
/// Longest name of a service.
pub const SERVICE_NAME_MAX: usize = 30;
/// Longest name of a Service object and longest label value: a DNS label (RFC 1123).
pub const DNS_LABEL_MAX: usize = 63;

// Every name below is `{platform}-{something}`; a longer one is refused by the API server only when it is applied.
const _: () = assert!(PLATFORM_NAME_MAX + 1 + SERVICE_NAME_MAX <= DNS_LABEL_MAX);
const _: () = assert!(PLATFORM_NAME_MAX + "-collector-sampler".len() <= DNS_LABEL_MAX);

/// Names that a service may not have, because objects or containers of Tracewell's own have them, or because the variable
/// by which others are told where it is (`DATABASE_URL`) has another meaning.
pub const RESERVED_SERVICE_NAMES: &[&str] = &[
    "jaeger",
    "jaeger-query",
    "collector",
    "collector-sampler",
    "default-deny",
    "postgres",
    "prometheus",
    "database",
    "sentry-ui",
    "trace-ui",
];

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum NameError {
    /// Too long for the names that are derived from it.
    #[error("`{name}` must be at most {max} characters")]
    TooLong {
        /// The name.
        name: String,
        /// Longest allowed name.
        max: usize,
    },
    /// Not a DNS label that starts with a letter (RFC 1035), which names of Services must be.
    #[error(
        "`{0}` must be a lower-case letter, then lower-case letters, digits and '-', ending with a letter or digit"
    )]
    NotADnsLabel(String),
    /// A name of Tracewell's own.
    #[error("`{name}` must not be {}: Tracewell's own objects or variables have these names", RESERVED_SERVICE_NAMES.join(", "))]
    Reserved {
        /// The name.
        name: String,
    },
}

fn dns_label(name: &str, max: usize) -> Result<String, NameError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > max {
        return Err(NameError::TooLong {
            name: name.to_owned(),
            max,
        });
    }
    let well_formed =
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(inner) && !name.ends_with('-');
    if well_formed {
        Ok(name.to_owned())
    } else {
        Err(NameError::NotADnsLabel(name.to_owned()))
    }
}

/// Name of a Platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlatformName(String);

/// Name of a service of a Platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(String);

impl PlatformName {
    /// Checks a Platform's name.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        dns_label(name, PLATFORM_NAME_MAX).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Deployment and Service of a service.
    pub fn workload(&self, service: &ServiceName) -> String {
        format!("{self}-{service}")
    }

    /// Volume claim of a service.
    pub fn data_claim(&self, service: &ServiceName) -> String {
        format!("{self}-{service}-data")
    }

    /// `StatefulSet` and Service of the managed PostgreSQL, and the Secret with its superuser's password.
    pub fn postgres(&self) -> String {
        format!("{self}-postgres")
    }

    /// Volume claim of the managed PostgreSQL.
    pub fn postgres_claim(&self) -> String {
        format!("{self}-postgres-data")
    }

    /// `ConfigMap` of the managed PostgreSQL whose content has this hash.
    pub fn postgres_config(&self, hash: &str) -> String {
        format!("{self}-postgres-{hash}")
    }

    /// Secret with the password of a service's role.
    pub fn role_secret(&self, service: &ServiceName) -> String {
        format!("{self}-{service}-database")
    }

    /// Secret with the key that a service seals what it stores with.
    pub fn encryption_secret(&self, service: &ServiceName) -> String {
        format!("{self}-{service}-encryption")
    }

    /// Beginning of the name of the Job that makes the roles, see [`job`].
    pub fn roles_job(&self) -> String {
        format!("{self}-postgres-roles")
    }

    /// `ConfigMap` of that Job whose content has this hash.
    pub fn roles_config(&self, hash: &str) -> String {
        format!("{self}-postgres-roles-{hash}")
    }

    /// `CronJob` and volume claim of the backups.
    pub fn backup(&self) -> String {
        format!("{self}-postgres-backup")
    }

    /// `ConfigMap` of the backups whose content has this hash.
    pub fn backup_config(&self, hash: &str) -> String {
        format!("{self}-postgres-backup-{hash}")
    }

    /// Beginning of the name of the Job that migrates a service's database, see [`job`].
    pub fn migration_job(&self, service: &ServiceName) -> String {
        format!("{self}-{service}-migrate")
    }

    /// Deployment and Service of the managed Jaeger.
    pub fn jaeger(&self) -> String {
        format!("{self}-jaeger")
    }

    /// Service that opens the managed Jaeger's query API, and nothing else of it, on the nodes.
    pub fn jaeger_query(&self) -> String {
        format!("{self}-jaeger-query")
    }

    /// `ConfigMap` of the managed Jaeger whose content has this hash.
    pub fn jaeger_config(&self, hash: &str) -> String {
        format!("{self}-jaeger-{hash}")
    }

    /// Volume claim of the managed Jaeger.
    pub fn jaeger_claim(&self) -> String {
        format!("{self}-jaeger-data")
    }

    /// Deployment and Service of collectors in pods of their own.
    pub fn collector(&self) -> String {
        format!("{self}-collector")
    }

    /// Deployment and Service of the collectors that decide about whole traces, behind those that bring them together.
    pub fn sampler(&self) -> String {
        format!("{self}-collector-sampler")
    }

    /// Way in from outside.
    pub fn entrance(&self) -> String {
        format!("{self}-gateway")
    }

    /// Network policy that lets nothing in.
    pub fn default_deny(&self) -> String {
        format!("{self}-default-deny")
    }

    /// Deployment and Service of the managed Prometheus.
    pub fn prometheus(&self) -> String {
        format!("{self}-prometheus")
    }

    /// `ConfigMap` of the managed Prometheus whose content has this hash.
    pub fn prometheus_config(&self, hash: &str) -> String {
        format!("{self}-prometheus-{hash}")
    }

    /// Volume claim of the managed Prometheus.
    pub fn prometheus_claim(&self) -> String {
        format!("{self}-prometheus-data")
    }

    /// Headless Service by which the managed Prometheus finds the pods of `app`. Its name is a hash: a readable one would be
    /// longer than a DNS label may be.
    pub fn scraped(&self, app: &str) -> String {
        format!("{self}-metrics-{}", short_hash_of_text(app))
    }

    /// `PodMonitor` of the pods of `app`.
    pub fn monitor(&self, app: &str) -> String {
        format!("{self}-{app}")
    }

    /// `PrometheusRule` of the Platform.
    pub fn alerts(&self) -> String {
        format!("{self}-alerts")
    }

    /// `ConfigMap` of a dashboard.
    pub fn dashboard(&self, dashboard: &str) -> String {
        format!("{self}-dashboard-{dashboard}")
    }

    /// `ConfigMap` of the collectors whose content has this hash.
    pub fn collector_config(&self, hash: &str) -> String {
        format!("{self}-collector-{hash}")
    }
}

impl ServiceName {
    /// Checks a service's name.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if RESERVED_SERVICE_NAMES.contains(&name) {
            return Err(NameError::Reserved {
                name: name.to_owned(),
            });
        }
        dns_label(name, SERVICE_NAME_MAX).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Role of the service in a managed PostgreSQL, and the database that it owns: an identifier that needs no quotes,
    /// and is nobody else's, whatever the service is called.
    pub fn role(&self) -> String {
        format!("svc_{}", self.0.replace('-', "_"))
    }

    /// Value of the label `app.kubernetes.io/name` of what migrates the service's database. No service can have it, so
    /// that no Service selects these pods.
    pub fn migration(&self) -> String {
        format!("{self}.migration")
    }

    /// Environment variable that tells another service where this one is: `AUTH_URL`.
    pub fn url_variable(&self) -> String {
        format!("{}_URL", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

/// Name of a Job: a beginning, and the hash of all that the Job is, since a Job cannot be changed. It is the value of a
/// label of its pods as well, so it is cut to fit.
pub fn job(beginning: &str, hash: &str) -> String {
    let room = DNS_LABEL_MAX - 1 - hash.len();
    let cut = beginning.get(..room).unwrap_or(beginning).trim_end_matches('-');
    format!("{cut}-{hash}")
}

impl fmt::Display for PlatformName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version that an image reference names: its tag, else its digest, else `latest`.
pub fn image_version(image: &str) -> &str {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    // A colon before the last slash is a registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => tag,
        (None, Some(digest)) => digest,
        (None, None) => "latest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label_that_starts_with_a_letter() {
        for good in ["a", "auth", "a-b-1", &"a".repeat(30)] {
            assert!(ServiceName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "1a", "A", "a.b", "a_b", "ä"] {
            assert_eq!(
                ServiceName::parse(bad),
                Err(NameError::NotADnsLabel(bad.to_owned()))
            );
        }
        assert!(matches!(
            PlatformName::parse(&"a".repeat(31)),
            Err(NameError::TooLong { max: 30, .. })
        ));
        assert_eq!(
            ServiceName::parse("jaeger"),
            Err(NameError::Reserved {
                name: "jaeger".to_owned()
            })
        );
    }

    #[test]
    fn names_of_jobs_fit_and_keep_their_hash() {
        assert_eq!(job("demo-auth-migrate", "01234567"), "demo-auth-migrate-01234567");
        let longest = job(
            &format!("{}-{}-migrate", "a".repeat(30), "b".repeat(30)),
            "01234567",
        );
        assert_eq!(longest.len(), DNS_LABEL_MAX);
        assert!(longest.ends_with("b-01234567"), "{longest}");
        assert_eq!(
            job(&format!("{}-migrate", "a".repeat(53)), "01234567"),
            format!("{}-01234567", "a".repeat(53))
        );
    }

    #[test]
    fn roles_are_identifiers_without_quotes() {
        let name = ServiceName::parse("price-list").expect("valid");
        assert_eq!(name.role(), "svc_price_list");
    }

    #[test]
    fn url_variables_are_valid_in_a_shell() {
        let name = ServiceName::parse("price-list").expect("valid");
        assert_eq!(name.url_variable(), "PRICE_LIST_URL");
    }

    #[test]
    fn versions_of_images() {
        for (image, version) in [
            ("localhost:5000/a/b:1.2", "1.2"),
            ("localhost:5000/a/b", "latest"),
            ("nginx", "latest"),
            ("a/b@sha256:0123", "sha256:0123"),
            ("a/b:1.2@sha256:0123", "1.2"),
        ] {
            assert_eq!(image_version(image), version, "{image}");
        }
    }
}
