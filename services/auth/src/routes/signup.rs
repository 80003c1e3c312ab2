//! POST /v1/signup

use axum::extract::State;
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
///
/// The answer is the same if the address has an account already, and takes the same time. Then nothing changes, and a mail
/// tells the owner that they have one.
#[utoipa::path(
    post, path = "/signup", tag = "accounts", request_body = Signup,
    responses(
        (status = 202, description = "A mail is sent to the address. Who made the account can sign in", links(
            ("signIn" = (operation_id = "signin", description = "Sign in to the new account",
                request_body = json!({"email": "$request.body#/email", "password": "$request.body#/password"}))),
        )),
        (status = 503, description = "`busy`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signup(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    ValidJson(body): ValidJson<Signup>,
) -> Result<StatusCode, ApiError> {
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
    let owner_id = store::users::insert(&mut tx, &user, password_hash).await?;
    let owner_id = owner_id.as_deref().unwrap_or(&user.id);
    let (event, mail) = if owner_id == user.id {
        (AuditKind::SignedUp, MailKind::VerifyEmail)
    } else {
        (AuditKind::SignedUpAgain, MailKind::AccountExists)
    };
    store::audit::record(&mut tx, event, Subject::user(owner_id), &client);
    store::mails::request(&mut tx, mail, &user.email);
    tx.commit().await?;
    mailer.wake();
    Ok(StatusCode::ACCEPTED)
}
