//! What can go wrong in the auth service, and what the client is told of it.

use http::StatusCode;
use tracewell_kit::{db::DbError, problem::ApiError};

use crate::hashing::HashError;

/// The failure of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("this e-mail address has an account already")]
    EmailTaken,
    // One answer for an unknown address and for a wrong password: accounts cannot be probed for.
    #[error("e-mail address or password is wrong")]
    InvalidCredentials,
    #[error("the account of this token is gone")]
    AccountGone,
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the access token cannot be written")]
    Token(#[from] serde_json::Error),
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let answer = |status, code| Self::new(status, code, error.to_string());
        match error {
            AuthError::EmailTaken => answer(StatusCode::CONFLICT, "email_taken"),
            AuthError::InvalidCredentials => answer(StatusCode::UNAUTHORIZED, "invalid_credentials"),
            AuthError::AccountGone => answer(StatusCode::UNAUTHORIZED, "account_gone"),
            AuthError::Hash(HashError::Busy) => {
                Self::unavailable("busy", "too many sign-ins at once", 1).caused_by(HashError::Busy)
            }
            AuthError::Database(error) => error.into(),
            AuthError::Hash(error) => Self::internal(error),
            AuthError::Token(error) => Self::internal(error),
        }
    }
}
