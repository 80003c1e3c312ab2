//! The environment, value by value.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, time::Duration};

use opentelemetry_sdk::trace::Sampler;

use super::harness::settings;
use crate::{
    InitError,
    log::LogFormat,
    settings::{ExporterKind, PropagatorKind, Settings, text},
};

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let settings = settings(&[("OTEL_SERVICE_NAME", ""), ("OTEL_PROPAGATORS", " ")]).unwrap();
    assert!(!settings.sdk_disabled);
    assert_eq!(settings.exporter, ExporterKind::Log);
    assert_eq!(
        settings.propagators,
        [PropagatorKind::TraceContext, PropagatorKind::Baggage]
    );
    assert_eq!(format!("{:?}", settings.sampler), "ParentBased(AlwaysOn)");
    assert_eq!(
        (
            settings.queue.max_queue_size,
            settings.queue.max_export_batch_size
        ),
        (2048, 512)
    );
    assert_eq!(settings.queue.scheduled_delay.as_secs(), 5);
    assert!(settings.resource.is_empty());
    assert_eq!(settings.log_directives, "info");
}

#[test]
fn exporters_and_endpoints() {
    let otlp = |url: &str| ExporterKind::Otlp {
        url: url.to_owned(),
        timeout: Duration::from_secs(10),
    };
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://jaeger:4318/custom");
    for (env, expected) in [
        (vec![general], otlp("http://127.0.0.1:4318/v1/traces")),
        (vec![own], otlp("http://jaeger:4318/custom")),
        (vec![general, own], otlp("http://jaeger:4318/custom")),
        (
            vec![general, ("OTEL_TRACES_EXPORTER", "otlp")],
            otlp("http://127.0.0.1:4318/v1/traces"),
        ),
        (
            vec![general, ("OTEL_TRACES_EXPORTER", "console")],
            ExporterKind::Console,
        ),
        (
            vec![general, ("OTEL_TRACES_EXPORTER", "none")],
            ExporterKind::None,
        ),
        (vec![("OTEL_TRACES_EXPORTER", "otlp")], ExporterKind::Log),
    ] {
        assert_eq!(settings(&env).unwrap().exporter, expected, "{env:?}");
    }
}

#[test]
fn samplers() {
    let ratio = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
    for (name, expected) in [
        ("always_on", "AlwaysOn"),
        ("always_off", "AlwaysOff"),
        ("traceidratio", "TraceIdRatioBased(0.25)"),
        ("parentbased_always_on", "ParentBased(AlwaysOn)"),
        ("parentbased_always_off", "ParentBased(AlwaysOff)"),
        ("parentbased_traceidratio", "ParentBased(TraceIdRatioBased(0.25))"),
    ] {
        let sampler: Sampler = settings(&[("OTEL_TRACES_SAMPLER", name), ratio]).unwrap().sampler;
        assert_eq!(format!("{sampler:?}"), expected, "{name}");
    }
}

#[test]
fn propagators_and_log_format() {
    let parsed = |value| settings(&[("OTEL_PROPAGATORS", value)]).unwrap().propagators;
    assert_eq!(
        parsed("baggage, tracecontext,baggage"),
        [PropagatorKind::Baggage, PropagatorKind::TraceContext]
    );
    assert_eq!(parsed("none"), []);
    assert_eq!(
        settings(&[("LOG_FORMAT", "pretty")]).unwrap().log_format,
        LogFormat::Pretty
    );
}

/// Variable, wrong value, what is said to be allowed.
const WRONG: &[(&str, &str, &str)] = &[
    ("OTEL_SDK_DISABLED", "yes", "true or false"),
    ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, console or none"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "127.0.0.1:4318",
        "an http URL such as http://127.0.0.1:4318",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "https://collector:4318",
        "an http URL such as http://127.0.0.1:4318",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://",
        "an http URL such as http://127.0.0.1:4318",
    ),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc",
        "http/protobuf, the only protocol of this build",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "http/json",
        "http/protobuf, the only protocol of this build",
    ),
    (
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "gzip",
        "none: this build does not compress",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "zstd",
        "none: this build does not compress",
    ),
    (
        "OTEL_PROPAGATORS",
        "tracecontext,b3",
        "a list of tracecontext and baggage, or none",
    ),
    (
        "OTEL_TRACES_SAMPLER",
        "sometimes",
        "always_on, always_off or traceidratio, each also with the prefix parentbased_",
    ),
    ("OTEL_TRACES_SAMPLER_ARG", "1.5", "a number from 0 to 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "NaN", "a number from 0 to 1"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "a whole number above 0"),
    ("OTEL_BSP_SCHEDULE_DELAY", "-1", "a whole number above 0"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.version",
        "key=value pairs separated by commas, values percent-encoded",
    ),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "a=%ff",
        "key=value pairs separated by commas, values percent-encoded",
    ),
    ("LOG_FORMAT", "xml", "json or pretty"),
    (
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10s",
        "a whole number of milliseconds above 0",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "0",
        "a whole number of milliseconds above 0",
    ),
    (
        "OTEL_BSP_EXPORT_TIMEOUT",
        "0",
        "a whole number of milliseconds above 0",
    ),
    ("TRUSTED_PROXIES", "-1", "a number of proxies, 0 to 255"),
];

#[test]
fn the_shorter_of_both_limits_of_an_export_holds() {
    for (of_batches, expected) in [("250", 250), ("60000", 3000)] {
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
            ("OTEL_BSP_EXPORT_TIMEOUT", of_batches),
        ];
        let ExporterKind::Otlp { timeout, .. } = settings(&env).unwrap().exporter else {
            panic!("no exporter")
        };
        assert_eq!(timeout.as_millis(), expected);
    }
}

#[test]
fn a_value_that_is_no_text_counts_as_unset_and_is_told() {
    let given = OsString::from_vec(b"sho\xffp".to_vec());
    let env = [("OTEL_SERVICE_NAME", given.clone()), ("SENTRY_DSN", given)];
    let lookup = |name: &str| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    };
    let settings = Settings::parse(&|name| lookup(name).map(text)).unwrap();
    assert!(settings.resource.is_empty() && settings.sentry.dsn.is_none());
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    for name in ["OTEL_SERVICE_NAME", "SENTRY_DSN"] {
        let expected = format!("{name}=\"[redacted]\": expected text in UTF-8; it counts as unset");
        assert!(warnings.contains(&expected), "{warnings:?}");
    }
}

#[test]
fn every_wrong_value_is_refused_with_what_is_allowed() {
    for &(name, value, expected) in WRONG {
        let problems = settings(&[(name, value)]).unwrap_err();
        let [problem] = problems.as_slice() else {
            panic!("{name}={value}: {problems:?}")
        };
        assert_eq!(
            (problem.name, problem.value.as_str(), problem.expected.as_str()),
            (name, value, expected)
        );
    }
    let problems = settings(&[("RUST_LOG", "info,shop=loud")]).unwrap_err();
    assert!(
        problems[0].expected.starts_with("filter directives such as"),
        "{problems:?}"
    );
}

#[test]
fn an_error_at_start_has_a_source_of_no_library_s_type() {
    use std::error::Error as _;
    settings(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "None")]).unwrap();
    let error = InitError::Exporter("no such host".into());
    assert_eq!(error.source().unwrap().to_string(), "no such host");
}

#[test]
fn headers_are_refused_without_showing_them() {
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        for wrong in [
            "hunter2",
            "=hunter2",
            "two words=hunter2",
            "api-key=%ff",
            "api-key=a%0Ahunter2",
        ] {
            let problems = settings(&[(name, wrong)]).unwrap_err();
            let [problem] = problems.as_slice() else {
                panic!("{wrong}: {problems:?}")
            };
            assert_eq!(problem.name, name);
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
        settings(&[(name, "api-key=hunter2, x-tenant=a%20b,")]).unwrap();
    }
}

#[test]
fn what_is_wrong_is_shown_without_its_secrets() {
    const LIST: &str = "OTEL_RESOURCE_ATTRIBUTES";
    for (name, wrong, shown) in [
        (
            LIST,
            "db.password=hunter2,broken",
            "db.password=[redacted],broken",
        ),
        (LIST, "k8s.card=hunter2,a=%ff", "k8s.card=[redacted],a=%ff"),
        (LIST, "note=token%3Dhunter2,b", "note=token=[redacted],b"),
        (
            LIST,
            "db=postgres%3A%2F%2Fa%3Ahunter2%40db,b",
            "db=postgres://[redacted]@db,b",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://app:hunter2@collector:4318",
            "https://[redacted]@collector:4318",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "app:hunter2@collector",
            "[redacted]@collector",
        ),
    ] {
        let problems = settings(&[(name, wrong)]).unwrap_err();
        assert_eq!(problems[0].value, shown);
    }
    let settings = settings(&[("TRACE_UI_URL", "app:hunter2@jaeger")]).unwrap();
    assert_eq!(settings.warnings[0].value, "[redacted]@jaeger");
}

#[test]
fn secrets_among_the_resource_s_attributes_end_where_they_are_read() {
    let settings = settings(&[(
        "OTEL_RESOURCE_ATTRIBUTES",
        "db.password=hunter2,k8s.note=token%3Dhunter2,db=postgres%3A%2F%2Fapp%3Ahunter2%40db,k8s.pod.name=shop-1",
    )])
    .unwrap();
    for (attribute, value) in settings.resource.iter().zip([
        "[redacted]",
        "token=[redacted]",
        "postgres://[redacted]@db",
        "shop-1",
    ]) {
        assert_eq!(attribute.value.as_str(), value, "{}", attribute.key);
    }
    assert_eq!(settings.sentry.resource, settings.resource);
}

#[test]
fn all_problems_are_listed_at_once() {
    let problems = settings(&[("OTEL_TRACES_SAMPLER_ARG", "2"), ("LOG_FORMAT", "xml")]).unwrap_err();
    assert_eq!(
        InitError::Environment(problems).to_string(),
        "invalid environment:\n  OTEL_TRACES_SAMPLER_ARG=\"2\": expected a number from 0 to 1\n  LOG_FORMAT=\"xml\": expected json or pretty"
    );
}
