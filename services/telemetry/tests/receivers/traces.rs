//! Jaeger has every span of a request, in one tree, under the ids that log and problem documents show.

use tracewell_e2e::{jaeger::Kind, trace_context};

use crate::fixture::{Answer, Greeter, JaegerProcess, Tools};

/// The caller's own span, which nobody records.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[tokio::test]
async fn a_request_through_two_services_is_one_tree_of_server_client_and_database_spans() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let to_jaeger = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let elder = Greeter::start(&[to_jaeger, ("OTEL_SERVICE_NAME", "elder")]).await;
    let greeter = Greeter::start(&[to_jaeger, ("ELDER_URL", elder.url())]).await;

    let request = greeter
        .request(http::Method::GET, "/hello/eve")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("user-agent", "judge/1");
    assert_eq!(Answer::to(request).await.status, 404);

    let expected = "\
greeter SERVER GET /hello/{name} 404
  greeter CLIENT SELECT people
  greeter CLIENT GET /hello/{name} 404 ERROR
    elder SERVER GET /hello/{name} 404
      elder CLIENT SELECT people
";
    let trace = jaeger.query.until_complete(TRACE, |trace| {
        let tree = trace.to_string();
        (tree != expected).then_some(tree).into_iter().collect()
    });
    let trace = trace.await.unwrap();
    assert!(trace.orphans(PARENT).is_empty());
    let [server, query, call, ..] = &trace.spans[..] else {
        panic!("{trace}")
    };
    assert_eq!(
        [server.kind, query.kind, call.kind],
        [Kind::Server, Kind::Client, Kind::Client]
    );
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/hello/{name}"),
        ("http.response.status_code", "404"),
        ("url.path", "/hello/eve"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "judge/1"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(
            server.attribute(name),
            value,
            "{name} of {:#?}",
            server.attributes
        );
    }
    for (name, value) in [
        ("db.system.name", "sqlite"),
        ("db.operation.name", "SELECT"),
        ("db.collection.name", "people"),
        ("db.query.text", "SELECT greeting FROM people WHERE name = $1"),
    ] {
        assert_eq!(query.attribute(name), value, "{name} of {:#?}", query.attributes);
    }
    assert_eq!(call.attribute("url.template"), "/hello/{name}");
    assert_eq!(call.attribute("error.type"), "404");
    assert_eq!(server.resource["k8s.pod.name"], "greeter-0");
    assert_eq!(server.resource["service.namespace"], "shop");

    let log = greeter.end().await.log;
    let line = log
        .iter()
        .find(|line| line["req"]["url"] == "/hello/eve")
        .unwrap();
    assert_eq!(
        (&line["trace_id"], &line["span_id"]),
        (&TRACE.into(), &server.id.as_str().into())
    );
}

#[tokio::test]
async fn a_service_is_called_what_the_environment_says_or_what_it_calls_itself() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let attributes = "service.name=other,service.namespace=shop,service.version=9.8.7,service.instance.id=shop.pod-1.greeter,\
                      k8s.node.name=node%2C1,deployment.environment.name=test";
    let (ours, none) = (env!("CARGO_PKG_VERSION"), "");
    for (name, attributes, expected) in [
        (
            "front",
            attributes,
            ["front", "9.8.7", "shop", "shop.pod-1.greeter", "node,1", "test"],
        ),
        (
            "",
            attributes,
            ["other", "9.8.7", "shop", "shop.pod-1.greeter", "node,1", "test"],
        ),
        ("", "", ["greeter", ours, none, none, none, none]),
    ] {
        let greeter = Greeter::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_SERVICE_NAME", name),
            ("OTEL_RESOURCE_ATTRIBUTES", attributes),
        ])
        .await;
        let context = trace_context::fresh();
        let request = greeter.request(http::Method::GET, "/hello/ada");
        Answer::to(request.header("traceparent", context.header())).await;
        assert!(greeter.end().await.status.success());
        let trace = jaeger.query.trace(&context.trace_id).await.unwrap().unwrap();
        let found = [
            "service.name",
            "service.version",
            "service.namespace",
            "service.instance.id",
            "k8s.node.name",
            "deployment.environment.name",
        ]
        .map(|name| trace.spans[0].resource.get(name).map_or("", String::as_str));
        assert_eq!(found, expected);
    }
}

/// Debug builds take seconds to find the names of a profile's functions; the end must not wait for that before it sends spans.
#[tokio::test]
async fn spans_that_wait_at_sigterm_reach_jaeger_also_while_a_first_profile_is_named() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let greeter = Greeter::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        // Nothing but the end sends them.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("SENTRY_DSN", "http://key@127.0.0.1:9/1"),
        ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "1"),
    ])
    .await;
    let request = greeter
        .request(http::Method::GET, "/debug/cpu?milliseconds=1500")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(Answer::to(request).await.status, 200);
    assert!(greeter.end().await.status.success());
    let trace = jaeger.query.until_complete(TRACE, |trace| {
        let tree = trace.to_string();
        (tree != "greeter SERVER GET /debug/cpu 200\n  greeter - debug.burn\n")
            .then_some(tree)
            .into_iter()
            .collect()
    });
    trace.await.unwrap();
}
