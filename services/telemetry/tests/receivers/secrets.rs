//! Secrets that a client sends must not leave the service by any of its signals.

use http::{Method, header};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use crate::fixture::{Answer, Ended, Greeter, JaegerProcess, Service, Spotlight, Tools, free_ports};

const PASSWORD: &str = "correct-horse-battery";
const TOKEN: &str = "tok_5f4dcc3b5aa765d6";
const COOKIE: &str = "sess_d8578edf8458ce06";
const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJldmUifQ.c2lnbmF0dXJl";
/// In a breadcrumb of `/debug/breadcrumbs`.
const NOTE: &str = "never sent";
/// It passes the check digit, as one of a person does.
const CARD: &str = "4111111111111111";

#[tokio::test]
async fn planted_secrets_are_in_no_log_span_envelope_or_metric() {
    let Some(tools) = Tools::find() else { return };
    let (jaeger, spotlight) = (JaegerProcess::start(&tools).await, Spotlight::start(&tools).await);
    let (endpoint, dsn) = (jaeger.endpoint(), spotlight.dsn());
    let elder = format!("http://user:{PASSWORD}@127.0.0.1:{}", free_ports::<1>()[0]);
    let resource = format!(
        "k8s.pod.name=greeter-0,db.password={PASSWORD},k8s.note=token%3D{TOKEN},k8s.db=pg%3A%2F%2Fapp%3A{PASSWORD}%40db"
    );
    let greeter = Greeter::start(&[
        ("OTEL_RESOURCE_ATTRIBUTES", &resource),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("SENTRY_DSN", &dsn),
        ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "1"),
        ("ELDER_URL", &elder),
    ])
    .await;
    let targets = [
        (
            Method::GET,
            format!("/hello/ada?access_token={TOKEN}&password={PASSWORD}"),
        ),
        (Method::GET, format!("/hello/{CARD}?card={CARD}")),
        (Method::GET, format!("/hello/{JWT}")),
        (Method::POST, "/hello/ada".to_owned()),
        (Method::GET, format!("/debug/error?token={TOKEN}")),
        (Method::GET, format!("/debug/panic?password={PASSWORD}")),
        (Method::GET, "/debug/breadcrumbs".to_owned()),
        (Method::GET, format!("/nowhere/{CARD}?token={TOKEN}")),
    ];
    for (method, target) in targets {
        let request = greeter
            .request(method, &target)
            .bearer_auth(JWT)
            .header(header::COOKIE, format!("session={COOKIE}"))
            .header("x-api-key", TOKEN)
            .header(header::USER_AGENT, format!("judge password={PASSWORD}"))
            .header(header::REFERER, format!("http://shop.test/?token={TOKEN}"))
            .header("x-request-id", format!("token={TOKEN}"))
            .header("baggage", format!("password={PASSWORD}"))
            .body(format!(r#"{{"password": "{PASSWORD}", "card": "{CARD}"}}"#));
        Answer::to(request).await;
    }
    // Two times 502, for the elder is not there; 405, 500, the panic, and the error with breadcrumbs.
    spotlight.until_events(6).await;
    let metrics = greeter.get("/metrics").await.body;
    let left = Left::by(greeter.end().await, "greeter", &jaeger, &spotlight, metrics).await;
    left.assert_without_secrets(&[
        ("log", "/debug/error"),
        ("spans", "GET /debug/panic"),
        ("spans", "greeter-0"),
        ("envelopes", "fatal"),
        ("envelopes", "asked the disk"),
        ("envelopes", "pod_name"),
        ("metrics", "/hello/{name}"),
    ]);
}

/// A driver's errors quote what the database says, and that may quote what was stored.
#[tokio::test]
async fn planted_secrets_of_a_database_s_error_are_in_none_either() {
    let Some(tools) = Tools::find() else { return };
    let (jaeger, spotlight) = (JaegerProcess::start(&tools).await, Spotlight::start(&tools).await);
    let (endpoint, dsn) = (jaeger.endpoint(), spotlight.dsn());
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("auth.db").display());
    let auth = Service::start(
        "tracewell-auth",
        &[
            ("DATABASE_URL", &database),
            ("HASH_COST", "m=8,t=1"),
            ("OTEL_SERVICE_NAME", "auth"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("SENTRY_DSN", &dsn),
            ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ],
    )
    .await;
    let refusal = format!(
        "CREATE TRIGGER refusal BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'quoted: password={PASSWORD} \
         token={TOKEN} cookie: session={COOKIE} Bearer {JWT} card {CARD}'); END"
    );
    let mut connection = SqliteConnection::connect(&database).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(refusal))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let sign_up = auth
        .request(Method::POST, "/v1/signup")
        .json(&json!({"email": "ada@example.com", "password": PASSWORD}));
    assert_eq!(Answer::to(sign_up).await.status, 500);
    spotlight.until_events(1).await;
    let metrics = auth.get("/metrics").await.body;
    let left = Left::by(auth.end().await, "auth", &jaeger, &spotlight, metrics).await;
    left.assert_without_secrets(&[
        ("log", "quoted: "),
        ("spans", "INSERT users"),
        ("spans", "quoted: "),
        ("envelopes", "quoted: "),
        ("metrics", "db_client_operation_duration_seconds"),
    ]);
}

/// All that has left a service, by the kind of signal.
struct Left([(&'static str, String); 4]);

impl Left {
    /// By a service that has `ended`, to the receivers that it was given.
    async fn by(
        ended: Ended,
        service: &str,
        jaeger: &JaegerProcess,
        spotlight: &Spotlight,
        metrics: String,
    ) -> Self {
        let log = serde_json::to_string(&ended.log).unwrap() + &ended.errors.join("\n");
        let spans = jaeger.everything_of(service).await.to_string();
        let envelopes = format!("{:?}", spotlight.everything().await);
        Self([
            ("log", log),
            ("spans", spans),
            ("envelopes", envelopes),
            ("metrics", metrics),
        ])
    }

    /// The secrets must have been looked for in something: the signals hold what is `expected` in them.
    #[track_caller]
    fn assert_without_secrets(&self, expected: &[(&str, &str)]) {
        for (signal, text) in &self.0 {
            let expected = expected.iter().filter(|(of, _)| of == signal);
            for (_, part) in expected {
                assert!(text.contains(part), "no {part} in the {signal}: {text}");
            }
            for secret in [PASSWORD, TOKEN, COOKIE, JWT, CARD, NOTE] {
                let found = text
                    .find(secret)
                    .map(|at| &text[at.saturating_sub(200)..at + secret.len()]);
                assert_eq!(found, None, "{secret} is in the {signal}");
            }
        }
    }
}
