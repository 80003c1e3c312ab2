//! Instants as the services store and send them: UTC, to the microsecond.

use jiff::Timestamp;

/// The present, cut to whole microseconds, so that an answer equals what a later read gives.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    from_micros(now.as_microsecond()).unwrap_or(now)
}

/// The instant `micros` microseconds after 1970-01-01T00:00:00Z; `None` beyond year 9999.
pub fn from_micros(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}
