//! The caller, as the auth service knows them: other services trust a token until it expires, this one knows at once
//! that its session has ended or that the account is locked.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use tracewell_kit::{
    auth::{CurrentUser, Verifier},
    clock,
    db::{Db, Tx},
    problem::ApiError,
};

use crate::{
    domain::{Account, Role, User},
    error::AuthError,
    hashing::Hasher,
    store,
};

/// The caller, in a session that goes on. A handler that takes it answers 401 or 403 to everybody else.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) session_id: String,
}

impl Account {
    /// The user, unless an admin keeps them out.
    pub(crate) fn unless_locked(self) -> Result<User, AuthError> {
        match self.locked_at {
            None => Ok(self.user),
            Some(_) => Err(AuthError::AccountLocked),
        }
    }
}

impl Caller {
    /// Holds the account for the rest of a transaction that has only begun, if the session still goes on: it may have
    /// been ended while a password was hashed.
    pub(crate) async fn hold(&self, tx: &mut Tx) -> Result<(), AuthError> {
        store::users::hold(tx, &self.user.id).await?;
        store::sessions::account(tx, &self.session_id, &self.user.id, clock::now())
            .await?
            .map(drop)
            .ok_or(AuthError::SessionEnded)
    }
}

/// A caller who is an admin.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Verifier: FromRef<S>,
    Db: FromRef<S>,
    Hasher: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = CurrentUser::from_request_parts(parts, state).await?;
        Hasher::from_ref(state).make_way();
        let session_id = token.session.ok_or(AuthError::SessionEnded)?;
        let account = store::sessions::account(&Db::from_ref(state), &session_id, &token.id, clock::now())
            .await?
            .ok_or(AuthError::SessionEnded)?;
        Ok(Self {
            user: account.unless_locked()?,
            session_id,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Verifier: FromRef<S>,
    Db: FromRef<S>,
    Hasher: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.user.role {
            Role::Admin => Ok(Self(caller)),
            Role::User => Err(AuthError::AdminOnly.into()),
        }
    }
}
