//! POST /v1/signup

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    id,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    domain::{Email, Password, User},
    error::AuthError,
    hashing::Hasher,
    store,
};

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signup {
    email: Email,
    password: Password,
    /// Name to show to others.
    #[schema(min_length = 1, max_length = 100, example = "Ada")]
    display_name: Option<String>,
}

/// Makes an account.
#[utoipa::path(
    post, path = "/signup", tag = "accounts", request_body = Signup,
    responses(
        (status = 201, description = "The account", body = User),
        (status = 409, description = "`email_taken`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signup(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    ValidJson(body): ValidJson<Signup>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let password_hash = hasher.hash(body.password).await.map_err(AuthError::from)?;
    let user = User {
        id: id::new("usr"),
        email: body.email,
        display_name: body.display_name,
        created_at: clock::now(),
    };
    if store::users::insert(&db, &user, password_hash).await? {
        Ok((StatusCode::CREATED, Json(user)))
    } else {
        Err(AuthError::EmailTaken.into())
    }
}
