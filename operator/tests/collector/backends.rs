//! Spans on their way to the backends: what is taken out of them, and how they are sent.

use std::{fs, path::Path, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rendered::Configs,
    running::{Running, jaeger},
    spans::{Span, attribute},
};

/// From which level on an attribute is taken out.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Taken {
    Standard,
    Strict,
    Never,
}

use Taken::{Never, Standard, Strict};

/// Names of attributes.
const ATTRIBUTES: [(&str, Taken); 34] = [
    ("http.request.header.authorization", Standard),
    ("http.request.header.cookie", Standard),
    ("http.response.header.set-cookie", Standard),
    ("db.password", Standard),
    ("Session_Token", Standard),
    ("x-api-key", Standard),
    ("secret", Standard),
    ("secret.name", Standard),
    ("url.full", Strict),
    ("url.query", Strict),
    ("client.address", Strict),
    ("client.port", Strict),
    ("network.peer.address", Strict),
    ("user_agent.original", Strict),
    ("user.id", Strict),
    ("enduser.id", Strict),
    ("db.query.text", Strict),
    ("db.query.parameter.0", Strict),
    ("http.request.header.x-forwarded-for", Strict),
    // As they were called before.
    ("http.url", Strict),
    ("http.target", Strict),
    ("http.client_ip", Strict),
    ("http.user_agent", Strict),
    ("net.peer.ip", Strict),
    ("net.sock.peer.addr", Strict),
    ("db.statement", Strict),
    ("http.request.method", Never),
    ("http.method", Never),
    ("http.route", Never),
    ("url.path", Never),
    ("server.address", Never),
    ("network.protocol.version", Never),
    ("tokenizer.model", Never),
    ("db.system", Never),
];

/// The user that the receivers know, and the header that says so.
const USER: &str = "tracewell:correct horse";
const CREDENTIAL: &str = "Basic dHJhY2V3ZWxsOmNvcnJlY3QgaG9yc2U=";

/// Files of an authority and of what it vouches for.
struct Authority {
    certificate: String,
    server: Value,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        let (certificate, private) = (folder.join("server.crt"), folder.join("server.key"));
        fs::write(&certificate, server.pem()).unwrap();
        fs::write(&private, key.serialize_pem()).unwrap();
        Self {
            certificate: authority.pem(),
            server: json!({"cert_file": certificate, "key_file": private}),
        }
    }
}

/// Somebody else's backend: a Jaeger that takes spans by TLS alone, and from those alone whom it knows.
async fn start_vendor(program: &Path, folder: &TempDir, name: &str, authority: &Authority) -> Running {
    let mut config = Configs::of_spec(&json!({})).jaeger();
    config["extensions"]["basicauth"] = json!({"htpasswd": {"inline": USER}});
    config["service"]["extensions"]
        .as_array_mut()
        .unwrap()
        .push(json!("basicauth"));
    for protocol in ["grpc", "http"] {
        let receiver = &mut config["receivers"]["otlp"]["protocols"][protocol];
        receiver["tls"] = authority.server.clone();
        receiver["auth"] = json!({"authenticator": "basicauth"});
    }
    Running::start(program, folder, name, &config, &[]).await
}

/// A collector that takes out what this level says, and sends to all three.
async fn start_collector(
    program: &Path,
    folder: &TempDir,
    level: &str,
    authority: &Authority,
    [jaeger, over_http, over_grpc]: [&Running; 3],
) -> Running {
    let exporter = |name: &str, protocol: &str, port: u16| {
        let headers = json!([{"name": "authorization", "secretKeyRef": {"name": name, "key": "header"}}]);
        json!({
            "name": name, "protocol": protocol, "endpoint": format!("https://localhost:{port}"),
            "headers": headers, "caSecretRef": {"name": name, "key": "ca.crt"},
        })
    };
    let exporters = [
        exporter("vendor", "HTTP", over_http.port(4318)),
        exporter("archive", "GRPC", over_grpc.port(4317)),
    ];
    for name in ["vendor", "archive"] {
        let place = folder.path().join(level).join("etc/authorities").join(name);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("ca.crt"), &authority.certificate).unwrap();
    }
    let config = Configs::of_spec(&json!({"telemetry": {
        "collector": {"redaction": level},
        "tracing": {
            "jaeger": {"type": "External", "external": {"endpoint": jaeger.url(4318, "")}},
            "exporters": exporters,
        },
    }}));
    let header = |number: u32| format!("EXPORTER_{number}_HEADER_0={CREDENTIAL}");
    let variables = [header(0), header(1)];
    let variables: Vec<_> = variables.iter().map(String::as_str).collect();
    Running::start(program, folder, level, &config.collector(), &variables).await
}

/// A span that has every attribute, and an event for each.
fn telling_span(trace: u32) -> Span {
    let attributes: Vec<_> = ATTRIBUTES.iter().map(|(name, _)| attribute(name)).collect();
    let event = |(name, _): &(&str, Taken)| {
        // The text of a value is not taken for the name of an attribute.
        let message = json!({"key": "exception.message", "value": {"stringValue": "password=a, token: b"}});
        json!({"name": name, "attributes": [message, attribute(name)]})
    };
    let link = json!({"traceId": "f".repeat(32), "spanId": "f".repeat(16), "attributes": [attribute("link.password")]});
    Span::new(trace, 5)
        .with("attributes", json!(attributes))
        .with("events", ATTRIBUTES.iter().map(event).collect())
        .with("links", json!([link]))
        .of_resource(attribute("resource.password"))
}

/// Names of a list's entries.
fn names<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry[field].as_str())
        .collect()
}

fn check(trace: &Value, level: &str, is_kept: impl Fn(Taken) -> bool) {
    let spans = &trace["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().map(Vec::len), Some(1), "{level}: {trace}");
    let (attributes, events) = (
        names(&spans[0]["attributes"], "key"),
        names(&spans[0]["events"], "name"),
    );
    for (name, taken) in ATTRIBUTES {
        let kept = is_kept(taken);
        assert_eq!(attributes.contains(&name), kept, "{level}: attribute {name}");
        assert_eq!(events.contains(&name), kept, "{level}: event with {name}");
        let value = format!("value of {name}\"");
        assert_eq!(
            trace.to_string().contains(&value),
            kept,
            "{level}: {name} in {trace}"
        );
    }
    // No processor of Jaeger's image reaches these: `what_could_redact_more_is_not_in_the_image`.
    for passed in ["value of resource.password", "value of link.password"] {
        assert!(trace.to_string().contains(passed), "{level}: {passed} in {trace}");
    }
}

#[tokio::test]
async fn every_backend_gets_spans_without_what_is_taken_out() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let managed = Configs::of_spec(&json!({})).jaeger();
    let (jaeger, over_http, over_grpc) = tokio::join!(
        Running::start(&program, &folder, "jaeger", &managed, &[]),
        start_vendor(&program, &folder, "over-http", &authority),
        start_vendor(&program, &folder, "over-grpc", &authority),
    );
    let backends = [&jaeger, &over_http, &over_grpc];
    for (trace, level, least) in [
        (1, "Off", None),
        (2, "Standard", Some(Standard)),
        (3, "Strict", Some(Strict)),
    ] {
        let collector = start_collector(&program, &folder, level, &authority, backends).await;
        let span = telling_span(trace);
        collector.post(&span.to_request()).await;
        for backend in backends {
            let stored = backend.wait_for_trace(&span.trace_id).await;
            check(&stored, level, |taken| least.is_none_or(|least| taken > least));
        }
    }
}

/// With one of these, attributes of resources and of links could be taken out as well.
#[test]
fn what_could_redact_more_is_not_in_the_image() {
    let Some(program) = jaeger() else { return };
    let output = Command::new(program).arg("components").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let components: Value = serde_saphyr::from_str(&told).unwrap();
    let processors = names(&components["processors"], "name");
    assert!(processors.contains(&"attributes"), "{processors:?}");
    for more in ["resource", "transform", "redaction"] {
        assert!(
            !processors.contains(&more),
            "redact by {more}: see pipeline.rs of the core"
        );
    }
}

/// The status names the key of the Secret by these words (`missing_key` of the core).
#[tokio::test]
async fn a_collector_without_its_authority_says_which_file_it_misses() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    for protocol in ["HTTP", "GRPC"] {
        let exporter = json!({
            "name": "vendor", "protocol": protocol, "endpoint": "https://localhost:4317",
            "caSecretRef": {"name": "vendor", "key": "root.pem"},
        });
        let config = Configs::of_spec(&json!({"telemetry": {"tracing": {"exporters": [exporter]}}}));
        let said = Running::last_words(&program, &folder, protocol, &config.collector()).await;
        assert!(
            said.ends_with("/etc/authorities/vendor/ca.crt: no such file or directory"),
            "{said}"
        );
    }
}
