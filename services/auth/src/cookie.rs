//! The refresh token in a cookie, for browsers: out of reach of the page's scripts.
//!
//! The `__Host-` prefix makes browsers insist on `Secure`, on `Path=/` and on no `Domain`, so that no sister host can
//! plant one (RFC 6265bis, 4.1.3.2). `SameSite=Lax` and the kit's check of the request's origin keep other sites from
//! using it.

use http::{HeaderMap, HeaderValue, header, header::InvalidHeaderValue};

use crate::{domain::session, opaque::OpaqueToken};

const NAME: &str = "__Host-refresh";

/// The refresh token that a browser sent along.
pub(crate) fn read(headers: &HeaderMap) -> Option<OpaqueToken> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == NAME)
        .map(|(_, value)| OpaqueToken::from(value.to_owned()))
}

/// `Set-Cookie` that keeps the token as long as its session may last without being used.
pub(crate) fn keep(token: &OpaqueToken) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!(
        "{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
        token.expose(),
        session::IDLE.as_secs()
    ))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Set-Cookie` that takes the token away.
pub(crate) const CLEAR: HeaderValue =
    HeaderValue::from_static("__Host-refresh=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; refresh=2"));
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("b=; __Host-refresh=secret ; c=3"),
        );
        assert_eq!(read(&headers).unwrap().expose(), "secret");
        headers.remove(header::COOKIE);
        assert!(read(&headers).is_none());
    }

    #[test]
    fn what_clears_is_the_cookie_that_was_kept() {
        assert!(CLEAR.to_str().unwrap().starts_with(&format!("{NAME}=;")));
        let kept = keep(&OpaqueToken::from("secret".to_owned())).unwrap();
        assert!(kept.is_sensitive());
    }
}
