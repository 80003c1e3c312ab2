//! One file per endpoint.

mod admin;
mod audit_trail;
mod change_email;
mod change_me;
mod change_password;
mod delete_me;
mod jwks;
mod list_sessions;
mod me;
mod outbox;
mod passkeys;
mod refresh;
mod request_mail;
mod reset_password;
mod revoke_session;
mod signin;
mod signin_second_factor;
mod signout;
mod signup;
mod totp;
mod verify_email;

use axum::{Router, routing::get};
use tracewell_kit::docs::Routes;
use utoipa_axum::routes;

use crate::app::AppState;

pub(crate) fn all() -> Routes<AppState> {
    let own = Routes::default()
        .v1(routes!(signup::signup))
        .v1(routes!(signin::signin))
        .v1(routes!(signin_second_factor::signin_second_factor))
        .v1(routes!(signout::signout))
        .v1(routes!(refresh::refresh))
        .v1(routes!(list_sessions::list_sessions))
        .v1(routes!(revoke_session::revoke_session))
        .v1(routes!(me::me, change_me::change_me, delete_me::delete_me))
        .v1(routes!(verify_email::verify_email))
        .v1(routes!(request_mail::resend_verification))
        .v1(routes!(request_mail::forgot_password))
        .v1(routes!(reset_password::reset_password))
        .v1(routes!(change_password::change_password))
        .v1(routes!(change_email::change_email))
        .v1(routes!(change_email::confirm_email_change))
        .v1(routes!(audit_trail::audit_trail))
        .root(routes!(jwks::jwks));
    admin::add_to(passkeys::add_to(totp::add_to(own)))
}

/// The mails that were sent, for those who operate the service: outside of the document and of the API.
pub(crate) fn outbox() -> Router<AppState> {
    Router::new().route("/debug/mail", get(outbox::outbox))
}
