//! Generators of Platforms that the API server would accept.

use kube::core::ObjectMeta;
use platform_core::api::{
    CollectorMode, CollectorSpec, DatabaseSpec, DebugEndpoints, EnvVar, ErrorsSpec, ExposureSpec,
    ExposureType, ExternalJaeger, JaegerSpec, JaegerType, KeyRef, Platform, PlatformSpec, Resources, Route,
    ServiceDatabase, ServiceSpec, Sizes, TelemetrySpec, TracingSpec,
};
use proptest::prelude::*;
use proptest::{option, sample};

/// Names that are nobody's, some of which are the longest allowed or the beginning of another.
const OTHER_NAMES: &[&str] = &["price-list", "price", "a", "abcdefghijklmnopqrstuvwxyz-012"];
const KNOWN_NAMES: &[&str] = &["gateway", "auth", "chat", "billing"];

/// Any Platform that keeps every rule.
pub fn platforms() -> impl Strategy<Value = Platform> {
    (services(), telemetry(), exposure(), "[a-z][a-z0-9]{0,28}[a-z0-9]").prop_map(
        |(services, telemetry, exposure, name)| Platform {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some("shop".to_owned()),
                uid: Some("5f1c7f0e-0000-4000-8000-000000000001".to_owned()),
                generation: Some(1),
                ..ObjectMeta::default()
            },
            spec: PlatformSpec {
                services,
                database: DatabaseSpec::default(),
                telemetry,
                exposure,
            },
            status: None,
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
        0..4_i32,
        any::<bool>(),
    )
        .prop_map(
            move |(env, resources, depends_on, route, port, replicas, database)| {
                let database = database && replicas <= 1;
                ServiceSpec {
                    image: Some(format!("registry.test/{name}@sha256:{:064}", 7)),
                    port: Some(port),
                    replicas,
                    database: database.then_some(ServiceDatabase::Enabled),
                    env,
                    resources,
                    depends_on,
                    route,
                    ..ServiceSpec::named(name)
                }
            },
        )
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
    let mode = sample::select(vec![CollectorMode::Sidecar, CollectorMode::None]);
    (backend, mode, 0..=100_i32, option::of(errors())).prop_map(|(type_, mode, sampling_percent, errors)| {
        let external = (type_ == JaegerType::External).then(|| ExternalJaeger {
            endpoint: "http://jaeger.test:4318".to_owned(),
            query_url: None,
        });
        let jaeger = JaegerSpec {
            type_,
            managed: None,
            external,
        };
        TelemetrySpec {
            tracing: TracingSpec {
                sampling_percent,
                jaeger,
            },
            collector: CollectorSpec { mode, image: None },
            errors,
        }
    })
}

fn errors() -> impl Strategy<Value = ErrorsSpec> {
    let dsn = KeyRef {
        name: "sentry".to_owned(),
        key: "dsn".to_owned(),
    };
    let debug = sample::select(vec![DebugEndpoints::Disabled, DebugEndpoints::Enabled]);
    (option::of(Just(dsn)), 0..=100_i32, debug).prop_map(|(dsn_secret_ref, percent, debug_endpoints)| {
        ErrorsSpec {
            dsn_secret_ref,
            traces_sample_percent: percent,
            debug_endpoints,
            ..ErrorsSpec::default()
        }
    })
}

fn exposure() -> impl Strategy<Value = ExposureSpec> {
    sample::select(vec![ExposureType::None, ExposureType::NodePort]).prop_map(|type_| ExposureSpec {
        type_,
        node_port: None,
    })
}
