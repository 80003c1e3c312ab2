//! Who is calling: the bearer token of a request, verified without asking anybody on the way.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::extract::{FromRef, FromRequestParts};
use http::{HeaderValue, StatusCode, header, request::Parts};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    clock,
    problem::ApiError,
    signatures::Signatures,
    token::{self, Claims, JwkSet, TokenError},
    upstream::Upstream,
};

/// Name of the security scheme in the API documents.
pub const BEARER: &str = "bearer";

/// Keys are fetched again after this time, so that a withdrawn one is not trusted for ever.
const MAX_AGE: Duration = Duration::from_mins(10);
/// Unknown keys make the set be fetched again, but never more often than this: anybody can invent a `kid`.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// Verifies access tokens. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Arc<Keys>,
    signatures: Arc<Signatures>,
}

#[derive(Debug)]
enum Keys {
    Fixed(RwLock<Arc<JwkSet>>),
    Published(Published),
}

/// The keys that the auth service publishes, fetched when they are first needed.
#[derive(Debug)]
struct Published {
    auth: Upstream,
    known: RwLock<Option<Known>>,
    /// The last attempt to fetch; held during one, so that there is one at a time.
    attempt: Mutex<Option<Attempt>>,
}

#[derive(Debug, Clone)]
struct Known {
    keys: Arc<JwkSet>,
    fetched: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    ended: Instant,
    failed: bool,
}

impl Verifier {
    /// Trusts these keys.
    pub fn fixed(keys: JwkSet) -> Self {
        Self::new(Keys::Fixed(RwLock::new(Arc::new(keys))))
    }

    /// Trusts these keys from now on instead of those that it was given; without effect on published ones.
    pub fn replace(&self, keys: JwkSet) {
        if let Keys::Fixed(fixed) = &*self.keys {
            *fixed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        }
    }

    /// Trusts the keys that `auth` publishes.
    pub fn published_by(auth: Upstream) -> Self {
        Self::new(Keys::Published(Published {
            auth,
            known: RwLock::default(),
            attempt: Mutex::default(),
        }))
    }

    fn new(keys: Keys) -> Self {
        Self {
            keys: Arc::new(keys),
            signatures: Arc::default(),
        }
    }

    /// The claims of a good token.
    pub async fn verify(&self, token: &AccessToken) -> Result<Claims, ApiError> {
        let now = clock::now();
        let claims = |keys: &JwkSet| token::verify_by(&self.signatures, &token.0, keys, now);
        let published = match &*self.keys {
            Keys::Fixed(keys) => {
                let keys = Arc::clone(&keys.read().unwrap_or_else(PoisonError::into_inner));
                return claims(&keys).map_err(refused);
            }
            Keys::Published(published) => published,
        };
        if let Some(known) = published.known() {
            if known.fetched.elapsed() > MAX_AGE {
                self.refresh_in_background();
            }
            match claims(&known.keys) {
                Err(TokenError::UnknownKey) => {}
                outcome => return outcome.map_err(refused),
            }
        }
        let keys = published.refresh().await?;
        claims(&keys).map_err(refused)
    }

    /// Fetches the keys without making a request wait: those that are known still serve.
    fn refresh_in_background(&self) {
        let keys = Arc::clone(&self.keys);
        tokio::spawn(async move {
            if let Keys::Published(published) = &*keys
                && let Err(error) = published.refresh().await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "signing keys not refreshed"
                );
            }
        });
    }
}

impl Published {
    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys as they are now, fetched unless that was tried a moment ago.
    async fn refresh(&self) -> Result<Arc<JwkSet>, ApiError> {
        let asked = Instant::now();
        let mut attempt = self.attempt.lock().await;
        let known = self.known();
        if let Some(Attempt { ended, failed }) = *attempt {
            // Without any keys yet every caller tries again: the first requests after a start must not
            // fail because auth was a second late.
            let recent = ended >= asked || (known.is_some() && ended.elapsed() < MIN_INTERVAL);
            match known {
                Some(known) if recent && !failed => return Ok(known.keys),
                _ if recent => return Err(keys_unavailable()),
                _ => {}
            }
        }
        let fetched = self.auth.get::<JwkSet>("/.well-known/jwks.json", None).await;
        *attempt = Some(Attempt {
            ended: Instant::now(),
            failed: fetched.is_err(),
        });
        let keys = Arc::new(fetched?);
        let known = Known {
            keys: Arc::clone(&keys),
            fetched: Instant::now(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(keys)
    }
}

fn keys_unavailable() -> ApiError {
    ApiError::unavailable(
        "upstream_unavailable",
        "the keys of the service auth could not be fetched a moment ago",
        1,
    )
}

fn refused(error: TokenError) -> ApiError {
    let code = if error == TokenError::Expired {
        "token_expired"
    } else {
        "invalid_token"
    };
    unauthorized(
        code,
        r#"Bearer realm="tracewell", error="invalid_token""#,
        error.to_string(),
    )
}

fn unauthorized(
    code: &'static str,
    challenge: &'static str,
    detail: impl Into<std::borrow::Cow<'static, str>>,
) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// A bearer token, kept out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// A token as it came or will go over the wire.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the `Authorization` header of an outgoing call.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

/// The caller, by a verified token. A handler that takes it answers 401 to everybody else.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// The user's id.
    pub id: String,
    /// The session that the token was issued in, if it names one.
    pub session: Option<String>,
    /// The caller's own token, to act for them at another service.
    pub token: AccessToken,
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser
where
    Verifier: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or_else(|| {
            unauthorized(
                "missing_token",
                r#"Bearer realm="tracewell""#,
                "this route needs Authorization: Bearer <access token>",
            )
        })?;
        let claims = Verifier::from_ref(state).verify(&token).await?;
        tracewell_telemetry::user(&claims.sub, None);
        Ok(Self {
            id: claims.sub,
            session: claims.sid,
            token,
        })
    }
}

fn bearer(parts: &Parts) -> Option<AccessToken> {
    let (scheme, token) = parts
        .headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| AccessToken::new(token.trim()))
}
