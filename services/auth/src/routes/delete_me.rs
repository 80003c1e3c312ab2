//! DELETE /v1/me

use axum::extract::State;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tracewell_kit::{db::Db, json::ValidJson, problem::ApiError};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    client::Client,
    cookie,
    domain::{AuditKind, Password},
    hashing::Hasher,
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    store::{self, audit::Subject},
};

/// The owner's consent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deletion {
    password: Password,
}

/// Deletes the caller's account for good, with its sessions and its audit trail, and takes away the cookie of a browser.
#[utoipa::path(
    delete, path = "/me", tag = "accounts", security(("bearer" = [])), request_body = Deletion,
    responses(
        OwnerRefused,
        (status = 204, description = "The account is gone"),
    )
)]
pub(crate) async fn delete_me(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<Deletion>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let id = &caller.user.id;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    store::audit::forget(&mut tx, id);
    store::users::delete(&mut tx, id);
    // Without the address: of somebody who has left nothing personal is kept.
    store::audit::record(
        &mut tx,
        AuditKind::AccountDeleted,
        Subject::user(id),
        &Client::default(),
    );
    tx.commit().await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::CLEAR)]))
}
