//! What every way to sign in ends with: a session, its tokens, an entry in the audit trail.

use http::HeaderMap;
use serde::Serialize;
use tracewell_kit::{clock, db::Tx, id, token::SigningKey};
use utoipa::ToSchema;

use crate::{
    client::Client,
    domain::{AuditKind, User},
    error::AuthError,
    opaque::OpaqueToken,
    store::{self, audit::Subject},
    tokens::{Keep, Tokens},
};

/// A successful sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    tokens: Tokens,
    user: User,
}

impl SignedIn {
    /// Opens a session of `user` as the last part of the transaction.
    pub(crate) async fn finish(
        mut tx: Tx,
        key: &SigningKey,
        client: &Client,
        user: User,
        keep: Keep,
    ) -> Result<(Self, HeaderMap), AuthError> {
        // No token has named the caller yet.
        tracewell_telemetry::user(&user.id, None);
        let now = clock::now();
        let (session_id, token) = (id::new("ses"), OpaqueToken::generate()?);
        store::sessions::open(&mut tx, &user.id, &session_id, &token, client, now);
        let subject = Subject::user(&user.id).in_session(&session_id);
        store::audit::record(&mut tx, AuditKind::SignedIn, subject, client);
        tx.commit().await?;
        let (tokens, headers) = Tokens::issue(key, &user.id, &session_id, token, keep, now)?;
        Ok((Self { tokens, user }, headers))
    }
}
