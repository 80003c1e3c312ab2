//! `/api-docs` in a real browser.

use std::{env, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tracewell_kit::testing::{Browser, Running, Setup};

use super::Probe;

/// The operation that answers who the caller is.
const WHO_AM_I: &str = "[id$='-whoami']";

/// Keeps a picture of the page in the folder that the variable names, for people to look at.
async fn show(browser: &Browser, name: &str) -> Setup<()> {
    if let Some(folder) = env::var_os("TRACEWELL_SCREENSHOTS") {
        let picture = STANDARD.decode(browser.screenshot().await?)?;
        fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture)?;
    }
    Ok(())
}

/// Asks the service by the page's own button, and gives status and body as the page shows them.
async fn ask(browser: &Browser, operation: &str) -> Setup<(String, String)> {
    browser.click(&format!("{operation} .execute")).await?;
    let status = format!("{operation} .live-responses-table tbody .response-col_status");
    let found = format!(
        "const found = document.querySelector({}); return found && /^\\d+/.test(found.innerText) && found.innerText",
        json!(status)
    );
    let status = browser.until(&found).await?;
    let body = browser
        .text(&format!(
            "{operation} .live-responses-table tbody .response-col_description pre"
        ))
        .await?;
    // An undocumented status says so in a second line.
    let status = status
        .as_str()
        .and_then(|status| status.split_whitespace().next());
    Ok((status.ok_or("no status")?.to_owned(), body.trim().to_owned()))
}

async fn open_operation(browser: &Browser, operation: &str) -> Setup<()> {
    browser
        .click(&format!("{operation} .opblock-summary-control"))
        .await
}

#[tokio::test]
async fn the_page_shows_the_operations_and_tries_them_and_keeps_the_authorization() -> Setup<()> {
    let service = Running::start::<Probe>(&[]).await?;
    let token = service.own_token("usr_ada")?;
    let browser = Browser::start(&[]).await?;
    browser.open(&format!("{}/api-docs", service.url())).await?;
    browser
        .until("return document.querySelector('.opblock') !== null")
        .await?;
    let page = browser.text("#swagger-ui").await?;
    for text in ["Probe", "OAS 3.1", "/v1/echo", "/v1/whoami", "Authorize"] {
        assert!(page.contains(text), "no {text:?} in:\n{page}");
    }
    show(&browser, "api-docs").await?;

    // A body is tried out, and what is wrong with it comes back.
    let echo = "[id$='-echo']";
    open_operation(&browser, echo).await?;
    browser
        .fill(
            &format!("{echo} textarea.body-param__text"),
            r#"{"text": "hello"}"#,
        )
        .await?;
    let (status, body) = ask(&browser, echo).await?;
    assert_eq!(status, "200", "{body}");
    assert!(body.contains("hello"), "{body}");

    // Without a token the service refuses, with one it does not.
    open_operation(&browser, WHO_AM_I).await?;
    let (status, body) = ask(&browser, WHO_AM_I).await?;
    assert_eq!(status, "401", "{body}");
    browser.click(".auth-wrapper .authorize").await?;
    browser.fill(".auth-container input", &token).await?;
    browser.click(".auth-container .authorize").await?;
    browser.click(".auth-container .btn-done").await?;
    browser.click(&format!("{WHO_AM_I} .btn-clear")).await?;
    let (status, body) = ask(&browser, WHO_AM_I).await?;
    assert_eq!((status.as_str(), body.as_str()), ("200", "\"usr_ada\""));
    show(&browser, "api-docs-tried").await?;

    // The token outlives the page.
    browser.reload().await?;
    browser
        .until("return document.querySelector('.auth-wrapper .authorize.locked') !== null")
        .await?;
    // And so does what was open, by its name in the address.
    let (status, body) = ask(&browser, WHO_AM_I).await?;
    assert_eq!((status.as_str(), body.as_str()), ("200", "\"usr_ada\""));
    Ok(())
}
