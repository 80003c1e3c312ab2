//! What can go wrong in the auth service, and what the client is told of it.

use http::{HeaderValue, StatusCode, header};
use tracewell_kit::{db::DbError, problem::ApiError};

use crate::{
    domain::MOST_PASSKEYS, hashing::HashError, opaque::NoRandomness, passkey::PasskeyError,
    sealing::SealError,
};

/// The failure of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("this e-mail address has an account already")]
    EmailTaken,
    // One answer for an unknown address and for a wrong password: accounts cannot be probed for.
    #[error("e-mail address or password is wrong")]
    InvalidCredentials,
    #[error("the current password is wrong")]
    WrongPassword,
    #[error("an admin has locked this account")]
    AccountLocked,
    #[error("an admin cannot lock their own account")]
    OwnAccount,
    #[error(
        "an admin takes their own second factors away as everybody does: DELETE /v1/me/totp and /v1/me/passkeys/{{id}}"
    )]
    OwnSecondFactor,
    #[error("the account has neither one-time passwords nor a passkey")]
    NoSecondFactor,
    #[error("only an admin may do this")]
    AdminOnly,
    #[error("the session has ended: sign in again")]
    SessionEnded,
    #[error("the refresh token is unknown or out of date: sign in again")]
    InvalidRefreshToken,
    #[error("the refresh token had been used before, so its session has been ended: sign in again")]
    RefreshTokenReused,
    #[error("the code is wrong, used or out of date")]
    WrongCode,
    #[error("the challenge is unknown, used or out of date: begin again")]
    InvalidChallenge,
    #[error("one-time passwords are on already: turn them off before another device is set up")]
    TotpEnabled,
    #[error("no device is being set up, or it was confirmed already: begin with POST /v1/me/totp")]
    NoTotpSetup,
    #[error("one-time passwords are not on")]
    NoTotp,
    #[error("no account here has this passkey")]
    UnknownPasskey,
    #[error("this passkey is known already")]
    PasskeyExists,
    #[error(
        "the account has {MOST_PASSKEYS} passkeys, and no more: take one away first, by DELETE /v1/me/passkeys/{{id}}"
    )]
    TooManyPasskeys,
    #[error("{0}")]
    Passkey(#[from] PasskeyError),
    #[error("the passkey has not counted on since it was last used: there may be a copy of it")]
    PasskeyCloned,
    #[error("the token of the mail is wrong, used or out of date: ask for a new mail")]
    InvalidMailToken,
    #[error("too many failed attempts: try again in {seconds} s")]
    TooManyAttempts { seconds: u32 },
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the access token cannot be written")]
    Token(#[from] serde_json::Error),
    #[error("the cookie cannot be written")]
    Cookie(#[from] http::header::InvalidHeaderValue),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let answer = |status, code| Self::new(status, code, error.to_string());
        match error {
            AuthError::EmailTaken => answer(StatusCode::CONFLICT, "email_taken"),
            AuthError::InvalidCredentials => answer(StatusCode::UNAUTHORIZED, "invalid_credentials"),
            AuthError::WrongPassword => answer(StatusCode::FORBIDDEN, "wrong_password"),
            AuthError::AccountLocked => answer(StatusCode::FORBIDDEN, "account_locked"),
            AuthError::OwnAccount | AuthError::OwnSecondFactor => answer(StatusCode::CONFLICT, "own_account"),
            AuthError::NoSecondFactor => answer(StatusCode::CONFLICT, "no_second_factor"),
            AuthError::AdminOnly => answer(StatusCode::FORBIDDEN, "admin_only"),
            AuthError::SessionEnded => answer(StatusCode::UNAUTHORIZED, "session_ended").with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="tracewell", error="invalid_token""#),
            ),
            AuthError::InvalidRefreshToken => answer(StatusCode::UNAUTHORIZED, "invalid_refresh_token"),
            AuthError::RefreshTokenReused => answer(StatusCode::UNAUTHORIZED, "refresh_token_reused"),
            AuthError::WrongCode => answer(StatusCode::FORBIDDEN, "wrong_code"),
            AuthError::InvalidChallenge => answer(StatusCode::BAD_REQUEST, "invalid_challenge"),
            AuthError::TotpEnabled => answer(StatusCode::CONFLICT, "totp_enabled"),
            AuthError::NoTotpSetup => answer(StatusCode::CONFLICT, "no_totp_setup"),
            AuthError::NoTotp => answer(StatusCode::CONFLICT, "totp_not_enabled"),
            AuthError::UnknownPasskey => answer(StatusCode::UNAUTHORIZED, "unknown_passkey"),
            AuthError::PasskeyExists => answer(StatusCode::CONFLICT, "passkey_exists"),
            AuthError::TooManyPasskeys => answer(StatusCode::CONFLICT, "too_many_passkeys"),
            AuthError::Passkey(_) => answer(StatusCode::BAD_REQUEST, "invalid_passkey"),
            AuthError::PasskeyCloned => answer(StatusCode::FORBIDDEN, "passkey_cloned"),
            AuthError::InvalidMailToken => answer(StatusCode::BAD_REQUEST, "invalid_mail_token"),
            AuthError::TooManyAttempts { seconds } => {
                answer(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts")
                    .with_header(header::RETRY_AFTER, seconds.into())
            }
            AuthError::Hash(HashError::Busy) => Self::overloaded("busy", "too many sign-ins at once"),
            AuthError::Database(error) => error.into(),
            AuthError::Hash(error) => Self::internal(error),
            AuthError::Token(error) => Self::internal(error),
            AuthError::Cookie(error) => Self::internal(error),
            AuthError::Randomness(error) => Self::internal(error),
            AuthError::Seal(error) => Self::internal(error),
        }
    }
}
