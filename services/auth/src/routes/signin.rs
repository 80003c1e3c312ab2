//! POST /v1/signin

use std::sync::{Arc, LazyLock};

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
    token::{self, Claims, SigningKey},
};
use tracewell_telemetry::{Counter, counter};
use utoipa::ToSchema;

use crate::{
    domain::{Email, Password, User},
    error::AuthError,
    hashing::{HashError, Hasher},
    store,
};

static SIGNINS: LazyLock<Counter> = LazyLock::new(|| counter("auth.signin", "Sign-ins by outcome."));

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signin {
    email: Email,
    password: Password,
}

/// A successful sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedIn {
    /// For the `Authorization` header of further requests.
    access_token: String,
    /// How to present it.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until it expires.
    #[schema(example = 600)]
    expires_in: i64,
    user: User,
}

/// Gives an access token for an e-mail address and its password.
#[utoipa::path(
    post, path = "/signin", tag = "accounts", request_body = Signin,
    responses(
        (status = 200, description = "The token", body = SignedIn),
        (status = 401, description = "`invalid_credentials`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signin(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(key): State<Arc<SigningKey>>,
    ValidJson(body): ValidJson<Signin>,
) -> Result<Json<SignedIn>, ApiError> {
    let signed_in = sign_in(&db, &hasher, &key, body).await;
    let outcome = match &signed_in {
        Ok(_) => "success",
        Err(AuthError::InvalidCredentials) => "invalid_credentials",
        Err(AuthError::Hash(HashError::Busy)) => "busy",
        Err(_) => "error",
    };
    SIGNINS.add(1, &[("outcome", outcome)]);
    Ok(Json(signed_in?))
}

async fn sign_in(db: &Db, hasher: &Hasher, key: &SigningKey, body: Signin) -> Result<SignedIn, AuthError> {
    let (user, password_hash) = store::users::by_email(db, &body.email).await?.unzip();
    let fits = hasher.verify(body.password, password_hash).await?;
    let user = user.filter(|_| fits).ok_or(AuthError::InvalidCredentials)?;
    let access_token = key.sign(&Claims::new(user.id.clone(), clock::now()))?;
    Ok(SignedIn {
        access_token,
        token_type: "Bearer",
        expires_in: token::LIFETIME.as_secs(),
        user,
    })
}
