//! A user's plan over time.

use jiff::{Span, Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;
use utoipa::ToSchema;

use super::Interval;

/// A user's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Subscription {
    /// Id of the subscription.
    #[schema(example = "sub_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// The plan.
    #[schema(example = "pln_team")]
    pub(crate) plan_id: String,
    /// Where it stands.
    pub(crate) status: Status,
    /// Where invoices go; null when the service runs without an auth service to ask.
    #[schema(format = "email", example = "ada@example.com")]
    pub(crate) billing_email: Option<String>,
    /// Start of the period that is paid for.
    pub(crate) current_period_start: Timestamp,
    /// End of it, exclusive.
    pub(crate) current_period_end: Timestamp,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Its entitlements count.
    Active,
}

impl Status {
    /// The name in the database and on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
        }
    }

    /// The status of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        (name == Self::Active.name()).then_some(Self::Active)
    }
}

impl Subscription {
    /// A subscription that is active from `now`, for one interval of the plan.
    pub(crate) fn start(
        id: String,
        (plan_id, interval): (String, Interval),
        billing_email: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            plan_id,
            status: Status::Active,
            billing_email,
            current_period_start: now,
            current_period_end: period_end(now, interval),
            created_at: now,
        }
    }
}

/// The same day and time one interval later in UTC, or the month's last day where there is no such day.
fn period_end(start: Timestamp, interval: Interval) -> Timestamp {
    let span: Span = match interval {
        Interval::Month => 1.month(),
        Interval::Year => 1.year(),
    };
    start.to_zoned(TimeZone::UTC).saturating_add(span).timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(start: &str, interval: Interval) -> String {
        period_end(start.parse().unwrap(), interval).to_string()
    }

    #[test]
    fn a_period_ends_on_the_same_day_of_the_next_month() {
        assert_eq!(
            end("2026-03-15T10:20:30.123456Z", Interval::Month),
            "2026-04-15T10:20:30.123456Z"
        );
        assert_eq!(
            end("2026-12-15T00:00:00Z", Interval::Month),
            "2027-01-15T00:00:00Z"
        );
    }

    #[test]
    fn a_day_that_the_next_month_lacks_becomes_its_last() {
        assert_eq!(
            end("2026-01-31T00:00:00Z", Interval::Month),
            "2026-02-28T00:00:00Z"
        );
        assert_eq!(
            end("2028-02-29T00:00:00Z", Interval::Year),
            "2029-02-28T00:00:00Z"
        );
    }
}
