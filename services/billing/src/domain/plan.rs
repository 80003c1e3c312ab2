//! What can be subscribed to.

use serde::Serialize;
use utoipa::ToSchema;

/// The plan of everybody without a subscription.
pub(crate) const FREE_PLAN: &str = "pln_free";

/// What is sold, at what price, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Plan {
    /// Id of the plan.
    #[schema(example = "pln_team")]
    pub(crate) id: String,
    /// Name to show.
    #[schema(example = "Team")]
    pub(crate) name: String,
    /// Price of one interval.
    pub(crate) price: Money,
    /// How often it is paid.
    pub(crate) interval: Interval,
    /// What it gives.
    pub(crate) entitlements: Entitlements,
}

/// An amount of money, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Money {
    /// In the currency's minor unit (cents of EUR).
    #[schema(example = 1200)]
    pub(crate) amount_minor: i64,
    /// ISO 4217 code.
    #[schema(example = "EUR", min_length = 3, max_length = 3)]
    pub(crate) currency: String,
}

/// How often a plan is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Interval {
    /// Every calendar month.
    Month,
    /// Every calendar year.
    Year,
}

impl Interval {
    /// The interval of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }
}

/// What a plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Entitlements {
    /// Conversations that a user may have; null: no limit.
    #[schema(example = 20, minimum = 0)]
    pub(crate) max_conversations: Option<i64>,
}
