//! Requests that the service answers: span, metrics, access log and panics.

mod access;
mod body;
mod forwarded;
mod layer;
mod panic;
mod record;
mod report;
mod scope;

pub use report::{ErrorReport, Relayed};

pub(crate) use access::AccessLog;
pub(crate) use forwarded::TrustedProxies;
pub(crate) use layer::HttpTelemetryLayer;
pub(crate) use panic::{CatchPanicLayer, PANIC, panic_message, panic_noted};
pub(crate) use record::Reporters;
pub(crate) use scope::ScopeLayer;

use http::Method;

/// The method as a label of low cardinality: the names that the semantic conventions know, `_OTHER` for
/// anything a client made up.
pub(crate) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}
