//! Release health: how the requests of a release ended, counted per minute.
//! Source: <https://develop.sentry.dev/sdk/telemetry/sessions/>, session aggregates.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sentry::protocol::{SessionAggregateItem, SessionAggregates, SessionAttributes};

/// How one request ended for its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// As it should, which includes a client's own mistakes.
    Healthy,
    /// An error of ours was answered.
    Errored,
    /// A panic.
    Crashed,
}

#[derive(Debug, Default)]
struct Ends {
    healthy: u32,
    errored: u32,
    crashed: u32,
}

/// The requests since the last report.
#[derive(Debug)]
pub(crate) struct Sessions {
    attributes: SessionAttributes<'static>,
    /// By minute since 1970, as Sentry groups them.
    minutes: Mutex<BTreeMap<u64, Ends>>,
}

impl Sessions {
    pub(crate) fn new(release: String, environment: String) -> Self {
        Self {
            attributes: SessionAttributes {
                release: release.into(),
                environment: Some(environment.into()),
                ip_address: None,
                user_agent: None,
            },
            minutes: Mutex::default(),
        }
    }

    /// Counts a request that began at `started`.
    pub(crate) fn ended(&self, started: SystemTime, end: SessionEnd) {
        let since_epoch = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = minutes.entry(since_epoch.as_secs() / 60).or_default();
        let count = match end {
            SessionEnd::Healthy => &mut ends.healthy,
            SessionEnd::Errored => &mut ends.errored,
            SessionEnd::Crashed => &mut ends.crashed,
        };
        *count = count.saturating_add(1);
    }

    /// What there is to report, which is then forgotten.
    pub(crate) fn take(&self) -> Option<SessionAggregates<'static>> {
        let minutes = std::mem::take(&mut *self.minutes.lock().unwrap_or_else(PoisonError::into_inner));
        let aggregates = minutes.into_iter().map(|(minute, ends)| SessionAggregateItem {
            started: UNIX_EPOCH + Duration::from_secs(minute * 60),
            distinct_id: None,
            exited: ends.healthy,
            errored: ends.errored,
            abnormal: 0,
            crashed: ends.crashed,
        });
        let aggregates: Vec<_> = aggregates.collect();
        (!aggregates.is_empty()).then(|| SessionAggregates {
            aggregates,
            attributes: self.attributes.clone(),
        })
    }
}
