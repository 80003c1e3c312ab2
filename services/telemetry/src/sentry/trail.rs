//! What a request did so far, as breadcrumbs of whatever it reports later. Nearly no request reports anything, so a note is
//! small and becomes a breadcrumb only when somebody asks.

use std::{borrow::Cow, collections::VecDeque, time::SystemTime};

use sentry::{
    Breadcrumb, Level,
    protocol::{Map, Value},
};

/// Notes that are kept: the last ones. As many as Sentry's SDKs keep breadcrumbs.
const MAX_NOTES: usize = 100;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// The request was answered.
    Answer {
        method: &'static str,
        route: String,
        status: u16,
    },
    /// Another service was called.
    Call {
        method: &'static str,
        url: String,
        /// `None`: there was no answer.
        status: Option<u16>,
        error_type: Option<Cow<'static, str>>,
    },
    /// A database was asked.
    Query {
        system: &'static str,
        /// With placeholders.
        text: Cow<'static, str>,
        /// Empty for a success.
        error_type: Cow<'static, str>,
    },
}

impl Note {
    /// By Sentry's conventions: <https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/>.
    fn breadcrumb(self, timestamp: SystemTime) -> Breadcrumb {
        let (ty, category, message, data, failed) = match self {
            Self::Answer {
                method,
                route,
                status,
            } => {
                let data = http_data(method, route, Some(status));
                ("http", "response", None, data, false)
            }
            Self::Call {
                method,
                url,
                status,
                error_type,
            } => {
                let mut data = http_data(method, url, status);
                let failed = error_type.is_some();
                // A status says it already.
                if let (None, Some(error_type)) = (status, error_type) {
                    data.insert("reason".to_owned(), error_type.into());
                }
                ("http", "http", None, data, failed)
            }
            Self::Query {
                system,
                text,
                error_type,
            } => {
                let mut data = Map::from([("db.system".to_owned(), system.into())]);
                let failed = !error_type.is_empty();
                if failed {
                    data.insert("reason".to_owned(), error_type.into());
                }
                ("query", "query", Some(text.into_owned()), data, failed)
            }
        };
        Breadcrumb {
            timestamp,
            ty: ty.to_owned(),
            category: Some(category.to_owned()),
            level: if failed { Level::Error } else { Level::Info },
            message,
            data,
        }
    }
}

fn http_data(method: &'static str, url: String, status: Option<u16>) -> Map<String, Value> {
    let status = status.map(|status| ("status_code".to_owned(), status.into()));
    let rest = [
        ("method".to_owned(), method.into()),
        ("url".to_owned(), url.into()),
    ];
    rest.into_iter().chain(status).collect()
}

/// The notes of one request, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Trail(VecDeque<(SystemTime, Note)>);

impl Trail {
    pub(crate) fn add(&mut self, note: Note) {
        if self.0.len() >= MAX_NOTES {
            self.0.pop_front();
        }
        self.0.push_back((SystemTime::now(), note));
    }

    /// The notes as breadcrumbs; none is left.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Breadcrumb> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|(timestamp, note)| note.breadcrumb(timestamp))
    }
}
