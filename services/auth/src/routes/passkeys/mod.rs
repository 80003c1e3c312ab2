//! Passkeys: one file per endpoint.

mod add;
mod list;
mod options;
mod remove;
mod signin;

use tracewell_kit::docs::Routes;
use utoipa_axum::routes;

use crate::app::AppState;

pub(super) fn add_to(routes: Routes<AppState>) -> Routes<AppState> {
    routes
        .v1(routes!(list::list_passkeys, add::add_passkey))
        .v1(routes!(options::passkey_options))
        .v1(routes!(remove::remove_passkey))
        .v1(routes!(signin::signin_passkey_options))
        .v1(routes!(signin::signin_passkey))
}
