//! What only admins may do: one file per endpoint.

mod audit_trail;
mod get_user;
mod list_users;
mod lock;
mod remove_second_factors;

use tracewell_kit::{docs::Routes, problem::ApiError};
use utoipa_axum::routes;

use crate::app::AppState;

pub(super) fn add_to(routes: Routes<AppState>) -> Routes<AppState> {
    routes
        .v1(routes!(list_users::list_users))
        .v1(routes!(get_user::get_user))
        .v1(routes!(audit_trail::audit_trail_of))
        .v1(routes!(lock::lock))
        .v1(routes!(lock::unlock))
        .v1(routes!(remove_second_factors::remove_second_factors))
}

fn no_such_user() -> ApiError {
    ApiError::not_found("there is no account with this id")
}
