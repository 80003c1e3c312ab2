//! GET /.well-known/jwks.json

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use tracewell_kit::token::JwkSet;

use crate::keyring::KeyRing;

/// The public keys that verify access tokens (RFC 7517): the one that signs, the next one, and those that signed lately.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "keys",
    responses((status = 200, description = "The keys", body = JwkSet))
)]
pub(crate) async fn jwks(State(keys): State<KeyRing>) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        Json(keys.published().as_ref().clone()),
    )
}
