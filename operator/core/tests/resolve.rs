//! What a Platform means, and what is said about one that breaks rules.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

use platform_core::api::{Platform, PlatformSpec, Storage};
use platform_core::kinds::Kind;
use platform_core::resolve::{Database, Discovery, Resolved, Scale, resolve};
use platform_core::settings::{SecretsGrant, Settings};
use platform_core::step::Facts;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings {
        operator_version: "1.2.3".to_owned(),
        image_repository: "registry.test/tracewell".to_owned(),
        image_tag: "4.5.6".to_owned(),
        jaeger_image: "registry.test/jaeger:2".to_owned(),
        postgres_image: "registry.test/postgres:4".to_owned(),
        prometheus_image: "registry.test/prometheus:3".to_owned(),
        collector_image: "registry.test/collector:3".to_owned(),
        secrets_grant: SecretsGrant {
            cluster_role: "tracewell-secrets".to_owned(),
            service_account: "tracewell-system:tracewell".to_owned(),
        },
    }
}

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
        "services[auth].port: 4318 must be between 1 and 65535, and not 4317, 4318, 8888, 9464 or 13133",
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
    for sentence in expected {
        assert!(
            violations.iter().any(|violation| violation.contains(sentence)),
            "{sentence}: {violations:#?}"
        );
    }
    assert_eq!(violations.len(), expected.len(), "{violations:#?}");
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
fn rules_about_databases_are_named() {
    let violations = refuse(json!({
        "services": [
            {"name": "gateway", "migrations": {"args": ["migrate"]}},
            {"name": "auth", "databaseURLSecretRef": {"name": "n", "key": "k"}, "migrations": {"deadlineSeconds": 5}},
        ],
        "database": {
            "type": "Postgres",
            "embedded": {},
            "external": {"urlSecretRef": {"name": "n"}},
            "postgres": {
                "storage": {"size": "1Mi"},
                "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
                "backup": {"retainCount": 0, "storage": {"size": "much"}},
            },
        },
    }));
    let expected = [
        "services[gateway].migrations: allowed only for a service with a database",
        "services[auth].databaseURLSecretRef: allowed only when database.type is External",
        "services[auth].migrations: command or args is required",
        "migrations.deadlineSeconds: 5 must be between 10 and 86400",
        "spec.database.embedded: allowed only when database.type is of the same name; left out, it is Embedded with profile Local, Postgres with profile Production",
        "spec.database.external: allowed only when database.type is of the same name; left out, it is Embedded with profile Local, Postgres with profile Production",
        "spec.database.postgres.storage.size: `1Mi` must be a quantity such as 1Gi, at least 128Mi",
        "spec.database.postgres.backup.storage.size: `much` must be a quantity",
        "spec.database.postgres.resources: requests.cpu must be less than or equal to limits.cpu",
        "backup.retainCount: 0 must be between 1 and 365",
    ];
    for sentence in expected {
        assert!(
            violations.iter().any(|violation| violation.contains(sentence)),
            "{sentence}: {violations:#?}"
        );
    }
    assert_eq!(violations.len(), expected.len(), "{violations:#?}");
}

#[test]
fn a_profile_chooses_the_database_that_the_spec_leaves_out() {
    let database = |profile: &str, database: Value| {
        let resolved =
            accept(json!({"profile": profile, "services": [{"name": "auth"}], "database": database}));
        let auth = resolved.service("auth").unwrap().clone();
        (resolved.postgres.is_some(), auth.database, auth.scale)
    };
    let embedded = Some(Database::File(Storage::default()));
    let server = (true, Some(Database::Managed), Scale::Fixed(2));
    assert_eq!(
        database("Local", json!({})),
        (false, embedded.clone(), Scale::Fixed(1))
    );
    assert_eq!(database("Production", json!({})), server);
    assert_eq!(database("Production", json!({"postgres": {}})), server);
    assert_eq!(
        database("Production", json!({"type": "Embedded"})),
        (false, embedded, Scale::Fixed(1))
    );
    assert_eq!(
        database("Local", json!({"type": "Postgres"})),
        (true, Some(Database::Managed), Scale::Fixed(1))
    );
}

#[test]
fn each_external_database_has_its_url() {
    let url = |spec: Value, name: &str| match accept(spec).service(name).and_then(|s| s.database.clone()) {
        Some(Database::External(reference)) => (reference.name, reference.key),
        other => panic!("{other:?}"),
    };
    let external = |reference: Value| json!({"type": "External", "external": {"urlSecretRef": reference}});
    let shared = json!({
        "services": [{"name": "auth"}, {"name": "chat", "databaseURLSecretRef": {"name": "own", "key": "url"}}],
        "database": external(json!({"name": "all"})),
    });
    assert_eq!(url(shared.clone(), "auth"), ("all".to_owned(), "auth".to_owned()));
    assert_eq!(url(shared.clone(), "chat"), ("own".to_owned(), "url".to_owned()));

    let mut with_key = shared;
    with_key["database"] = external(json!({"name": "all", "key": "url"}));
    assert_eq!(
        url(with_key.clone(), "auth"),
        ("all".to_owned(), "url".to_owned())
    );
    with_key["services"] = json!([{"name": "auth"}, {"name": "chat"}]);
    assert_eq!(
        refuse(with_key),
        [
            "spec.database.external.urlSecretRef.key: auth, chat would use one database; without the key, each uses the \
          key of its own name"
        ]
    );
    assert_eq!(
        refuse(json!({"services": [{"name": "auth"}], "database": {"type": "External"}})),
        [
            "spec.services[auth]: its database is External, so spec.database.external or databaseURLSecretRef is required"
        ]
    );
}

#[test]
fn schemas_are_brought_up_to_date_by_what_the_image_has() {
    let args = |spec: Value, name: &str| {
        let migrations = accept(spec).service(name).and_then(|s| s.migrations.clone());
        migrations.map(|m| m.command.into_iter().chain(m.args).flatten().collect::<Vec<_>>())
    };
    let migrate = Some(vec!["migrate".to_owned()]);
    let postgres = json!({"type": "Postgres"});
    assert_eq!(args(json!({"database": postgres}), "auth"), migrate);
    assert_eq!(args(json!({"database": postgres}), "gateway"), None);
    assert_eq!(
        args(json!({}), "auth"),
        None,
        "a file is brought forward by its service"
    );
    let mine = |more: Value| {
        let mut service = json!({"name": "mine", "image": "x", "port": 80, "database": "Enabled"});
        service
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        json!({"services": [service], "database": postgres})
    };
    assert_eq!(args(mine(json!({})), "mine"), None);
    assert_eq!(
        args(
            mine(json!({"migrations": {"command": ["/up"], "args": ["--all"]}})),
            "mine"
        ),
        Some(vec!["/up".to_owned(), "--all".to_owned()])
    );
}

#[test]
fn every_rule_of_metrics_that_is_broken_is_named() {
    let metrics = |metrics: Value| refuse(json!({"telemetry": {"metrics": metrics}}));
    let managed = json!({"retentionHours": 0, "storage": {"type": "Volume", "volume": {"size": "much"}}});
    let violations =
        metrics(json!({"prometheus": {"type": "Managed", "managed": managed}, "discovery": "PodMonitor"}));
    let expected = [
        "metrics.discovery: must be Auto or None when prometheus.type is Managed",
        "managed.retentionHours: 0 must be between 1 and 8760",
        "storage.volume.size: `much` must be a quantity",
    ];
    assert_eq!(violations.len(), expected.len(), "{violations:?}");
    for (violation, sentence) in violations.iter().zip(expected) {
        assert!(
            violation.contains(sentence),
            "{violation}\nshould say\n{sentence}"
        );
    }
    let without = json!({"telemetry": {"tracing": {"jaeger": {"managed": {"monitor": "Enabled"}}}}});
    assert!(refuse(without)[0].contains("managed.monitor: Enabled needs metrics.prometheus"));
}

#[test]
fn a_prometheus_brings_dashboards_and_the_monitor_tab_unless_the_spec_says_otherwise() {
    let told = |telemetry: Value| {
        let metrics = accept(json!({"telemetry": telemetry})).metrics;
        (metrics.dashboards, metrics.span_metrics)
    };
    let managed = json!({"type": "Managed"});
    assert_eq!(told(json!({})), (false, false));
    assert_eq!(
        told(json!({"metrics": {"dashboards": "ConfigMap"}})),
        (true, false)
    );
    assert_eq!(told(json!({"metrics": {"prometheus": managed}})), (true, true));
    assert_eq!(
        told(json!({
            "metrics": {"prometheus": managed, "dashboards": "Disabled"},
            "tracing": {"jaeger": {"managed": {"monitor": "Disabled"}}},
        })),
        (false, false)
    );
    let external = json!({"type": "External", "external": {"endpoint": "http://jaeger.test:4318"}});
    assert_eq!(
        told(json!({"metrics": {"prometheus": managed}, "tracing": {"jaeger": external}})),
        (true, false),
        "only a managed Jaeger makes metrics of spans"
    );
}

#[test]
fn pods_are_found_by_what_the_cluster_knows() {
    let discovery = |metrics: Value, kinds: &[Kind]| {
        let facts = Facts {
            kinds: kinds.iter().copied().collect(),
            ..Facts::default()
        };
        let spec = json!({"telemetry": {"metrics": metrics}});
        let metrics = resolve(&platform("demo", spec), &facts, &settings())
            .expect("the spec keeps every rule")
            .metrics;
        (metrics.discovery, metrics.monitors_missing)
    };
    let monitors = [Kind::PodMonitor, Kind::PrometheusRule];
    assert_eq!(discovery(json!({}), &[]), (Discovery::Annotations, false));
    assert_eq!(discovery(json!({}), &monitors), (Discovery::Monitors, false));
    assert_eq!(
        discovery(json!({"prometheus": {"type": "Managed"}}), &monitors),
        (Discovery::None, false)
    );
    let by = |discovery: &str| json!({"discovery": discovery});
    assert_eq!(
        discovery(by("Annotations"), &monitors),
        (Discovery::Annotations, false)
    );
    assert_eq!(discovery(by("None"), &monitors), (Discovery::None, false));
    assert_eq!(
        discovery(by("PodMonitor"), &monitors),
        (Discovery::Monitors, false)
    );
    assert_eq!(discovery(by("PodMonitor"), &[]), (Discovery::None, true));
}

#[test]
fn a_service_of_others_is_scraped_where_it_says_so() {
    let port = |service: Value| {
        let mut spec = json!({"name": "shop", "image": "shop:1", "port": 8080});
        for (field, value) in service.as_object().expect("fields") {
            spec[field] = value.clone();
        }
        let resolved = accept(json!({"services": [spec]}));
        resolved.services[0]
            .metrics
            .as_ref()
            .map(|metrics| (metrics.port, metrics.path.clone()))
    };
    assert_eq!(port(json!({})), None);
    assert_eq!(port(json!({"metrics": {}})), Some((9464, "/metrics".to_owned())));
    assert_eq!(
        port(json!({"metrics": {"port": 9100, "path": "/stats"}})),
        Some((9100, "/stats".to_owned()))
    );
    assert_eq!(port(json!({"name": "auth"})), Some((9464, "/metrics".to_owned())));
}
