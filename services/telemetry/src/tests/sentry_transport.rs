//! Envelopes on the wire, limits, losses, and the settings that lead there.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};

use super::harness::{serve, settings};
use crate::{
    ServiceInfo,
    metrics::{Format, Metrics},
    sentry::{Answer, Delivery, SentryClient},
    settings::Settings,
};

fn service() -> ServiceInfo {
    ServiceInfo::new("shop", "1.2.3")
}

fn lost(reason: &str) -> u64 {
    let start = format!("telemetry_envelopes_dropped_total{{reason=\"{reason}\"}} ");
    let text = Metrics::global().render(Format::Text);
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |value| value.parse().unwrap())
}

fn with_dsn(dsn: &str) -> Settings {
    settings(&[("SENTRY_DSN", dsn)]).unwrap()
}

/// Reports a message from this thread.
fn report(client: &SentryClient) {
    let _bound = client.bind_thread();
    crate::capture_message(crate::Severity::Info, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_reaches_the_address_of_the_dsn_with_its_key() {
    async fn take(State(seen): State<Sender<(HeaderMap, Bytes)>>, headers: HeaderMap, body: Bytes) {
        seen.send((headers, body)).unwrap();
    }
    let (sender, seen) = channel();
    let address = serve(
        Router::new()
            .route("/base/api/42/envelope/", post(take))
            .with_state(sender),
    )
    .await;
    let settings = with_dsn(&format!("http://key@{address}/base/42"));
    let client = SentryClient::start(&settings.sentry, &service()).unwrap();
    report(&client);
    assert!(client.flush(Duration::from_secs(30)));
    let (headers, body) = seen.try_recv().unwrap();
    let authorisation = headers["x-sentry-auth"].to_str().unwrap();
    assert!(authorisation.contains("sentry_key=key"), "{authorisation}");
    assert!(String::from_utf8_lossy(&body).contains("\"message\":\"hello\""));
}

#[test]
fn a_server_that_is_away_costs_counted_envelopes_and_no_time() {
    let before = lost("network_error");
    // Port 1 is reserved and nothing listens there.
    let client = SentryClient::start(&with_dsn("http://key@127.0.0.1:1/42").sentry, &service()).unwrap();
    report(&client);
    assert!(client.flush(Duration::from_secs(30)));
    assert!(lost("network_error") > before);
}

/// A server that answers only when it is told to.
struct Stalled(Receiver<Answer>);

impl Delivery for Stalled {
    fn deliver(&mut self, _: &[u8]) -> Result<Answer, String> {
        self.0.recv().map_err(|_| "gone".to_owned())
    }
}

#[test]
fn a_full_queue_drops_what_is_new_and_a_flush_gives_up_in_time() {
    let (answers, stalled) = channel();
    let settings = with_dsn("http://key@127.0.0.1:1/42");
    let client = SentryClient::start_with(&settings.sentry, &service(), Some(Stalled(stalled))).unwrap();
    let before = lost("queue_full");
    let started = Instant::now();
    for _ in 0..100 {
        report(&client);
    }
    assert!(
        lost("queue_full") >= before + 30,
        "{} of 100",
        lost("queue_full") - before
    );
    assert!(!client.flush(Duration::from_millis(50)));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    drop(answers);
}

/// A server with prepared answers, which tells what it was sent.
struct Scripted {
    answers: std::vec::IntoIter<Answer>,
    seen: Sender<String>,
}

impl Delivery for Scripted {
    fn deliver(&mut self, envelope: &[u8]) -> Result<Answer, String> {
        self.seen
            .send(String::from_utf8_lossy(envelope).into_owned())
            .unwrap();
        Ok(self.answers.next().unwrap_or(Answer {
            status: 200,
            ..Answer::default()
        }))
    }
}

#[test]
fn a_limited_kind_is_held_back_and_the_others_are_not() {
    let (seen, envelopes) = channel();
    let limit = Answer {
        status: 429,
        limits: Some("60:error;session:organization, 5:nonsense:key".to_owned()),
        retry_after: None,
    };
    let server = Scripted {
        answers: vec![limit].into_iter(),
        seen,
    };
    let settings = with_dsn("http://key@127.0.0.1:1/42");
    let client = SentryClient::start_with(&settings.sentry, &service(), Some(server)).unwrap();
    let before = lost("rate_limited");
    report(&client);
    report(&client);
    client.send_profile_chunk(&serde_json::json!({"chunk_id": "1"}));
    assert!(client.flush(Duration::from_secs(30)));
    let sent: Vec<_> = envelopes.try_iter().collect();
    assert_eq!(sent.len(), 2, "{sent:#?}");
    assert!(
        sent[0].contains("hello") && sent[1].contains("profile_chunk"),
        "{sent:#?}"
    );
    assert!(
        lost("rate_limited") >= before + 2,
        "the refused one and the one held back"
    );
}

#[test]
fn without_a_dsn_nothing_is_sent_and_nothing_waits() {
    let client = SentryClient::start(&settings(&[]).unwrap().sentry, &service()).unwrap();
    assert!(!client.is_sending() && client.flush(Duration::ZERO));
    assert_eq!(client.description()["sending"], false);
}

#[test]
fn what_is_wrong_with_sentry_s_variables_is_a_warning_and_the_default_holds() {
    let settings = settings(&[
        ("SENTRY_DSN", "https://secret-key@/nowhere"),
        ("SENTRY_TRACES_SAMPLE_RATE", "10"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "-1"),
        ("SENTRY_SAMPLE_RATE", "NaN"),
        ("SENTRY_CAPTURE_STATUS", "599-400"),
        ("SENTRY_SEND_PII", "yes"),
        ("TRACE_UI_URL", "jaeger:16686"),
    ])
    .unwrap();
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "SENTRY_DSN=\"[redacted]\": expected https://<key>@<host>/<project>; without it errors are only logged",
            "SENTRY_TRACES_SAMPLE_RATE=\"10\": expected a number from 0 to 1; 0.1 is used",
            "SENTRY_PROFILES_SAMPLE_RATE=\"-1\": expected a number from 0 to 1; 0.1 is used",
            "SENTRY_SAMPLE_RATE=\"NaN\": expected a number from 0 to 1; 1 is used",
            "SENTRY_CAPTURE_STATUS=\"599-400\": expected statuses from 400 to 599, such as 429,500-599; 400-599 is used",
            "SENTRY_SEND_PII=\"yes\": expected 0 or 1; 0 is used",
            "TRACE_UI_URL=\"jaeger:16686\": expected an http or https URL such as http://localhost:16686; events have no link to their trace",
        ]
    );
    let sentry = &settings.sentry;
    assert_eq!(
        (
            sentry.traces_sample_rate,
            sentry.profiles_sample_rate,
            sentry.sample_rate
        ),
        (0.1, 0.1, 1.0)
    );
    assert!(
        sentry.dsn.is_none() && sentry.capture_status.contains(400) && sentry.capture_status.contains(599)
    );
}

#[test]
fn the_key_of_the_dsn_is_never_shown() {
    let settings = with_dsn("https://the-key:the-secret@sentry.example:8443/base/42");
    let client = SentryClient::start(&settings.sentry, &service()).unwrap();
    let shown = format!("{settings:?} {}", client.description());
    assert!(
        !shown.contains("the-key") && !shown.contains("the-secret"),
        "{shown}"
    );
    assert!(shown.contains("https://sentry.example:8443/base/42"), "{shown}");
}

#[test]
fn the_environment_is_the_resource_s_unless_sentry_has_its_own() {
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging");
    assert_eq!(settings(&[resource]).unwrap().sentry.environment, "staging");
    let own = settings(&[resource, ("SENTRY_ENVIRONMENT", "blue")]).unwrap();
    assert_eq!(own.sentry.environment, "blue");
}
