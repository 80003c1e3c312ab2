//! One file per endpoint.

mod jwks;
mod me;
mod signin;
mod signup;

use tracewell_kit::docs::Routes;
use utoipa_axum::routes;

use crate::app::AppState;

pub(crate) fn all() -> Routes<AppState> {
    Routes::default()
        .v1(routes!(signup::signup))
        .v1(routes!(signin::signin))
        .v1(routes!(me::me))
        .root(routes!(jwks::jwks))
}
