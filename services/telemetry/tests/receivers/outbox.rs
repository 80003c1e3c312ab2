//! Work that is stored and done later: auth's mails.

use http::Method;
use serde_json::json;
use tracewell_e2e::{jaeger::Span, trace_context};

use crate::fixture::{Answer, JaegerProcess, Service, Tools};

#[tokio::test]
async fn a_delivery_is_a_trace_of_its_own_that_links_to_the_request_which_asked_for_the_mail() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let (endpoint, folder) = (jaeger.endpoint(), tempfile::tempdir().unwrap());
    let database = format!("sqlite://{}", folder.path().join("auth.db").display());
    let auth = Service::start(
        "tracewell-auth",
        &[
            ("DATABASE_URL", &database),
            ("HASH_COST", "m=8,t=1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ],
    )
    .await;
    let context = trace_context::fresh();
    let sign_up = auth
        .request(Method::POST, "/v1/signup")
        .header("traceparent", context.header())
        .json(&json!({"email": "ada@example.com", "password": "correct horse battery"}));
    assert_eq!(Answer::to(sign_up).await.status, 202);

    let linked = jaeger.root_linked_to("auth", "deliver mail", &context.trace_id);
    let (delivery, cause) = linked.await;
    assert_eq!(cause, "POST /v1/signup");
    let root = delivery.spans.iter().find(|span| span.parent.is_empty());
    let root = root.unwrap_or_else(|| panic!("{delivery}"));
    assert_eq!(root.attribute("mail.kind"), "verify_email");
    assert!(delivery.children(&root.id).any(Span::is_database), "{delivery}");
    let request = jaeger.query.trace(&context.trace_id).await.unwrap().unwrap();
    assert!(request.orphans(&context.span_id).is_empty(), "{request}");
    assert!(auth.end().await.status.success());
}
