//! POST /v1/signin

use std::sync::LazyLock;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
    token::SigningKey,
};
use tracewell_telemetry::{Counter, counter};
use utoipa::ToSchema;

use crate::{
    client::Client,
    domain::{Account, AuditKind, Email, Password},
    error::AuthError,
    hashing::{HashError, Hasher, Place, Verdict},
    keyring::KeyRing,
    opaque::OpaqueToken,
    signed_in::SignedIn,
    store::{self, attempts::Target, audit::Subject, challenges::Purpose},
    tokens::Keep,
};

static SIGNINS: LazyLock<Counter> = LazyLock::new(|| counter("auth.signin", "Sign-ins by outcome."));

/// How long a code may be waited for.
const SECOND_FACTOR: SignedDuration = SignedDuration::from_mins(5);

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signin {
    email: Email,
    password: Password,
    /// Whether the refresh token goes into an `HttpOnly` cookie instead of the answer's body; for browsers.
    #[serde(default)]
    cookie: bool,
}

/// The password was right, and a code is needed too.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactorNeeded {
    /// For `POST /v1/signin/second-factor`.
    challenge: OpaqueToken,
    /// Seconds until it expires.
    #[schema(example = 300)]
    expires_in: i64,
}

/// What became of a right password.
pub(crate) enum Admitted {
    SignedIn(Box<(SignedIn, HeaderMap)>),
    SecondFactorNeeded(SecondFactorNeeded),
}

impl IntoResponse for Admitted {
    fn into_response(self) -> Response {
        match self {
            Self::SignedIn(signed_in) => (signed_in.1, Json(signed_in.0)).into_response(),
            Self::SecondFactorNeeded(needed) => (StatusCode::ACCEPTED, Json(needed)).into_response(),
        }
    }
}

/// Gives the tokens of a new session for an e-mail address and its password.
#[utoipa::path(
    post, path = "/signin", tag = "sessions", request_body = Signin,
    responses(
        (status = 200, description = "The tokens", body = SignedIn, links(
            ("refresh" = (operation_id = "refresh", description = "Refresh the access token",
                request_body = json!({"refresh_token": "$response.body#/refresh_token"}))),
        )),
        (status = 202, description = "The password is right, and the account has one-time passwords on",
            body = SecondFactorNeeded),
        (status = 401, description = "`invalid_credentials`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`account_locked`, said to who knows the password only",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 429, description = "`too_many_attempts`: Retry-After says when to come again",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 503, description = "`busy`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signin(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(keys): State<KeyRing>,
    client: Client,
    ValidJson(body): ValidJson<Signin>,
) -> Result<Admitted, ApiError> {
    let admitted = attempt(&db, &hasher, &keys.signing(), &client, body).await;
    count(&admitted, |admitted| match admitted {
        Admitted::SignedIn(_) => "success",
        Admitted::SecondFactorNeeded(_) => "second_factor_needed",
    });
    Ok(admitted?)
}

/// Counts an attempt by what became of it.
pub(super) fn count<T>(attempt: &Result<T, AuthError>, outcome: impl Fn(&T) -> &'static str) {
    let outcome = match attempt {
        Ok(admitted) => outcome(admitted),
        Err(AuthError::InvalidCredentials) => "invalid_credentials",
        Err(AuthError::AccountLocked) => "account_locked",
        Err(AuthError::TooManyAttempts { .. }) => "too_many_attempts",
        Err(AuthError::WrongCode) => "wrong_code",
        Err(AuthError::InvalidChallenge) => "invalid_challenge",
        Err(AuthError::UnknownPasskey) => "unknown_passkey",
        Err(AuthError::Passkey(_)) => "invalid_passkey",
        Err(AuthError::PasskeyCloned) => "passkey_cloned",
        Err(AuthError::Hash(HashError::Busy)) => "busy",
        Err(_) => "error",
    };
    SIGNINS.add(1, &[("outcome", outcome)]);
}

/// Signs in unless too many attempts have failed before.
async fn attempt(
    db: &Db,
    hasher: &Hasher,
    key: &SigningKey,
    client: &Client,
    body: Signin,
) -> Result<Admitted, AuthError> {
    let place = hasher.queue()?;
    let email = body.email.clone();
    let target = Target::Password(&email);
    let mut tx = db.begin().await?;
    store::attempts::count(&mut tx, &target, client, clock::now()).await?;
    let known = store::users::by_email(tx.and_commit(), &email).await?;
    let signed_in = sign_in(db, hasher, place, key, client, body, known).await;
    if let Err(AuthError::AccountLocked) = signed_in {
        // Said to who knows the password only.
        store::attempts::forgive_now(db, &target, client).await?;
    }
    signed_in
}

async fn sign_in(
    db: &Db,
    hasher: &Hasher,
    place: Place,
    key: &SigningKey,
    client: &Client,
    body: Signin,
    known: Option<(Account, String)>,
) -> Result<Admitted, AuthError> {
    let (account, password_hash) = known.unzip();
    let verdict = place.verify(body.password.clone(), password_hash.clone()).await?;
    let (account, known_hash) = match account.zip(password_hash) {
        Some(found) if verdict != Verdict::Wrong => found,
        unknown => {
            // Written for unknown addresses too, since a write takes time.
            let subject = Subject {
                user: unknown.as_ref().map(|(account, _)| account.user.id.as_str()),
                ..Subject::default()
            };
            let mut tx = db.begin().await?;
            store::audit::record(&mut tx, AuditKind::SigninFailed, subject, client);
            tx.commit().await?;
            return Err(AuthError::InvalidCredentials);
        }
    };
    if account.locked_at.is_some() {
        return Err(AuthError::AccountLocked);
    }
    let hash = match verdict {
        Verdict::Outdated => hasher.hash(body.password).await?,
        _ => known_hash.clone(),
    };
    let user = account.user;
    let mut tx = db.begin().await?;
    let confirmed = store::users::confirm_password_hash(&mut tx, &user.id, &known_hash, &hash).await?;
    let Some(confirmed) = confirmed else {
        // Somebody has chosen another password since it was looked at, and ended every session.
        return Err(AuthError::InvalidCredentials);
    };
    store::attempts::forgive(&mut tx, &Target::Password(&body.email), client).await?;
    if confirmed.takes_second_factor {
        let challenge = OpaqueToken::generate()?;
        let end = clock::now() + SECOND_FACTOR;
        store::challenges::insert(&mut tx, &challenge, Purpose::SecondFactor, Some(&user.id), end);
        tx.commit().await?;
        return Ok(Admitted::SecondFactorNeeded(SecondFactorNeeded {
            challenge,
            expires_in: SECOND_FACTOR.as_secs(),
        }));
    }
    let keep = Keep::of_browser(body.cookie);
    let signed_in = SignedIn::finish(tx, key, client, user, keep).await?;
    Ok(Admitted::SignedIn(Box::new(signed_in)))
}
