//! GET /.well-known/jwks.json

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use tracewell_kit::token::JwkSet;

/// The public keys that verify access tokens (RFC 7517).
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "keys",
    responses((status = 200, description = "The keys", body = JwkSet))
)]
pub(crate) async fn jwks(State(keys): State<Arc<JwkSet>>) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        Json(keys.as_ref().clone()),
    )
}
