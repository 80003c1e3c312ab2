//! Flags and environment. A flag wins over its variable; both are listed by `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use platform_core::settings::{SecretsGrant, Settings};

use crate::cluster::{LeaseKey, Reach};

/// The operator's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release that Tracewell is tested with.
const JAEGER_IMAGE: &str = "docker.io/jaegertracing/jaeger:2.13.0";

/// The major version that Tracewell is tested with; its data stays readable within it.
const POSTGRES_IMAGE: &str = "docker.io/library/postgres:15";

/// The release that Tracewell is tested with.
const PROMETHEUS_IMAGE: &str = "docker.io/prom/prometheus:v3.16.0";

/// Runs instrumented services from one Platform object.
#[derive(Debug, Parser)]
#[command(name = "tracewell-operator", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the Platforms of the cluster and keep them as they should be
    Run(RunArgs),
    /// Print the CRD as YAML
    Crd,
    /// Print the objects that the operator would create for a Platform, without a cluster
    Render(ManifestArgs),
    /// Check a Platform against every rule that needs no cluster; the exit code is 1 when one is broken
    Lint(ManifestArgs),
    /// Show what applying a Platform would change in the cluster; the exit code is 1 when there are differences
    Diff(ManifestArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The settings that the core decides by.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// TCP port of /livez, /readyz and /metrics
    #[arg(long, env = "HTTP_PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Name of this pod, for the events that it publishes
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// The only namespace to watch [default: all of them]
    #[arg(long, env = "WATCH_NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub watch_namespace: Option<String>,

    /// Namespace of the Lease by which several operators agree on one that reconciles [default: none, this one reconciles]
    #[arg(long, env = "LEASE_NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub lease_namespace: Option<String>,

    /// Name of that Lease
    #[arg(long, env = "LEASE_NAME", default_value = "tracewell-operator", value_parser = NonEmptyStringValueParser::new())]
    pub lease_name: String,
}

impl RunArgs {
    /// The namespaces to watch.
    pub fn reach(&self) -> Reach {
        self.watch_namespace
            .clone()
            .map_or(Reach::Cluster, Reach::Namespace)
    }

    /// The Lease to agree by.
    pub fn lease(&self) -> Option<LeaseKey> {
        Some(LeaseKey {
            namespace: self.lease_namespace.clone()?,
            name: self.lease_name.clone(),
        })
    }
}

/// Arguments of `render` and `diff`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// File with one Platform, other documents are passed over; - reads the standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub file: PathBuf,

    /// The settings that the core decides by.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What the person who installs the operator decides once for all Platforms.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Repository of Tracewell's services: the gateway is {repository}/tracewell-gateway:{tag}
    #[arg(long, env = "IMAGE_REPOSITORY", default_value = "ghcr.io/tracewell", value_parser = NonEmptyStringValueParser::new())]
    pub image_repository: String,

    /// Tag of Tracewell's services
    #[arg(long, env = "IMAGE_TAG", default_value = VERSION, value_parser = NonEmptyStringValueParser::new())]
    pub image_tag: String,

    /// Image of a managed Jaeger
    #[arg(long, env = "JAEGER_IMAGE", default_value = JAEGER_IMAGE, value_parser = NonEmptyStringValueParser::new())]
    pub jaeger_image: String,

    /// Image of a managed PostgreSQL
    #[arg(long, env = "POSTGRES_IMAGE", default_value = POSTGRES_IMAGE, value_parser = NonEmptyStringValueParser::new())]
    pub postgres_image: String,

    /// Image of a managed Prometheus
    #[arg(long, env = "PROMETHEUS_IMAGE", default_value = PROMETHEUS_IMAGE, value_parser = NonEmptyStringValueParser::new())]
    pub prometheus_image: String,

    /// Name of the chart's role for Secrets, which a binding gives the operator in a namespace
    #[arg(long, env = "SECRETS_ROLE", default_value = "tracewell-secrets", value_parser = NonEmptyStringValueParser::new())]
    pub secrets_role: String,

    /// The operator's service account, its namespace before a colon
    #[arg(long, env = "SERVICE_ACCOUNT", default_value = "tracewell-system:tracewell", value_parser = NonEmptyStringValueParser::new())]
    pub service_account: String,

    /// Image of the collector sidecars [default: Jaeger's, which is an OpenTelemetry Collector as well]
    #[arg(long, env = "COLLECTOR_IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub collector_image: Option<String>,
}

/// A command line that has nothing else.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct OnlySettings {
    #[command(flatten)]
    settings: SettingsArgs,
}

impl SettingsArgs {
    /// What these flags say, with the defaults of the others.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        OnlySettings::try_parse_from(flags).map(|parsed| parsed.settings)
    }

    /// The settings that the core decides by.
    pub fn to_settings(&self) -> Settings {
        Settings {
            operator_version: VERSION.to_owned(),
            image_repository: self.image_repository.trim_end_matches('/').to_owned(),
            image_tag: self.image_tag.clone(),
            jaeger_image: self.jaeger_image.clone(),
            postgres_image: self.postgres_image.clone(),
            prometheus_image: self.prometheus_image.clone(),
            collector_image: self
                .collector_image
                .clone()
                .unwrap_or_else(|| self.jaeger_image.clone()),
            secrets_grant: SecretsGrant {
                cluster_role: self.secrets_role.clone(),
                service_account: self.service_account.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_collector_is_jaegers_image_unless_named() {
        let settings = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["tracewell-operator", "run"], arguments].concat()).unwrap();
            match cli.command {
                Command::Run(run) => run.settings.to_settings(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(settings(&["--jaeger-image", "j:1"]).collector_image, "j:1");
        assert_eq!(
            settings(&["--jaeger-image", "j:1", "--collector-image", "c:2"]).collector_image,
            "c:2"
        );
        assert_eq!(
            settings(&["--image-repository", "r.example/x/"]).image_repository,
            "r.example/x"
        );
    }
}
