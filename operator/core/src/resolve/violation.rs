//! What is wrong with a Platform.

use thiserror::Error;

use crate::claims::Exclusive;
use crate::names::NameError;

/// A rule that a Platform breaks: where, what is wrong, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Violation {
    /// The Platform's name is not usable.
    #[error("metadata.name: {0}")]
    PlatformName(NameError),
    /// A service's name is not usable.
    #[error("spec.services: name {0}")]
    ServiceName(NameError),
    /// Two services have the same name.
    #[error("spec.services: {service} is listed more than once; names must be unique")]
    DuplicateService {
        /// Name of both.
        service: String,
    },
    /// A service that Tracewell does not bring along has no image.
    #[error(
        "spec.services[{service}].image: required for a service that is not one of gateway, auth, chat, billing"
    )]
    ImageMissing {
        /// The service.
        service: String,
    },
    /// A service that Tracewell does not bring along has no port.
    #[error(
        "spec.services[{service}].port: required for a service that is not one of gateway, auth, chat, billing"
    )]
    PortMissing {
        /// The service.
        service: String,
    },
    /// A port that is none, or that something else in the pod uses.
    #[error(
        "spec.services[{service}].port: {port} must be between 1 and 65535, and not 4317, 4318, 8888 or 9464: the \
         collector and the metrics listen there in the same pod"
    )]
    Port {
        /// The service.
        service: String,
        /// The port.
        port: i32,
    },
    /// A port of metrics that is none, or that something else in the pod uses.
    #[error(
        "spec.services[{service}].metrics.port: {port} must be between 1 and 65535, not the service's own port, and not \
         4317, 4318 or 8888: the collector listens there in the same pod"
    )]
    MetricsPort {
        /// The service.
        service: String,
        /// The port.
        port: i32,
    },
    /// A number of pods that the service cannot have.
    #[error("spec.services[{service}].replicas: {replicas} must be between 0 and 100")]
    Replicas {
        /// The service.
        service: String,
        /// The number.
        replicas: i32,
    },
    /// Several pods on one SQLite file.
    #[error(
        "spec.services[{service}].replicas: {replicas} must be 0 or 1, and autoscaling left out, for a service with an \
         Embedded database: its file has one writer"
    )]
    EmbeddedReplicas {
        /// The service.
        service: String,
        /// The number.
        replicas: i32,
    },
    /// A number of pods, and something that decides it.
    #[error(
        "spec.services[{service}]: replicas and autoscaling exclude each other: autoscaling decides the number of pods"
    )]
    ReplicasAndAutoscaling {
        /// The service.
        service: String,
    },
    /// Bounds of a number of pods that are none.
    #[error(
        "spec.services[{service}].autoscaling: minReplicas must be less than or equal to maxReplicas, both between 1 \
         and 100"
    )]
    AutoscalingBounds {
        /// The service.
        service: String,
    },
    /// A source of variables that is none, or two.
    #[error("spec.services[{service}].envFrom: an entry has exactly one of secretRef and configMapRef")]
    EnvFrom {
        /// The service.
        service: String,
    },
    /// An amount that is none.
    #[error("{path}.resources.{field}: `{value}` must be a quantity such as 50m or 64Mi")]
    Quantity {
        /// Where the resources stand.
        path: String,
        /// Path below `resources`.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// More is reserved than may be used.
    #[error("{path}.resources: requests.{resource} must be less than or equal to limits.{resource}")]
    RequestAboveLimit {
        /// Where the resources stand.
        path: String,
        /// cpu or memory.
        resource: &'static str,
    },
    /// Settings of another type of database.
    #[error(
        "spec.database.{member}: allowed only when database.type is of the same name; left out, it is Embedded with \
         profile Local, Postgres with profile Production"
    )]
    DatabaseMember {
        /// The settings.
        member: &'static str,
    },
    /// A volume that is too small, or whose size is none.
    #[error("spec.database.{field}.storage.size: `{size}` must be a quantity such as 1Gi, at least 128Mi")]
    StorageSize {
        /// Path below `database`.
        field: &'static str,
        /// What stands there.
        size: String,
    },
    /// A number of dumps that cannot be kept.
    #[error("spec.database.postgres.backup.retainCount: {count} must be between 1 and 365")]
    RetainCount {
        /// The number.
        count: i32,
    },
    /// The URL of a database beside one that Tracewell runs.
    #[error("spec.services[{service}].databaseURLSecretRef: allowed only when database.type is External")]
    UrlWithoutExternal {
        /// The service.
        service: String,
    },
    /// An external database without its URL.
    #[error(
        "spec.services[{service}]: its database is External, so spec.database.external or databaseURLSecretRef is required"
    )]
    DatabaseUrlMissing {
        /// The service.
        service: String,
    },
    /// Services that would use one database.
    #[error(
        "spec.database.external.urlSecretRef.key: {services} would use one database; without the key, each uses the key \
         of its own name"
    )]
    SharedDatabase {
        /// The services.
        services: String,
    },
    /// Migrations of nothing.
    #[error("spec.services[{service}].migrations: allowed only for a service with a database")]
    MigrationsWithoutDatabase {
        /// The service.
        service: String,
    },
    /// Migrations that would start the service itself.
    #[error("spec.services[{service}].migrations: command or args is required")]
    MigrationsEmpty {
        /// The service.
        service: String,
    },
    /// A deadline that is none.
    #[error("spec.services[{service}].migrations.deadlineSeconds: {seconds} must be between 10 and 86400")]
    MigrationDeadline {
        /// The service.
        service: String,
        /// The deadline.
        seconds: i32,
    },
    /// A service depends on one that is not there.
    #[error("spec.services[{service}].dependsOn: {dependency} is not in spec.services")]
    UnknownDependency {
        /// The service.
        service: String,
        /// What it depends on.
        dependency: String,
    },
    /// Services wait for each other.
    #[error("spec.services: dependsOn must not go in a circle: {path}")]
    Cycle {
        /// The circle.
        path: String,
    },
    /// A place behind the gateway that is none, or the gateway's own.
    #[error(
        "spec.services[{service}].route.pathPrefix: `{prefix}` must be one path segment such as /auth, and not /v1, \
         /api-docs, /debug, /health, /healthz, /metrics or /readyz: the gateway answers these itself"
    )]
    Prefix {
        /// The service.
        service: String,
        /// The prefix.
        prefix: String,
    },
    /// Two services want the same place behind the gateway.
    #[error(
        "spec.services: route.pathPrefix {prefix} is used by {services}; each may be used by one service only"
    )]
    SharedPrefix {
        /// The prefix.
        prefix: String,
        /// Who wants it.
        services: String,
    },
    /// A share that is none.
    #[error("spec.telemetry.{field}: {value} must be between 0 and 100")]
    Percent {
        /// Path below `telemetry`.
        field: &'static str,
        /// The number.
        value: i32,
    },
    /// An environment that Sentry would refuse, or that would break the list of resource attributes.
    #[error(
        "spec.telemetry.errors.environment: `{environment}` must be letters, digits, '-', '.' and '_', at most 64, \
         beginning and ending with a letter or digit, and not None"
    )]
    Environment {
        /// The environment.
        environment: String,
    },
    /// An external backend without an address.
    #[error("spec.telemetry.tracing.jaeger.external: required when type is External")]
    ExternalMissing,
    /// An external backend that the services cannot speak to without a collector.
    #[error(
        "spec.telemetry.tracing.jaeger.external.endpoint: {endpoint} must begin with http:// when collector.mode is \
         None: the services send their spans over http only"
    )]
    EndpointNeedsCollector {
        /// The address.
        endpoint: String,
    },
    /// Further backends, and nothing that sends to them.
    #[error(
        "spec.telemetry.tracing.exporters: need a collector: collector.mode must not be None, and tracing.jaeger.type \
         not Disabled"
    )]
    ExportersNeedCollector,
    /// Several collectors that decide about whole traces, and nothing that brings a trace together.
    #[error(
        "spec.telemetry.collector.gateway.replicas: {replicas} with tailSampling need an image that has the \
         loadbalancing exporter, which the default does not: name it, or use one replica"
    )]
    BalancedCollectorImage {
        /// The number.
        replicas: i32,
    },
    /// Settings of something that is not asked for.
    #[error("spec.{field}: allowed only when {only}")]
    NotAllowed {
        /// Path below `spec`.
        field: String,
        /// What would have to be so.
        only: &'static str,
    },
    /// A variable with two values.
    #[error("spec.services[{service}].env[{variable}]: {rule}")]
    Variable {
        /// The service.
        service: String,
        /// The variable.
        variable: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// A way in without its settings.
    #[error("spec.exposure.{field}: required when type is {type_}")]
    ExposureMissing {
        /// The field.
        field: &'static str,
        /// The way in.
        type_: &'static str,
    },
    /// What another Platform has.
    #[error("spec.exposure: {what} is taken by Platform {owner}; choose another")]
    Taken {
        /// The host name or the port.
        what: Exclusive,
        /// Namespace and name of the other Platform.
        owner: String,
    },
    /// A deadline that is none.
    #[error("spec.rollout.progressDeadlineSeconds: {seconds} must be between 30 and 3600")]
    ProgressDeadline {
        /// The number.
        seconds: i32,
    },
    /// An external Prometheus without an address.
    #[error("spec.telemetry.metrics.prometheus.external: required when type is External")]
    ExternalPrometheusMissing,
    /// Two Prometheus servers for one pod.
    #[error(
        "spec.telemetry.metrics.discovery: must be Auto or None when prometheus.type is Managed: each pod is scraped by one \
         Prometheus"
    )]
    ScrapedTwice,
    /// A Monitor tab without figures.
    #[error(
        "spec.telemetry.tracing.jaeger.managed.monitor: Enabled needs metrics.prometheus of type Managed or External: Jaeger \
         reads from there what it shows"
    )]
    MonitorNeedsPrometheus,
    /// A time of keeping samples that is none.
    #[error("spec.telemetry.metrics.prometheus.managed.retentionHours: {hours} must be between 1 and 8760")]
    RetentionHours {
        /// The number.
        hours: i32,
    },
    /// A size that is none.
    #[error(
        "spec.telemetry.metrics.prometheus.managed.storage.volume.size: `{size}` must be a quantity such as 2Gi"
    )]
    PrometheusVolumeSize {
        /// What stands there.
        size: String,
    },
    /// One port for two things.
    #[error("spec.exposure.nodePort: gateway and jaeger must be different ports, both are {port}")]
    SharedNodePort {
        /// The port.
        port: i32,
    },
}

impl Violation {
    /// Whether it may go without a change of the Platform that has it.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}
