//! Bad requests through the gateway: each is a problem with the right status, and says what would be right.

use anyhow::Result;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tracewell_e2e::endpoint::{Answer, Endpoint};
use tracewell_e2e::gateway::{DEMO_GATEWAY, User};
use tracewell_e2e::platform::Handle;

fn assert_problem(answer: &Answer, status: StatusCode, what: &str) -> Result<Value> {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    let kind = answer
        .headers
        .get("content-type")
        .map_or("", |kind| kind.to_str().unwrap_or(""));
    assert_eq!(kind, "application/problem+json", "{what}: {}", answer.body);
    let problem: Value = answer.json()?;
    for field in ["type", "title", "status", "detail", "code", "trace_id"] {
        assert!(!problem[field].is_null(), "{what} has no {field}: {problem}");
    }
    assert_eq!(problem["status"], status.as_u16(), "{what}");
    Ok(problem)
}

#[tokio::test]
async fn requests_that_no_route_takes() -> Result<()> {
    Handle::demo().await?;
    let user = User::unknown_to(Endpoint::url(DEMO_GATEWAY)?);
    let cases = [
        (Method::GET, "/nothing/here", StatusCode::NOT_FOUND),
        (Method::GET, "/authx/v1/me", StatusCode::NOT_FOUND),
        (Method::GET, "/auth/v1/nothing", StatusCode::NOT_FOUND),
        (Method::DELETE, "/auth/v1/signup", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/billing/v1/plans", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/v1/health", StatusCode::METHOD_NOT_ALLOWED),
    ];
    for (method, path, status) in cases {
        let answer = user.send(method.clone(), path, None).await?;
        let problem = assert_problem(&answer, status, &format!("{method} {path}"))?;
        assert_eq!(
            problem["trace_id"], user.trace.trace_id,
            "the problem leads to the caller's own trace"
        );
    }
    Ok(())
}

#[tokio::test]
async fn bodies_that_break_the_documented_schema() -> Result<()> {
    Handle::demo().await?;
    let gateway = Endpoint::url(DEMO_GATEWAY)?;
    let user = User::unknown_to(gateway.clone());
    let malformed = user
        .send(Method::POST, "/auth/v1/signup", Some("{\"email\": "))
        .await?;
    assert_problem(&malformed, StatusCode::BAD_REQUEST, "half a document")?;

    let wrong = json!({"email": "ada@example.com", "password": "short"}).to_string();
    let problem = user.send(Method::POST, "/auth/v1/signup", Some(&wrong)).await?;
    let problem = assert_problem(&problem, StatusCode::UNPROCESSABLE_ENTITY, "a short password")?;
    assert_eq!(problem["errors"][0]["pointer"], "/password", "{problem}");
    assert!(
        !problem.to_string().contains("short\""),
        "a password is not repeated: {problem}"
    );

    let text = Request::post("/auth/v1/signup")
        .header("content-type", "text/plain")
        .body("hello".to_owned())?;
    assert_problem(
        &gateway.send(text).await?,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "plain text",
    )?;

    // The client is still writing when the refusal comes, and must get it all the same.
    let huge = json!({"email": "a".repeat(1 << 20)}).to_string();
    let answer = user.send(Method::POST, "/auth/v1/signup", Some(&huge)).await?;
    assert_problem(&answer, StatusCode::PAYLOAD_TOO_LARGE, "a body over 64 KiB").map(drop)
}

#[tokio::test]
async fn tokens_that_are_missing_or_forged() -> Result<()> {
    Handle::demo().await?;
    let mut user = User::unknown_to(Endpoint::url(DEMO_GATEWAY)?);
    let paths = [
        "/auth/v1/me",
        "/billing/v1/subscriptions",
        "/billing/v1/entitlements",
    ];
    for path in paths {
        let answer = user.send(Method::GET, path, None).await?;
        assert_problem(
            &answer,
            StatusCode::UNAUTHORIZED,
            &format!("{path} without a token"),
        )?;
        assert!(answer.headers.contains_key("www-authenticate"), "{path}");
    }

    user.sign_up().await?;
    user.sign_in().await?;
    let good = user.token()?.to_owned();
    let mut parts = good.split('.');
    let (header, claims, signature) = (
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
    );
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let reversed: String = signature.chars().rev().collect();
    let forged = [
        "not-a-token".to_owned(),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{reversed}"),
        format!("{header}.{}.{signature}", claims.to_uppercase()),
    ];
    for path in paths {
        for token in &forged {
            let answer = user
                .clone()
                .with_token(token)
                .send(Method::GET, path, None)
                .await?;
            assert_problem(&answer, StatusCode::UNAUTHORIZED, &format!("{path} with {token}"))?;
        }
    }
    user.get("/auth/v1/me").await?;
    Ok(())
}

#[tokio::test]
async fn a_conversation_of_somebody_else_is_not_there() -> Result<()> {
    Handle::demo().await?;
    let gateway = Endpoint::url(DEMO_GATEWAY)?;
    let (mut ada, mut bob) = (User::unknown_to(gateway.clone()), User::unknown_to(gateway));
    for user in [&mut ada, &mut bob] {
        user.sign_up().await?;
        user.sign_in().await?;
    }
    let conversation = ada
        .post(
            "/chat/v1/conversations",
            &json!({"title": "Secret"}),
            StatusCode::CREATED,
        )
        .await?;
    let messages = format!(
        "/chat/v1/conversations/{}/messages",
        conversation["id"].as_str().unwrap_or("")
    );
    assert_problem(
        &bob.send(Method::GET, &messages, None).await?,
        StatusCode::NOT_FOUND,
        "reading",
    )?;
    let message = json!({"body": "hi", "client_msg_id": "m-1"}).to_string();
    assert_problem(
        &bob.send(Method::POST, &messages, Some(&message)).await?,
        StatusCode::NOT_FOUND,
        "writing",
    )?;
    ada.get(&messages).await?;
    Ok(())
}

#[tokio::test]
async fn the_portal_has_the_document_of_every_service() -> Result<()> {
    Handle::demo().await?;
    let gateway = Endpoint::url(DEMO_GATEWAY)?;
    for service in ["auth", "billing", "chat"] {
        let answer = gateway.get(&format!("/api-docs/{service}.json")).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let document: Value = answer.json()?;
        assert_eq!(document["servers"], json!([{"url": format!("/{service}")}]));
        assert!(
            document["paths"]
                .as_object()
                .is_some_and(|paths| !paths.is_empty()),
            "{document}"
        );
    }
    let page = gateway.get("/api-docs/").await?;
    assert!(
        page.status == StatusCode::OK && page.body.contains("swagger"),
        "{}",
        page.body
    );
    let health: Value = gateway.get("/v1/health").await?.json()?;
    assert_eq!(health["status"], "ready", "{health}");
    Ok(())
}
