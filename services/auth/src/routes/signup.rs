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
    client::Client,
    domain::{AuditKind, Email, MailKind, Password, Role, User},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    store::{self, audit::Subject},
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

/// Makes an account, and mails a token to confirm its e-mail address.
#[utoipa::path(
    post, path = "/signup", tag = "accounts", request_body = Signup,
    responses(
        (status = 201, description = "The account", body = User, links(
            ("signIn" = (operation_id = "signin", description = "Sign in to the new account",
                request_body = json!({"email": "$request.body#/email", "password": "$request.body#/password"}))),
        )),
        (status = 409, description = "`email_taken`", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, description = "`busy`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signup(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    ValidJson(body): ValidJson<Signup>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let password_hash = hasher.hash(body.password).await.map_err(AuthError::from)?;
    let user = User {
        id: id::new("usr"),
        email: body.email,
        email_verified_at: None,
        display_name: body.display_name,
        role: Role::User,
        created_at: clock::now(),
    };
    let mut tx = db.begin().await?;
    if !store::users::insert(&mut tx, &user, password_hash).await? {
        return Err(AuthError::EmailTaken.into());
    }
    store::audit::record(&mut tx, AuditKind::SignedUp, Subject::user(&user.id), &client).await?;
    store::mails::request(&mut tx, MailKind::VerifyEmail, &user.email).await?;
    tx.commit().await?;
    mailer.wake();
    Ok((StatusCode::CREATED, Json(user)))
}
