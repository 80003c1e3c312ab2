//! Which requests reach which upstream, and how they look there.

use http::{Method, StatusCode};

use crate::support::{Received, Setup, always, assert_problem, mirror};

#[tokio::test]
async fn the_prefix_is_stripped_and_all_else_passes() {
    let gateway = Setup::new()
        .upstream("auth", mirror())
        .await
        .upstream("billing", mirror())
        .await
        .start()
        .await;
    let answer = gateway
        .request(Method::PATCH, "/auth/v1/me?a=1&b=%20x")
        .header("authorization", "Bearer abc")
        .header("content-type", "text/plain")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let received: Received = answer.json().await.unwrap();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("PATCH", "/v1/me?a=1&b=%20x")
    );
    assert_eq!(received.header("authorization"), Some("Bearer abc"));
    assert_eq!(received.header("content-length"), Some("5"));
    assert_eq!(received.body, "hello");
}

#[tokio::test]
async fn paths_at_the_edge_of_a_prefix() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    let cases = [
        ("/auth", Some("/")),
        ("/auth/", Some("/")),
        ("/auth?x=1", Some("/?x=1")),
        ("/auth//v1//me", Some("//v1//me")),
        ("/auth/a%2Fb", Some("/a%2Fb")),
        ("/auth/.well-known/jwks.json", Some("/.well-known/jwks.json")),
        ("/authx", None),
        ("/authx/v1/me", None),
        ("//auth/v1/me", None),
        ("/x/auth", None),
        ("/AUTH/v1/me", None),
    ];
    for (path, target) in cases {
        let answer = gateway.get(path).send().await.unwrap();
        if let Some(target) = target {
            assert_eq!(answer.json::<Received>().await.unwrap().target, target, "{path}");
        } else {
            assert!(answer.headers().contains_key("x-request-id"), "{path}");
            drop(assert_problem(answer, StatusCode::NOT_FOUND, "unknown_route").await);
        }
    }
}

#[tokio::test]
async fn a_path_that_servers_read_differently_is_refused() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    for path in [
        "/auth/../billing",
        "/auth/%2e%2E/billing",
        "/auth/v1/./me",
        "/auth/..\\x",
    ] {
        let answer = gateway
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.contains("\"code\":\"ambiguous_path\""), "{path}: {answer}");
    }
}

#[tokio::test]
async fn headers_of_one_hop_end_here_in_both_directions() {
    let upstream = always(|| {
        http::Response::builder()
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-kept", "1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body("done".into())
            .unwrap()
    });
    let gateway = Setup::new()
        .upstream("mirror", mirror())
        .await
        .upstream("auth", upstream)
        .await
        .start()
        .await;
    let request = gateway
        .get("/mirror")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("te", "trailers");
    let received: Received = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((received.header("x-hop"), received.header("te")), (None, None));

    let answer = gateway.get("/auth").send().await.unwrap();
    assert!(!answer.headers().contains_key("x-hop"));
    assert!(answer.headers().contains_key("x-kept"));
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(answer.text().await.unwrap(), "done");
}

#[tokio::test]
async fn the_upstream_learns_where_a_request_came_from_and_no_client_can_lie_about_it() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    let request = gateway
        .get("/auth/v1/me")
        .header("host", "shop.example.com")
        .header("x-forwarded-for", "6.6.6.6");
    let received: Received = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.header("x-forwarded-host"), Some("shop.example.com"));
    assert_eq!(received.header("x-forwarded-proto"), Some("http"));
    assert_eq!(received.header("x-forwarded-prefix"), Some("/auth"));
    assert_ne!(received.header("host"), Some("shop.example.com"));
}

#[tokio::test]
async fn every_request_has_one_id_on_both_sides() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    let answer = gateway
        .get("/auth")
        .header("x-request-id", "order-42")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-request-id"], "order-42");
    assert_eq!(
        answer.json::<Received>().await.unwrap().header("x-request-id"),
        Some("order-42")
    );

    let answer = gateway
        .get("/auth")
        .header("x-request-id", "two words")
        .send()
        .await
        .unwrap();
    let made = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_ne!(made, "two words");
    assert_eq!(
        answer.json::<Received>().await.unwrap().header("x-request-id"),
        Some(made.as_str())
    );
}

#[tokio::test]
async fn the_trace_of_the_caller_goes_on_upstream() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    let request = gateway
        .get("/auth")
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    let received: Received = request.send().await.unwrap().json().await.unwrap();
    let parent = received.header("traceparent").unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")), "{parent}");
}

#[tokio::test]
async fn answers_without_body_keep_their_length_and_status() {
    let upstream = always(|| {
        http::Response::builder()
            .status(204)
            .body(axum::body::Body::empty())
            .unwrap()
    });
    let gateway = Setup::new()
        .upstream("mirror", mirror())
        .await
        .upstream("auth", upstream)
        .await
        .start()
        .await;
    let head = gateway.request(Method::HEAD, "/mirror").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.headers().contains_key("content-length"), "{head:?}");
    assert_eq!(
        gateway.get("/auth").send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn what_services_show_to_who_debugs_them_is_not_passed_on() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    for path in [
        "/auth/debug",
        "/auth/debug/",
        "/auth/debug/mail",
        "/auth/debug?x=1",
        "/auth//debug/mail",
        "/auth/%64ebug/mail",
        "/auth/DEBUG/mail",
        "/auth/%2Fdebug%2Fmail",
    ] {
        let answer = gateway.get(path).send().await.unwrap();
        drop(assert_problem(answer, StatusCode::NOT_FOUND, "unknown_route").await);
    }
    for path in ["/auth/debugger", "/auth/v1/debug", "/auth/v1/debug/x"] {
        assert_eq!(
            gateway.get(path).send().await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
}
