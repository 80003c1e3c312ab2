//! The life of a signing key: published before it signs, and still published after, so that no token ever names a key
//! that a verifier cannot fetch.

use jiff::{SignedDuration, Timestamp};

/// How long a key signs.
const SIGNS: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a key is published before it signs; verifiers keep what they fetched for ten minutes.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(1);
/// How long a key is published after it signed; its last token is good for ten minutes.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Where in its life a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyState {
    pub(crate) kid: String,
    pub(crate) created_at: Timestamp,
    /// Since when it signs; none for the next key.
    pub(crate) activated_at: Option<Timestamp>,
    /// Since when it no longer does.
    pub(crate) retired_at: Option<Timestamp>,
}

impl KeyState {
    /// Whether it is the one that signs.
    pub(crate) fn is_active(&self) -> bool {
        self.activated_at.is_some() && self.retired_at.is_none()
    }
}

/// What is to be done with the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the next key.
    Create,
    /// Let this key sign instead of those that do.
    Activate(String),
    /// Forget this key.
    Delete(String),
}

/// The next step at `now`, if one is due; to be asked until there is none.
pub(crate) fn next_step(keys: &[KeyState], now: Timestamp) -> Option<Step> {
    let next = keys.iter().find(|key| key.activated_at.is_none());
    let active = keys.iter().find(|key| key.is_active());
    let forgotten = keys
        .iter()
        .find(|key| key.retired_at.is_some_and(|retired_at| retired_at + KEPT <= now));
    let due = |active: &KeyState, next: &KeyState| {
        let active_since = active.activated_at.unwrap_or(active.created_at);
        active_since + SIGNS <= now && next.created_at + ANNOUNCED <= now
    };
    match (active, next, forgotten) {
        (_, None, _) => Some(Step::Create),
        // Without an active key nobody can have fetched any keys, so there is nobody to announce one to.
        (None, Some(next), _) => Some(Step::Activate(next.kid.clone())),
        (Some(active), Some(next), _) if due(active, next) => Some(Step::Activate(next.kid.clone())),
        (_, _, Some(forgotten)) => Some(Step::Delete(forgotten.kid.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries out every step that is due.
    fn settle(keys: &mut Vec<KeyState>, now: Timestamp, made: &mut u32) {
        while let Some(step) = next_step(keys, now) {
            match step {
                Step::Create => {
                    *made += 1;
                    keys.push(KeyState {
                        kid: format!("k{made}"),
                        created_at: now,
                        activated_at: None,
                        retired_at: None,
                    });
                }
                Step::Activate(kid) => {
                    for key in keys.iter_mut() {
                        if key.is_active() {
                            key.retired_at = Some(now);
                        }
                        if key.kid == kid {
                            key.activated_at = Some(now);
                        }
                    }
                }
                Step::Delete(kid) => keys.retain(|key| key.kid != kid),
            }
        }
    }

    #[test]
    fn in_a_year_every_key_is_known_before_and_after_it_signs() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let (mut keys, mut made) = (Vec::new(), 0);
        let mut previous: Vec<KeyState> = Vec::new();
        for hour in 0..365 * 24 {
            let now = start + SignedDuration::from_hours(hour);
            settle(&mut keys, now, &mut made);
            assert_eq!(
                keys.iter().filter(|key| key.is_active()).count(),
                1,
                "hour {hour}"
            );
            assert!(keys.iter().any(|key| key.activated_at.is_none()), "hour {hour}");
            let active = keys.iter().find(|key| key.is_active()).unwrap();
            let before = previous.iter().find(|key| key.is_active());
            if before.is_some_and(|before| before.kid != active.kid) {
                assert!(previous.iter().any(|key| key.kid == active.kid), "hour {hour}");
                assert!(
                    keys.iter().any(|key| before.unwrap().kid == key.kid),
                    "hour {hour}"
                );
            }
            previous.clone_from(&keys);
        }
        // One each 30 days, and the next one.
        assert_eq!(made, 365 / 30 + 2);
        assert_eq!(keys.len(), 2, "{keys:?}");
    }
}
