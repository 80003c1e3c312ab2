//! PATCH /v1/me

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer};
use tracewell_kit::{db::Db, json::ValidJson, problem::ApiError};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, User},
    refusals::CallerRefused,
    store::{self, audit::Subject},
};

/// What is to change (RFC 7396): what is left out stays, null takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileChange {
    /// Name to show to others.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Ada")]
    display_name: Option<NewName>,
}

/// The new name; none takes the old one away.
#[derive(Debug)]
struct NewName(Option<String>);

/// Tells a property that is null from one that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NewName>, D::Error> {
    Option::deserialize(deserializer).map(|name| Some(NewName(name)))
}

/// Changes the caller's own account.
#[utoipa::path(
    patch, path = "/me", tag = "accounts", security(("bearer" = [])), request_body = ProfileChange,
    responses(
        CallerRefused,
        (status = 200, description = "The account as it is now", body = User),
    )
)]
pub(crate) async fn change_me(
    State(db): State<Db>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<ProfileChange>,
) -> Result<Json<User>, ApiError> {
    let Caller { mut user, session_id } = caller;
    if let Some(NewName(name)) = body.display_name {
        let mut tx = db.begin().await?;
        store::users::set_display_name(&mut tx, &user.id, name.clone());
        let subject = Subject::user(&user.id).in_session(&session_id);
        store::audit::record(&mut tx, AuditKind::ProfileChanged, subject, &client);
        tx.commit().await?;
        user.display_name = name;
    }
    Ok(Json(user))
}
