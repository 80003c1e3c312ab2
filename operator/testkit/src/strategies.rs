//! Generators of Platforms that the API server would accept.

use kube::core::ObjectMeta;
use platform_core::api::{
    ApiDocs, Autoscaling, Backup, BadgerStorage, CollectorGateway, CollectorMode, CollectorSpec, Dashboards,
    DatabaseSpec, DatabaseType, DebugEndpoints, DeletionPolicy, EnvFrom, EnvVar, ErrorsSpec, ExporterHeader,
    ExporterSpec, ExposureSpec, ExposureType, ExternalDatabase, ExternalJaeger, ExternalPrometheus,
    IngressExposure, JaegerSpec, JaegerStorage, JaegerStorageType, JaegerType, KeyRef, ManagedJaeger,
    ManagedPrometheus, MetricsDiscovery, MetricsSpec, Migrations, NameRef, NetworkPolicyMode, OtlpProtocol,
    Platform, PlatformSpec, PostgresDatabase, Profile, PrometheusSpec, PrometheusStorage,
    PrometheusStorageType, PrometheusType, Redaction, Resources, RolloutSpec, Route, SecuritySpec,
    ServiceDatabase, ServiceMetrics, ServiceSpec, ServiceTelemetry, Sizes, TailErrors, TailSampling,
    TelemetrySpec, TracingSpec, UrlSecretRef,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::{option, sample};

/// Names that are nobody's, some of which are the longest allowed or the beginning of another.
const OTHER_NAMES: &[&str] = &["price-list", "price", "a", "abcdefghijklmnopqrstuvwxyz-012"];
const KNOWN_NAMES: &[&str] = &["gateway", "auth", "chat", "billing"];

/// Any Platform that keeps every rule.
pub fn platforms() -> impl Strategy<Value = Platform> {
    (
        services(),
        (database(), deletion_policy()),
        telemetry(),
        exposure(),
        operation(),
        "[a-z][a-z0-9]{0,28}[a-z0-9]",
    )
        .prop_map(
            |(services, (database, deletion_policy), telemetry, exposure, operation, name)| Platform {
                metadata: ObjectMeta {
                    name: Some(name),
                    namespace: Some("shop".to_owned()),
                    uid: Some("5f1c7f0e-0000-4000-8000-000000000001".to_owned()),
                    generation: Some(1),
                    ..ObjectMeta::default()
                },
                spec: PlatformSpec {
                    services,
                    deletion_policy,
                    database,
                    telemetry,
                    exposure,
                    ..operation
                },
                status: None,
            },
        )
}

fn database() -> impl Strategy<Value = DatabaseSpec> {
    let backup = option::of(Just(Backup::default()));
    prop_oneof![
        Just(DatabaseSpec::default()),
        Just(DatabaseSpec {
            type_: Some(DatabaseType::Embedded),
            ..DatabaseSpec::default()
        }),
        backup.prop_map(|backup| DatabaseSpec {
            type_: Some(DatabaseType::Postgres),
            postgres: Some(PostgresDatabase {
                backup,
                ..PostgresDatabase::default()
            }),
            ..DatabaseSpec::default()
        }),
        Just(DatabaseSpec {
            type_: Some(DatabaseType::External),
            external: Some(ExternalDatabase {
                url_secret_ref: UrlSecretRef {
                    name: "databases".to_owned(),
                    key: None,
                },
            }),
            ..DatabaseSpec::default()
        }),
    ]
}

fn deletion_policy() -> impl Strategy<Value = DeletionPolicy> {
    sample::select(vec![DeletionPolicy::Delete, DeletionPolicy::RetainStorage])
}

/// The parts of a spec that say how the Platform is run. It stays managed: a paused one has nothing to show.
fn operation() -> impl Strategy<Value = PlatformSpec> {
    let profile = select(vec![Profile::Local, Profile::Production]);
    let api_docs = select(vec![ApiDocs::Portal, ApiDocs::PerService, ApiDocs::Disabled]);
    let network_policy = select(vec![NetworkPolicyMode::Enforced, NetworkPolicyMode::Disabled]);
    (profile, api_docs, network_policy, 30..=3600_i32).prop_map(
        |(profile, api_docs, network_policy, progress_deadline_seconds)| PlatformSpec {
            profile,
            api_docs,
            security: SecuritySpec { network_policy },
            rollout: RolloutSpec {
                progress_deadline_seconds,
            },
            ..PlatformSpec::default()
        },
    )
}

fn services() -> impl Strategy<Value = Vec<ServiceSpec>> {
    let known = sample::subsequence(KNOWN_NAMES, 0..=KNOWN_NAMES.len());
    let others = sample::subsequence(OTHER_NAMES, 0..=OTHER_NAMES.len());
    (known, others)
        .prop_filter("a Platform has a service", |(known, others)| {
            !known.is_empty() || !others.is_empty()
        })
        .prop_flat_map(|(known, others)| {
            let known_services = known.iter().map(|name| known_service(name)).collect::<Vec<_>>();
            // Any other service may depend on those before it, and on known ones, which depend on none of them. Only
            // the gateway depends on all.
            let other_services: Vec<_> = others
                .iter()
                .enumerate()
                .map(|(position, name)| {
                    let before = others.iter().take(position);
                    let callable = before.chain(known.iter().filter(|name| **name != "gateway"));
                    other_service(name, position, callable.map(ToString::to_string).collect())
                })
                .collect();
            (known_services, other_services)
        })
        .prop_map(|(known, others)| known.into_iter().chain(others).collect::<Vec<_>>())
        .prop_shuffle()
}

fn known_service(name: &'static str) -> impl Strategy<Value = ServiceSpec> {
    (
        env(),
        resources(),
        option::of(Just("registry.test/other:9".to_owned())),
    )
        .prop_map(move |(env, resources, image)| ServiceSpec {
            env,
            resources,
            image,
            ..ServiceSpec::named(name)
        })
}

fn other_service(
    name: &'static str,
    position: usize,
    callable: Vec<String>,
) -> impl Strategy<Value = ServiceSpec> {
    let count = callable.len();
    let depends_on = option::of(sample::subsequence(callable, 0..=count));
    let route = option::of(Just(Route {
        path_prefix: format!("/other-{position}"),
    }));
    (
        env(),
        resources(),
        depends_on,
        route,
        1024..4000_i32,
        scale(),
        any::<bool>(),
        any::<bool>(),
        option::of(Just(ServiceMetrics {
            port: 9100,
            path: "/stats".to_owned(),
        })),
    )
        .prop_map(
            move |(
                env,
                resources,
                depends_on,
                route,
                port,
                (replicas, autoscaling),
                database,
                migrates,
                metrics,
            )| {
                let database =
                    database && replicas.is_none_or(|replicas| replicas <= 1) && autoscaling.is_none();
                let migrations = Migrations {
                    command: Some(vec!["migrate".to_owned()]),
                    ..Migrations::default()
                };
                ServiceSpec {
                    image: Some(format!("registry.test/{name}@sha256:{:064}", 7)),
                    port: Some(port),
                    replicas,
                    autoscaling,
                    env_from: vec![EnvFrom {
                        prefix: None,
                        secret_ref: Some(NameRef {
                            name: "shared".to_owned(),
                        }),
                        config_map_ref: None,
                    }],
                    telemetry: Some(ServiceTelemetry {
                        sampling_percent: Some(port % 101),
                    }),
                    database: database.then_some(ServiceDatabase::Enabled),
                    migrations: (database && migrates).then_some(migrations),
                    env,
                    resources,
                    depends_on,
                    route,
                    metrics,
                    ..ServiceSpec::named(name)
                }
            },
        )
}

/// A number of pods, or what decides it, or neither.
fn scale() -> impl Strategy<Value = (Option<i32>, Option<Autoscaling>)> {
    let automatic = (1..4_i32, 0..4_i32).prop_map(|(min_replicas, more)| {
        let autoscaling = Autoscaling {
            min_replicas,
            max_replicas: min_replicas + more,
            target_cpu_percent: 80,
        };
        (None, Some(autoscaling))
    });
    prop_oneof![
        option::of(0..4_i32).prop_map(|replicas| (replicas, None)),
        automatic
    ]
}

fn env() -> impl Strategy<Value = Vec<EnvVar>> {
    let names = [
        "RUST_LOG",
        "PORT",
        "OTEL_SERVICE_NAME",
        "SENTRY_DSN",
        "FEATURE",
        "AUTH_URL",
    ];
    sample::subsequence(names.to_vec(), 0..=3).prop_map(|names| {
        let entry = |name: &str| EnvVar {
            name: name.to_owned(),
            value: Some("by-hand".to_owned()),
            value_from: None,
        };
        names.into_iter().map(entry).collect()
    })
}

fn resources() -> impl Strategy<Value = Resources> {
    let sizes = |cpu: &'static [&'static str], memory: &'static [&'static str]| {
        let pick =
            |values: &'static [&'static str]| option::of(sample::select(values).prop_map(str::to_owned));
        option::of((pick(cpu), pick(memory)).prop_map(|(cpu, memory)| Sizes { cpu, memory }))
    };
    (
        sizes(&["10m", "0.5"], &["16Mi", "200Mi"]),
        sizes(&["500m", "2"], &["200Mi", "1Gi"]),
    )
        .prop_map(|(requests, limits)| Resources { requests, limits })
}

fn telemetry() -> impl Strategy<Value = TelemetrySpec> {
    let backend = sample::select(vec![
        JaegerType::Managed,
        JaegerType::External,
        JaegerType::Disabled,
    ]);
    (
        backend,
        collector(),
        exporters(),
        option::of(badger()),
        0..=100_i32,
        option::of(errors()),
        metrics(),
    )
        .prop_map(
            |(type_, collector, exporters, badger, sampling_percent, errors, metrics)| {
                let external = (type_ == JaegerType::External).then(|| ExternalJaeger {
                    endpoint: "http://jaeger.test:4318".to_owned(),
                    query_url: None,
                });
                let managed = badger
                    .filter(|_| type_ == JaegerType::Managed)
                    .map(|badger| ManagedJaeger {
                        storage: JaegerStorage {
                            type_: JaegerStorageType::Badger,
                            badger: Some(badger),
                            ..JaegerStorage::default()
                        },
                        monitor: None,
                    });
                let sends = collector.mode != CollectorMode::None && type_ != JaegerType::Disabled;
                TelemetrySpec {
                    tracing: TracingSpec {
                        sampling_percent,
                        jaeger: JaegerSpec {
                            type_,
                            managed,
                            external,
                        },
                        exporters: if sends { exporters } else { Vec::new() },
                    },
                    collector,
                    errors,
                    metrics,
                }
            },
        )
}

fn badger() -> impl Strategy<Value = BadgerStorage> {
    (1..100_i32).prop_map(|retention_hours| BadgerStorage {
        retention_hours,
        ..BadgerStorage::default()
    })
}

fn collector() -> impl Strategy<Value = CollectorSpec> {
    let mode = select(vec![
        CollectorMode::Sidecar,
        CollectorMode::Gateway,
        CollectorMode::None,
    ]);
    let redaction = select(vec![Redaction::Standard, Redaction::Strict, Redaction::Off]);
    let tail_sampling = (
        select(vec![TailErrors::Keep, TailErrors::Sample]),
        option::of(1..60_000_i32),
        0..=100_i32,
    )
        .prop_map(|(errors, slower_than_milliseconds, other_percent)| TailSampling {
            errors,
            slower_than_milliseconds,
            other_percent,
        });
    let gateway =
        (1..3_i32, option::of(tail_sampling)).prop_map(|(replicas, tail_sampling)| CollectorGateway {
            replicas,
            tail_sampling,
        });
    (mode, redaction, option::of(gateway)).prop_map(|(mode, redaction, gateway)| CollectorSpec {
        mode,
        // Any image, so that several may decide about whole traces.
        image: Some("registry.test/collector-contrib:1".to_owned()),
        redaction,
        gateway: gateway.filter(|_| mode == CollectorMode::Gateway),
    })
}

fn exporters() -> impl Strategy<Value = Vec<ExporterSpec>> {
    let key = |key: &str| KeyRef {
        name: "vendor".to_owned(),
        key: key.to_owned(),
    };
    let exporter = move |name: &str, protocol| ExporterSpec {
        name: name.to_owned(),
        protocol,
        endpoint: format!("https://{name}.test:4318"),
        headers: vec![ExporterHeader {
            name: "x-api-key".to_owned(),
            secret_key_ref: key("api-key"),
        }],
        ca_secret_ref: Some(key("ca")),
    };
    let all = vec![
        exporter("first", OtlpProtocol::Http),
        exporter("second", OtlpProtocol::Grpc),
    ];
    sample::subsequence(all, 0..=2)
}

fn errors() -> impl Strategy<Value = ErrorsSpec> {
    let dsn = KeyRef {
        name: "sentry".to_owned(),
        key: "dsn".to_owned(),
    };
    let debug = sample::select(vec![DebugEndpoints::Disabled, DebugEndpoints::Enabled]);
    let ui_url = option::of(Just("http://sentry.test/organizations/acme".to_owned()));
    (option::of(Just(dsn)), ui_url, 0..=100_i32, debug).prop_map(
        |(dsn_secret_ref, ui_url, percent, debug_endpoints)| ErrorsSpec {
            dsn_secret_ref,
            ui_url,
            traces_sample_percent: percent,
            debug_endpoints,
            ..ErrorsSpec::default()
        },
    )
}

fn exposure() -> impl Strategy<Value = ExposureSpec> {
    let host = || "shop.example.com".to_owned();
    let ingress = ExposureSpec {
        type_: ExposureType::Ingress,
        ingress: Some(IngressExposure {
            host: host(),
            class_name: None,
            tls_secret_ref: Some(NameRef {
                name: "tls".to_owned(),
            }),
        }),
        ..ExposureSpec::default()
    };
    // An HTTPRoute needs a CRD, which the cluster in memory does not have: that is tested apart.
    let node_port = ExposureSpec {
        type_: ExposureType::NodePort,
        ..ExposureSpec::default()
    };
    select(vec![ExposureSpec::default(), node_port, ingress])
}

fn metrics() -> impl Strategy<Value = MetricsSpec> {
    let prometheus = sample::select(vec![
        PrometheusType::Disabled,
        PrometheusType::Managed,
        PrometheusType::External,
    ]);
    let storage = sample::select(vec![PrometheusStorageType::Memory, PrometheusStorageType::Volume]);
    let discovery = sample::select(vec![
        MetricsDiscovery::Auto,
        MetricsDiscovery::PodMonitor,
        MetricsDiscovery::Annotations,
        MetricsDiscovery::None,
    ]);
    let dashboards = option::of(sample::select(vec![Dashboards::ConfigMap, Dashboards::Disabled]));
    (prometheus, storage, discovery, dashboards).prop_map(|(type_, storage, discovery, dashboards)| {
        let managed = (type_ == PrometheusType::Managed).then(|| ManagedPrometheus {
            storage: PrometheusStorage {
                type_: storage,
                volume: None,
            },
            ..ManagedPrometheus::default()
        });
        let external = (type_ == PrometheusType::External).then(|| ExternalPrometheus {
            url: "http://prometheus.test:9090".to_owned(),
        });
        MetricsSpec {
            discovery: if managed.is_some() {
                MetricsDiscovery::Auto
            } else {
                discovery
            },
            prometheus: PrometheusSpec {
                type_,
                managed,
                external,
            },
            dashboards,
        }
    })
}
