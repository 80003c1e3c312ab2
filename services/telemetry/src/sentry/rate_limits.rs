//! What Sentry asks not to be sent for a while.
//! Source: <https://develop.sentry.dev/sdk/expected-features/rate-limiting/>.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// What the protocol says to do after a 429 that names no time.
const DEFAULT: Duration = Duration::from_mins(1);

/// No answer silences this process for longer: a mistaken one must not last until a restart.
const LONGEST: Duration = Duration::from_hours(1);

/// A kind of item, by its name in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Category {
    Error,
    Transaction,
    Session,
    ProfileChunk,
    /// Anything else, such as a client report: held back only when everything is.
    Other,
}

impl Category {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "transaction" => Self::Transaction,
            "session" => Self::Session,
            "profile_chunk" => Self::ProfileChunk,
            _ => return None,
        })
    }
}

/// What the answer to an envelope says about limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The header `X-Sentry-Rate-Limits`.
    pub(crate) limits: Option<String>,
    /// The header `Retry-After`.
    pub(crate) retry_after: Option<String>,
}

/// The limits in force.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    everything: Option<Instant>,
    categories: HashMap<Category, Instant>,
}

impl RateLimits {
    pub(crate) fn forbid(&self, category: Category, now: Instant) -> bool {
        self.everything
            .iter()
            .chain(self.categories.get(&category))
            .any(|until| now < *until)
    }

    /// Takes in what an answer says.
    pub(crate) fn update(&mut self, answer: &Answer, now: Instant) {
        if let Some(limits) = &answer.limits {
            limits.split(',').for_each(|limit| self.add(limit, now));
        } else if answer.status == 429 {
            let seconds = answer.retry_after.as_deref().and_then(seconds);
            self.everything = Some(now + seconds.unwrap_or(DEFAULT));
        }
    }

    /// One limit, such as `60:error;transaction:organization:reason`; no category means all of them.
    fn add(&mut self, limit: &str, now: Instant) {
        let mut parts = limit.trim().split(':');
        let Some(time) = parts.next().and_then(seconds) else {
            return;
        };
        match parts.next() {
            None | Some("") => self.everything = Some(now + time),
            Some(names) => {
                let known = names.split(';').filter_map(Category::named);
                self.categories
                    .extend(known.map(|category| (category, now + time)));
            }
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()?;
    Some(time.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answer: &Answer) -> (RateLimits, Instant) {
        let (mut limits, now) = (RateLimits::default(), Instant::now());
        limits.update(answer, now);
        (limits, now)
    }

    #[test]
    fn limits_end_after_their_time_and_hold_for_their_kinds() {
        let (limits, now) = after(&Answer {
            status: 200,
            limits: Some(
                "2:error;transaction:org:reason, 60:profile_chunk:org, x:error:org, 5:replay:org".into(),
            ),
            retry_after: None,
        });
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(limits.forbid(Category::Error, at(1)) && !limits.forbid(Category::Error, at(2)));
        assert!(limits.forbid(Category::Transaction, at(1)));
        assert!(limits.forbid(Category::ProfileChunk, at(59)));
        assert!(!limits.forbid(Category::Session, at(1)) && !limits.forbid(Category::Other, at(1)));
    }

    #[test]
    fn everything_waits_after_a_429_or_a_limit_without_kinds() {
        for (status, limits, retry_after, seconds) in [
            (429, None, Some("7"), 7),
            (429, None, Some("Wed, 21 Oct 2026 07:28:00 GMT"), 60),
            (429, None, None, 60),
            (200, Some("9::organization"), None, 9),
            (200, Some("1e300::organization"), None, 0),
            (429, None, Some("999999999"), 3600),
        ] {
            let (limits, now) = after(&Answer {
                status,
                limits: limits.map(str::to_owned),
                retry_after: retry_after.map(str::to_owned),
            });
            let end = now + Duration::from_secs(seconds);
            assert_eq!(limits.forbid(Category::Other, now), seconds > 0, "{limits:?}");
            assert!(!limits.forbid(Category::Other, end), "{limits:?}");
        }
    }
}
