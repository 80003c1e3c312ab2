//! One file per endpoint.

mod entitlements;
mod list_subscriptions;
mod plans;
mod subscribe;

use tracewell_kit::docs::Routes;
use utoipa_axum::routes;

use crate::app::AppState;

pub(crate) fn all() -> Routes<AppState> {
    Routes::default()
        .v1(routes!(plans::list_plans))
        .v1(routes!(
            subscribe::subscribe,
            list_subscriptions::list_subscriptions
        ))
        .v1(routes!(entitlements::entitlements))
}
