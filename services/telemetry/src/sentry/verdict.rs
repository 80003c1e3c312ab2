//! What became of a report.

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
}

impl Verdict {
    /// Sends `event` through `hub`.
    pub(super) fn capture(hub: &Hub, event: Event<'static>) -> Self {
        match hub.capture_event(event) {
            id if id.is_nil() => Self::SampledOut,
            id => Self::Sent(id),
        }
    }

    /// The log field `sentry`.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self {
            Self::NotReported => None,
            Self::Off(_) => Some("off"),
            Self::Throttled => Some("throttled"),
            Self::SampledOut => Some("sampled_out"),
            Self::Sent(_) => Some("sent"),
        }
    }

    /// The event's id as 32 hex digits, once it is on its way.
    pub(crate) fn event_id(&self) -> Option<String> {
        match self {
            Self::Sent(id) => Some(id.simple().to_string()),
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
