//! Log lines: layout, redaction, filtering, and a reader that is too slow.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use serde_json::{Value, json};

use super::harness::{DSN, Harness, attribute, get};
use crate::{
    ErrorReport,
    log::{LogWriter, is_secret_name, scrub},
    metrics::{Format, Metrics},
};

#[tokio::test]
async fn the_access_line_has_pino_s_layout() {
    let harness = Harness::with_env(&[("TRUSTED_PROXIES", "1")]);
    let request = Request::get("/v1/users/7?q=1")
        .header("x-request-id", "req-1")
        .header("user-agent", "curl/8")
        .header("x-forwarded-for", "203.0.113.9")
        .body(Body::empty())
        .unwrap();
    harness
        .call(
            Router::new().route("/v1/users/{id}", on_get(|| async { "hello" })),
            request,
        )
        .await;
    let span = harness.span("GET /v1/users/{id}");
    let text = harness.log_text();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert!(
        text.starts_with(r#"{"level":30,"time":"#) && text.ends_with("}\n"),
        "{text}"
    );
    assert_eq!(
        line,
        json!({
            "level": 30,
            "time": line["time"].as_i64().unwrap(),
            "pid": std::process::id(),
            "hostname": line["hostname"].as_str().unwrap(),
            "service": "shop",
            "target": "tracewell::access",
            "msg": "request completed",
            "trace_id": span.span_context.trace_id().to_string(),
            "span_id": span.span_context.span_id().to_string(),
            "trace_flags": "01",
            "req": {
                "id": "req-1", "method": "GET", "url": "/v1/users/7", "route": "/v1/users/{id}",
                "remoteAddress": "203.0.113.9", "userAgent": "curl/8",
            },
            "res": {"statusCode": 200},
            "responseTime": line["responseTime"].as_f64().unwrap(),
        })
    );
}

#[tokio::test]
async fn what_is_logged_can_be_changed_while_the_process_runs() {
    let harness = Harness::new();
    let filter = harness.telemetry.log_filter().unwrap();
    assert_eq!(filter.directives(), "info");
    let handler = || async {
        tracing::debug!("in detail");
        "hello"
    };
    let call = async || {
        let router = Router::new().route("/", on_get(handler));
        harness.call(router, get("/")).await;
    };
    let lines = || {
        let lines = harness.log_lines();
        lines
            .iter()
            .map(|line| line["msg"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    call().await;
    assert_eq!(lines(), ["request completed"]);
    filter.set("debug").unwrap();
    call().await;
    assert_eq!(lines()[1..], ["in detail", "request completed"]);
    filter.set("warn").unwrap();
    call().await;
    assert_eq!(lines().len(), 3, "the access log follows too");
    let refused = filter.set("shop=loud").unwrap_err().to_string();
    assert!(
        refused.starts_with("\"shop=loud\" are no filter directives"),
        "{refused}"
    );
    assert_eq!(filter.directives(), "warn");
}

#[tokio::test]
async fn events_inside_a_request_carry_its_ids_and_their_own_fields() {
    let harness = Harness::new();
    let handler = || async {
        let error = io::Error::other("disk on fire");
        tracing::warn!(
            attempt = 2,
            db.table = "users",
            error = &error as &dyn std::error::Error,
            time = 1,
            "slow {}",
            "query"
        );
        "x"
    };
    harness
        .call(
            Router::new().route("/x", on_get(handler)),
            super::harness::get("/x"),
        )
        .await;
    let line = harness.log_line("slow query");
    assert_eq!(line["level"], 40);
    assert_eq!(line["attempt"], 2);
    assert_eq!(line["db"], json!({"table": "users"}));
    assert_eq!(line["err"]["message"], "disk on fire");
    assert_ne!(line["time"], 1, "a field must not replace the line's own time");
    assert_eq!(
        line["trace_id"],
        harness.span("GET /x").span_context.trace_id().to_string()
    );
}

#[test]
fn planted_secrets_never_reach_the_writer() {
    for format in ["json", "pretty"] {
        let harness = Harness::with_env(&[("LOG_FORMAT", format)]);
        tracing::info!(
            password = "hunter2-a",
            user.access_token = "hunter2-b",
            "set-cookie" = "hunter2-c",
            "fields"
        );
        tracing::info!(cardNumber = 4_111_111_111_111_111_u64, header = ?("authorization", "Bearer hunter2-d"), "fields");
        tracing::info!(
            "Authorization: Bearer hunter2.e-abc and {{\"password\":\"hunter2 f\"}} token=hunter2-g&x=1"
        );
        tracing::info!(
            "Cookie: a=hunter2; b=hunter2-h\nheaders: {{\"set-cookie\": \"c=hunter2; d=hunter2\"}}"
        );
        tracing::info!(
            "pay with 4111 1111 1111 1111 and eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJodW50ZXIyIn0.c2ln now"
        );
        tracing::info!("cannot open postgres://app:hunter2-i@db:5432/shop?sslmode=require");
        let text = harness.log_text();
        for secret in ["hunter2", "4111", "eyJ"] {
            assert!(!text.contains(secret), "{format}: {secret} in {text}");
        }
        assert!(
            text.contains("x=1") && text.contains("pay with [redacted] and [redacted] now"),
            "{text}"
        );
    }
}

#[test]
fn harmless_names_and_texts_stay_readable() {
    for name in [
        "tokenizer",
        "discarded",
        "wildcard",
        "author",
        "keyboard",
        "card_",
        "setCookie",
        "X-Api-Token",
        "DATABASE_PASSWORD",
    ] {
        let secret = ["card_", "setCookie", "X-Api-Token", "DATABASE_PASSWORD"].contains(&name);
        assert_eq!(is_secret_name(name), secret, "{name}");
    }
    for text in [
        "request completed in 12 ms",
        "trace 0af7651916cd43dd8448eb211c80319c",
        "order 4111111111111112",
        "time 1764000000000000000",
        "basic plan, bearer of news",
        "GET /v1/users?page=2",
    ] {
        assert_eq!(scrub(text), text);
    }
}

#[test]
fn who_signs_in_by_a_url_is_left_out_of_it() {
    for (text, shown) in [
        ("postgres://app:pw@db", "postgres://[redacted]@db"),
        ("HTTPS://ghp_key@git.test/a@b", "HTTPS://[redacted]@git.test/a@b"),
        ("smtp://a@b.test:p@w@mail:25", "smtp://[redacted]@mail:25"),
        (
            r#"{"at":"redis://:pw@cache","by":"a@b"}"#,
            r#"{"at":"redis://[redacted]@cache","by":"a@b"}"#,
        ),
        ("amqp://ä:ö@queue", "amqp://[redacted]@queue"),
        ("x://u:p@h and y://u:p@h", "x://[redacted]@h and y://[redacted]@h"),
    ] {
        assert_eq!(scrub(text), shown);
        assert_eq!(scrub(shown), shown, "once is enough");
    }
    for harmless in [
        "http://shop.test/@ada",
        "http://shop.test?to=ada@shop.test",
        "see http://shop.test, or ask ada@shop.test",
        "url=\"http://shop.test\" to=\"ada@shop.test\"",
        "mailto:ada@shop.test",
        "a://@b",
    ] {
        assert_eq!(scrub(harmless), harmless);
    }
}

#[test]
fn rust_log_decides_what_is_logged_but_not_what_is_traced() {
    let harness = Harness::with_env(&[("RUST_LOG", "warn,noisy=debug")]);
    tracing::info!("quiet");
    tracing::debug!(target: "noisy", "wanted");
    tracing::error!(target: "opentelemetry_sdk", "an export failed, again");
    tracing::info_span!("still traced").in_scope(|| tracing::warn!("loud"));
    let messages: Vec<_> = harness
        .log_lines()
        .into_iter()
        .map(|line| line["msg"].clone())
        .collect();
    assert_eq!(messages, ["wanted", "loud"]);
    harness.span("still traced");
}

#[tokio::test]
async fn rust_log_decides_about_the_access_log_too() {
    for (directives, logged) in [
        ("off", &[][..]),
        ("error", &[500]),
        ("warn", &[404, 500]),
        ("off,tracewell::access=warn", &[404, 500]),
        ("info,tracewell::access=off", &[]),
        ("info", &[200, 404, 500]),
    ] {
        let harness = Harness::with_env(&[("RUST_LOG", directives), DSN]);
        for status in [200, 404, 500] {
            let answer = move || async move { StatusCode::from_u16(status).unwrap() };
            let router = Router::new().route("/x", on_get(answer));
            harness.call(router, super::harness::get("/x")).await;
        }
        let lines = harness.log_lines();
        let lines = lines.iter().filter(|line| line["target"] == "tracewell::access");
        let statuses: Vec<_> = lines
            .map(|line| line["res"]["statusCode"].as_i64().unwrap())
            .collect();
        assert_eq!(statuses, logged, "{directives}");
    }
}

#[test]
fn pretty_lines_are_for_people() {
    let harness = Harness::with_env(&[("LOG_FORMAT", "pretty")]);
    tracing::info!(user.id = "usr_1", note = "two words", count = 3, "signed in");
    let text = harness.log_text();
    assert!(
        text.ends_with(" INFO  signed in count=3 note=\"two words\" user.id=usr_1\n"),
        "{text}"
    );
}

#[tokio::test]
async fn pretty_access_lines_are_one_glance() {
    async fn fail() -> Response {
        let error = io::Error::other(Chained(io::Error::other("disk on fire")));
        let mut response = StatusCode::BAD_GATEWAY.into_response();
        response
            .extensions_mut()
            .insert(ErrorReport::named("upstream", &error));
        response
    }
    #[derive(Debug, thiserror::Error)]
    #[error("cannot load")]
    struct Chained(#[source] io::Error);

    let harness = Harness::with_env(&[("LOG_FORMAT", "pretty")]);
    harness
        .call(
            Router::new().route("/v1/users/{id}", on_get(fail)),
            super::harness::get("/v1/users/7"),
        )
        .await;
    let text = harness.log_text();
    let trace_id = harness.span("GET /v1/users/{id}").span_context.trace_id();
    let (line, stack) = text.split_once('\n').unwrap();
    assert!(
        line.contains(" ERROR GET /v1/users/7 → 502 in ") && line.contains(" ms err.message="),
        "{text}"
    );
    assert!(
        line.contains(" err.type=upstream ") && line.ends_with(&format!(" trace_id={trace_id}")),
        "{text}"
    );
    assert_eq!(stack, "  upstream: cannot load\n    caused by: disk on fire\n");
}

/// No other test loses lines.
fn lines_dropped() -> u64 {
    let metrics = Metrics::global().render(Format::Text);
    let mut samples = metrics.lines();
    let dropped = samples.find_map(|line| line.strip_prefix("telemetry_log_lines_dropped_total "));
    dropped.unwrap().parse().unwrap()
}

#[test]
fn a_stuck_reader_costs_lines_and_never_blocks() {
    /// Blocks its first write until it is told to go on.
    struct Stuck {
        entered: SyncSender<()>,
        go_on: Receiver<()>,
    }
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.try_send(()).ok();
            self.go_on.recv().ok();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (entered, has_entered) = sync_channel(1);
    let (release, go_on) = sync_channel::<()>(0);
    let before = lines_dropped();
    let writer = LogWriter::with_capacity(Stuck { entered, go_on }, 10).unwrap();
    writer.write(b"first\n");
    has_entered.recv().unwrap();
    let accepted = (0..10).filter(|_| writer.write(b"more\n")).count();
    assert_eq!(
        accepted, 2,
        "there is room for two lines, the rest is dropped at once"
    );
    assert_eq!(lines_dropped() - before, 8, "and counted");
    drop(release);
}

#[tokio::test]
async fn a_request_is_named_as_the_answer_names_it() {
    let named = Router::new()
        .route("/named", on_get(async || [("x-request-id", "made-here")]))
        .route("/nameless", on_get(async || "ok"));
    for (path, name) in [("/named", "made-here"), ("/nameless", "asked-so")] {
        let harness = Harness::new();
        let request = Request::get(path).header("x-request-id", "asked-so");
        harness
            .call(named.clone(), request.body(Body::empty()).unwrap())
            .await;
        assert_eq!(harness.log_line("request completed")["req"]["id"], name);
    }
}

#[tokio::test]
async fn a_client_s_error_is_named_where_the_handler_names_it() {
    let handler = async || {
        let mut response = StatusCode::CONFLICT.into_response();
        let error = io::Error::other("taken");
        response
            .extensions_mut()
            .insert(ErrorReport::named("address_taken", &error));
        response
    };
    let harness = Harness::new();
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let line = harness.log_line("request completed");
    assert_eq!(
        (&line["level"], &line["err"]["type"], &line["err"]["message"]),
        (&json!(40), &json!("address_taken"), &json!("taken"))
    );
    assert_eq!(
        attribute(&harness.span("GET /x"), "error.type"),
        None,
        "it is the client's"
    );
}
