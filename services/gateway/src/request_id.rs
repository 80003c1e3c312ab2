//! `X-Request-Id`: one name for a request in the logs of everyone it passed, and in the answer.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header's name.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are replaced: the id is written into every log line.
const MAX_LENGTH: usize = 128;

/// Keeps the caller's request id or makes one, and answers with it.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = match request.headers().get(X_REQUEST_ID) {
        Some(given) if is_acceptable(given) => given.clone(),
        _ => fresh(),
    };
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

fn is_acceptable(value: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn fresh() -> HeaderValue {
    HeaderValue::try_from(Uuid::now_v7().to_string()).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_spoil_a_log_are_not_kept() {
        assert!(is_acceptable(&HeaderValue::from_static("order-42/a")));
        for refused in ["", "two words", "tab\there", &"x".repeat(129)] {
            assert!(
                !is_acceptable(&HeaderValue::from_str(refused).expect("a header value")),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_fresh_id_is_acceptable_itself() {
        assert!(is_acceptable(&fresh()));
        assert_ne!(fresh(), fresh());
    }
}
