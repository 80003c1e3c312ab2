//! `/api-docs` in a real browser.

use std::{env, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tracewell_kit::testing::{Browser, Running};

use super::Probe;

/// The operation that answers who the caller is.
const WHO_AM_I: &str = "[id$='-whoami']";

/// Keeps a picture of the page in the folder that the variable names, for people to look at.
async fn show(browser: &Browser, name: &str) {
    if let Some(folder) = env::var_os("TRACEWELL_SCREENSHOTS") {
        let picture = STANDARD.decode(browser.screenshot().await.unwrap()).unwrap();
        fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

/// Asks the service by the page's own button, and gives status and body as the page shows them.
async fn ask(browser: &Browser, operation: &str) -> (String, String) {
    browser.click(&format!("{operation} .execute")).await.unwrap();
    let status = format!("{operation} .live-responses-table tbody .response-col_status");
    let found = format!(
        "const found = document.querySelector({}); return found && /^\\d+/.test(found.innerText) && found.innerText",
        json!(status)
    );
    let status = browser.until(&found).await.unwrap();
    let body = browser
        .text(&format!(
            "{operation} .live-responses-table tbody .response-col_description pre"
        ))
        .await
        .unwrap();
    // An undocumented status says so in a second line.
    let status = status.as_str().unwrap().split_whitespace().next().unwrap();
    (status.to_owned(), body.trim().to_owned())
}

async fn open_operation(browser: &Browser, operation: &str) {
    browser
        .click(&format!("{operation} .opblock-summary-control"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_page_shows_the_operations_and_tries_them_and_keeps_the_authorization() {
    let service = Running::start::<Probe>(&[]).await.unwrap();
    let token = service.own_token("usr_ada").unwrap();
    let browser = Browser::start(&[]).await.unwrap();
    browser
        .open(&format!("{}/api-docs", service.url()))
        .await
        .unwrap();
    browser
        .until("return document.querySelector('.opblock') !== null")
        .await
        .unwrap();
    let page = browser.text("#swagger-ui").await.unwrap();
    for text in ["Probe", "OAS 3.1", "/v1/echo", "/v1/whoami", "Authorize"] {
        assert!(page.contains(text), "no {text:?} in:\n{page}");
    }
    show(&browser, "api-docs").await;

    // A body is tried out, and what is wrong with it comes back.
    let echo = "[id$='-echo']";
    open_operation(&browser, echo).await;
    browser
        .fill(
            &format!("{echo} textarea.body-param__text"),
            r#"{"text": "hello"}"#,
        )
        .await
        .unwrap();
    let (status, body) = ask(&browser, echo).await;
    assert_eq!(status, "200", "{body}");
    assert!(body.contains("hello"), "{body}");

    // Without a token the service refuses, with one it does not.
    open_operation(&browser, WHO_AM_I).await;
    let (status, body) = ask(&browser, WHO_AM_I).await;
    assert_eq!(status, "401", "{body}");
    browser.click(".auth-wrapper .authorize").await.unwrap();
    browser.fill(".auth-container input", &token).await.unwrap();
    browser.click(".auth-container .authorize").await.unwrap();
    browser.click(".auth-container .btn-done").await.unwrap();
    browser.click(&format!("{WHO_AM_I} .btn-clear")).await.unwrap();
    let (status, body) = ask(&browser, WHO_AM_I).await;
    assert_eq!((status.as_str(), body.as_str()), ("200", "\"usr_ada\""));
    show(&browser, "api-docs-tried").await;

    // The token outlives the page.
    browser.reload().await.unwrap();
    browser
        .until("return document.querySelector('.auth-wrapper .authorize.locked') !== null")
        .await
        .unwrap();
    // And so does what was open, by its name in the address.
    let (status, body) = ask(&browser, WHO_AM_I).await;
    assert_eq!((status.as_str(), body.as_str()), ("200", "\"usr_ada\""));
}
