//! Whom an event is about.

use http::Method;
use serde_json::{Value, json};

use crate::fixture::{Answer, Service, Spotlight, Tools};

const EMAIL: &str = "ada@example.com";

#[tokio::test]
async fn what_fails_for_a_signed_in_user_is_told_with_their_id_and_no_more_of_them() {
    let Some(tools) = Tools::find() else { return };
    let spotlight = Spotlight::start(&tools).await;
    let (dsn, folder) = (spotlight.dsn(), tempfile::tempdir().unwrap());
    let database = format!("sqlite://{}", folder.path().join("auth.db").display());
    let variables = [
        ("SENTRY_DSN", dsn.as_str()),
        ("SENTRY_TRACES_SAMPLE_RATE", "0"),
        ("DATABASE_URL", &database),
        ("HASH_COST", "m=8,t=1"),
    ];
    let auth = Service::start("tracewell-auth", &variables).await;
    let account = json!({"email": EMAIL, "password": "correct horse battery"});
    let post = async |path: &str| {
        let answer = Answer::to(auth.request(Method::POST, path).json(&account)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        answer.body
    };
    post("/v1/signup").await;
    let signed_in: Value = serde_json::from_str(&post("/v1/signin").await).unwrap();
    let token = signed_in["access_token"].as_str().unwrap();
    let failing = auth.request(Method::DELETE, "/v1/sessions/ses_unknown");
    assert_eq!(Answer::to(failing.bearer_auth(token)).await.status, 404);

    let event = spotlight.until_item("event").await.payload;
    assert_eq!(event["user"], json!({"id": signed_in["user"]["id"]}), "{event:#}");
    // What it says of itself where the environment says nothing.
    let itself = concat!("auth@", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&event["release"], &event["environment"]),
        (&json!(itself), &json!("production"))
    );
    let text = event.to_string();
    assert!(!text.contains(EMAIL) && !text.contains(token), "{event:#}");
    assert!(auth.end().await.status.success());
}
