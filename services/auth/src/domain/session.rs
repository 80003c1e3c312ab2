//! Sessions: how long they last, and what a refresh token that comes back is worth.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A session that is not used for so long ends.
pub(crate) const IDLE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A session ends after this time, used or not.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// A token may come twice within this time: two tabs that refresh at once, or an answer that was lost.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// A replaced token is remembered so long, to see that it comes back.
pub(crate) const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A place that the user is signed in at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Id of the session.
    #[schema(example = "ses_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// When the user signed in.
    pub(crate) created_at: Timestamp,
    /// When its tokens were last issued.
    pub(crate) last_used_at: Timestamp,
    /// When it ends, unless its tokens are refreshed before.
    pub(crate) expires_at: Timestamp,
    /// Address that it was last used from.
    #[schema(example = "203.0.113.7")]
    pub(crate) address: Option<String>,
    /// What the client calls itself.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64)")]
    pub(crate) user_agent: Option<String>,
    /// Whether this is the session of the request.
    pub(crate) current: bool,
}

/// When a session ends that began at `created_at` and was last used at `used_at`.
pub(crate) fn end(created_at: Timestamp, used_at: Timestamp) -> Timestamp {
    (used_at + IDLE).min(created_at + LONGEST)
}

/// What is known of a refresh token that a client presents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented {
    /// Whether its session was revoked or is over.
    pub(crate) session_ended: bool,
    /// When it was replaced, if it was.
    pub(crate) replaced_at: Option<Timestamp>,
    /// Whether the token that replaced it is the session's last.
    pub(crate) successor_in_use: bool,
}

/// What to do with a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// Replace it by a new one.
    Replace,
    /// Give the same successor again.
    Repeat,
    /// Somebody else has used it: end the session, since nobody can tell who of the two is the thief.
    Reused,
    /// The session is over.
    Ended,
}

impl Presented {
    pub(crate) fn rotation(&self, now: Timestamp) -> Rotation {
        match self.replaced_at {
            _ if self.session_ended => Rotation::Ended,
            None => Rotation::Replace,
            Some(replaced_at) if self.successor_in_use && now.duration_since(replaced_at) <= GRACE => {
                Rotation::Repeat
            }
            Some(_) => Rotation::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_session_ends_when_idle_and_at_the_latest_after_90_days() {
        let day = SignedDuration::from_hours(24);
        assert_eq!(end(at(0), at(0)), at(0) + day * 14);
        assert_eq!(end(at(0), at(0) + day * 80), at(0) + day * 90);
    }

    #[test]
    fn only_the_parent_of_the_token_in_use_may_come_again_and_only_at_once() {
        let rotation = |replaced_at: Option<i64>, successor_in_use, session_ended, now| {
            let presented = Presented {
                session_ended,
                replaced_at: replaced_at.map(at),
                successor_in_use,
            };
            presented.rotation(at(now))
        };
        assert_eq!(rotation(None, false, false, 0), Rotation::Replace);
        assert_eq!(rotation(Some(0), true, false, 10), Rotation::Repeat);
        assert_eq!(rotation(Some(0), true, false, 11), Rotation::Reused);
        assert_eq!(rotation(Some(0), false, false, 1), Rotation::Reused);
        for replaced_at in [None, Some(0)] {
            assert_eq!(rotation(replaced_at, true, true, 1), Rotation::Ended);
        }
    }
}
