//! What a Platform means, and what is said about one that breaks rules.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

mod database;
mod metrics;
#[path = "../common/settings.rs"]
mod settings;

use platform_core::api::{Platform, PlatformSpec};
use platform_core::resolve::{Prometheus, Resolved, resolve};
use platform_core::step::Facts;
use serde_json::{Value, json};

use crate::settings::settings;

fn platform(name: &str, spec: Value) -> Platform {
    let spec: PlatformSpec = serde_json::from_value(spec).expect("a spec has the right types");
    let mut platform = Platform::new(name, spec);
    platform.metadata.namespace = Some("shop".to_owned());
    platform.metadata.uid = Some("uid-1".to_owned());
    platform
}

fn accept(spec: Value) -> Resolved {
    resolve(&platform("demo", spec), &Facts::default(), &settings()).expect("the spec keeps every rule")
}

fn refuse(spec: Value) -> Vec<String> {
    let violations =
        resolve(&platform("demo", spec), &Facts::default(), &settings()).expect_err("the spec breaks a rule");
    violations.iter().map(ToString::to_string).collect()
}

/// Each rule is named by its sentence, and no other.
fn assert_named(violations: &[String], expected: &[&str]) {
    for sentence in expected {
        assert!(
            violations.iter().any(|violation| violation.contains(sentence)),
            "{sentence}: {violations:#?}"
        );
    }
    assert_eq!(violations.len(), expected.len(), "{violations:#?}");
}

fn other(name: &str, depends_on: &[&str]) -> Value {
    json!({"name": name, "image": "x:1", "port": 8080, "dependsOn": depends_on})
}

#[test]
fn a_known_name_implies_the_rest() {
    let resolved = accept(json!({}));
    let told: Vec<_> = resolved
        .services
        .iter()
        .map(|s| {
            (
                s.name.as_str(),
                s.image.as_str(),
                s.port,
                s.database.is_some(),
                s.path_prefix.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "auth",
                "registry.test/tracewell/tracewell-auth:4.5.6",
                3001,
                true,
                Some("/auth")
            ),
            (
                "billing",
                "registry.test/tracewell/tracewell-billing:4.5.6",
                3003,
                true,
                Some("/billing")
            ),
            (
                "chat",
                "registry.test/tracewell/tracewell-chat:4.5.6",
                3002,
                true,
                Some("/chat")
            ),
            (
                "gateway",
                "registry.test/tracewell/tracewell-gateway:4.5.6",
                3000,
                false,
                None
            ),
        ],
        "in start order"
    );
}

#[test]
fn implied_dependencies_are_those_that_are_there() {
    let resolved = accept(json!({"services": [{"name": "gateway"}, {"name": "chat"}, {"name": "billing"}]}));
    let names = |service: &str| {
        let service = resolved.service(service).expect("it is listed");
        service
            .depends_on
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("chat"), ["billing"]);
    assert_eq!(names("billing"), Vec::<String>::new());
    assert_eq!(names("gateway"), ["billing", "chat"]);
}

#[test]
fn an_encrypted_backend_needs_a_collector() {
    let spec = |mode: &str| {
        json!({"telemetry": {
            "collector": {"mode": mode},
            "tracing": {"jaeger": {"type": "External", "external": {"endpoint": "https://jaeger.test:4318"}}},
        }})
    };
    let violations = refuse(spec("None"));
    assert!(
        violations[0].contains("must begin with http:// when collector.mode is None"),
        "{violations:?}"
    );
    accept(spec("Sidecar"));
}

#[test]
fn every_rule_that_is_broken_is_named() {
    let violations = refuse(json!({
        "services": [
            {"name": "auth", "replicas": 2, "port": 4318},
            {"name": "auth"},
            {"name": "collector", "image": "x", "port": 1},
            {"name": "mine", "dependsOn": ["ghost"], "resources": {"requests": {"cpu": "lots", "memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
            {"name": "two", "image": "x", "port": 80, "metrics": {"port": 80}, "route": {"pathPrefix": "/auth"}},
            {"name": "three", "image": "x", "port": 80, "route": {"pathPrefix": "/v1"}},
        ],
        "telemetry": {
            "tracing": {"samplingPercent": 101, "jaeger": {"type": "External"}},
            "errors": {"environment": "a,b=c", "tracesSamplePercent": -1, "profilesSamplePercent": 200},
            "metrics": {"prometheus": {"type": "External"}},
        },
        "exposure": {"type": "NodePort", "nodePort": {"gateway": 30000, "jaeger": 30000}},
    }));
    let expected = [
        "collector` must not be jaeger, jaeger-query, collector",
        "auth is listed more than once",
        "services[mine].image: required",
        "services[mine].port: required",
        "services[auth].port: 4318 must be between 1 and 65535, and not 4317, 4318, 8888 or 9464",
        "services[auth].replicas: 2 must be 0 or 1",
        "resources.requests.cpu: `lots` must be a quantity",
        "requests.memory must be less than or equal to limits.memory",
        "services[mine].dependsOn: ghost is not in spec.services",
        "services[three].route.pathPrefix: `/v1` must be one path segment",
        "route.pathPrefix /auth is used by auth, two",
        "telemetry.tracing.samplingPercent: 101 must be between 0 and 100",
        "telemetry.errors.tracesSamplePercent: -1 must be between 0 and 100",
        "telemetry.errors.profilesSamplePercent: 200 must be between 0 and 100",
        "telemetry.errors.environment: `a,b=c` must be letters, digits",
        "jaeger.external: required when type is External",
        "prometheus.external: required when type is External",
        "services[two].metrics.port: 80 must be between 1 and 65535, not the service's own port",
        "gateway and jaeger must be different ports, both are 30000",
    ];
    assert_named(&violations, &expected);
}

#[test]
fn a_circle_is_spelled_out() {
    let circle =
        json!({"services": [other("a", &["b"]), other("b", &["c"]), other("c", &["a"]), other("d", &["a"])]});
    assert_eq!(
        refuse(circle),
        ["spec.services: dependsOn must not go in a circle: a → b → c → a"]
    );
    let circle = json!({"services": [{"name": "gateway"}, {"name": "auth", "dependsOn": ["gateway"]}]});
    assert_eq!(
        refuse(circle),
        ["spec.services: dependsOn must not go in a circle: auth → gateway → auth"]
    );
    let circle = json!({"services": [other("a", &["a"])]});
    assert_eq!(
        refuse(circle),
        ["spec.services: dependsOn must not go in a circle: a → a"]
    );
}

#[test]
fn a_name_too_long_for_what_is_derived_from_it_is_refused() {
    let name = "a".repeat(31);
    let violations = resolve(&platform(&name, json!({})), &Facts::default(), &settings())
        .expect_err("the name is too long");
    assert_eq!(
        violations[0].to_string(),
        format!("metadata.name: `{name}` must be at most 30 characters")
    );
}

#[test]
fn default_sizes_give_way_to_what_is_given() {
    let sizes = |resources: Value| {
        let resolved = accept(json!({"services": [{"name": "auth", "resources": resources}]}));
        let sizes = resolved.services[0].sizes.clone();
        (
            sizes.cpu_request,
            sizes.memory_request,
            sizes.cpu_limit,
            sizes.memory_limit,
        )
    };
    let told = |a: &str, b: &str, c: Option<&str>, d: &str| {
        (a.to_owned(), b.to_owned(), c.map(str::to_owned), d.to_owned())
    };
    assert_eq!(sizes(json!({})), told("25m", "32Mi", None, "256Mi"));
    assert_eq!(
        sizes(json!({"requests": {"memory": "1Gi"}})),
        told("25m", "1Gi", None, "1Gi")
    );
    assert_eq!(
        sizes(json!({"limits": {"cpu": "10m", "memory": "16Mi"}})),
        told("10m", "16Mi", Some("10m"), "16Mi")
    );
}

#[test]
fn an_environment_is_the_platforms_name_unless_it_says_otherwise() {
    let environment = |errors: Value| accept(json!({"telemetry": {"errors": errors}})).environment;
    assert_eq!(accept(json!({})).environment, "demo");
    assert_eq!(environment(json!({})), "demo");
    assert_eq!(
        environment(json!({"environment": "eu-1.staging"})),
        "eu-1.staging"
    );
    for bad in [
        "",
        "None",
        "none",
        "-a",
        "a b",
        "a/b",
        "a$(POD_NAME)",
        &"a".repeat(65),
    ] {
        let violations = refuse(json!({"telemetry": {"errors": {"environment": bad}}}));
        assert!(
            violations[0].contains("errors.environment"),
            "{bad}: {violations:?}"
        );
    }
}

#[test]
fn an_image_is_the_operators_unless_the_spec_names_one() {
    let images = |spec: Value| {
        let resolved = accept(spec);
        let collector = resolved.collector().expect("it is traced").image.clone();
        let postgres = resolved.postgres.expect("it has a server").image;
        match resolved.metrics.prometheus {
            Some(Prometheus::Managed { image, .. }) => [collector, postgres, image],
            other => panic!("not a Prometheus of its own: {other:?}"),
        }
    };
    let mut spec = json!({
        "database": {"type": "Postgres", "postgres": {}},
        "telemetry": {"collector": {}, "metrics": {"prometheus": {"type": "Managed", "managed": {}}}},
    });
    assert_eq!(
        images(spec.clone()),
        ["collector:3", "postgres:4", "prometheus:3"].map(|image| format!("registry.test/{image}"))
    );
    for part in [
        "/database/postgres",
        "/telemetry/collector",
        "/telemetry/metrics/prometheus/managed",
    ] {
        spec.pointer_mut(part).expect("it is there")["image"] = json!(format!("mine{part}"));
    }
    assert_eq!(
        images(spec),
        [
            "mine/telemetry/collector",
            "mine/database/postgres",
            "mine/telemetry/metrics/prometheus/managed"
        ]
    );
}
