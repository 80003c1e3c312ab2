//! One file per endpoint.

mod create_conversation;
mod list_messages;
mod send_message;

use tracewell_kit::docs::Routes;
use utoipa_axum::routes;

use crate::app::AppState;

pub(crate) fn all() -> Routes<AppState> {
    Routes::default()
        .v1(routes!(create_conversation::create_conversation))
        .v1(routes!(send_message::send_message, list_messages::list_messages))
}
