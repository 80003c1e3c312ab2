//! What became of a report.

use axum::http::HeaderValue;
use sentry::{Hub, protocol::Event, types::Uuid};

/// The outcome of one decision, for the log line of the same matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to report.
    #[default]
    NotReported,
    /// It would have been sent, had there been a DSN. The title says what.
    Off(String),
    /// Its group had its event a moment ago.
    Throttled,
    /// `SENTRY_SAMPLE_RATE` left it out.
    SampledOut,
    /// It is on its way, under this id.
    Sent(Uuid),
    /// The service that the answer comes from has sent it, under this id.
    Relayed(Uuid),
}

impl Verdict {
    /// Sends `event` through `hub`.
    pub(super) fn capture(hub: &Hub, event: Event<'static>) -> Self {
        match hub.capture_event(event) {
            id if id.is_nil() => Self::SampledOut,
            id => Self::Sent(id),
        }
    }

    /// About a failure that another service answered with, and this id of an event, if it made one. What is no id is
    /// none of Sentry's, and stays out of log and span.
    pub(crate) fn of_relayed(id: Option<&HeaderValue>) -> Self {
        let id = id.and_then(|id| Uuid::try_parse_ascii(id.as_bytes()).ok());
        id.map_or(Self::NotReported, Self::Relayed)
    }

    /// The log field `sentry`.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self {
            Self::NotReported => None,
            Self::Off(_) => Some("off"),
            Self::Throttled => Some("throttled"),
            Self::SampledOut => Some("sampled_out"),
            Self::Sent(_) => Some("sent"),
            Self::Relayed(_) => Some("relayed"),
        }
    }

    /// The event's id as 32 hex digits, once it is on its way.
    pub(crate) fn event_id(&self) -> Option<String> {
        match self {
            Self::Sent(id) | Self::Relayed(id) => Some(id.simple().to_string()),
            _ => None,
        }
    }

    /// What would have been sent.
    pub(crate) fn title(&self) -> Option<&str> {
        match self {
            Self::Off(title) => Some(title),
            _ => None,
        }
    }
}
