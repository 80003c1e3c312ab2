//! The plans, which the migrations bring.

use tracewell_kit::db::{Db, DbError, Row, query};

use crate::domain::{Entitlements, FREE_PLAN, Interval, Money, Plan};

/// All plans, the cheapest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<Plan>, DbError> {
    query(
        "plans",
        "SELECT id, name, amount_minor, currency, billing_interval, max_conversations FROM plans ORDER BY amount_minor, id",
    )
    .all(db, plan)
    .await
}

/// The plan with this id.
pub(crate) async fn by_id(db: &Db, id: String) -> Result<Option<Plan>, DbError> {
    query(
        "plans",
        "SELECT id, name, amount_minor, currency, billing_interval, max_conversations FROM plans WHERE id = $1",
    )
    .bind(id)
    .optional(db, plan)
    .await
}

/// The plan of the user's active subscription, or the free one.
pub(crate) async fn of_user(db: &Db, user_id: String) -> Result<Option<Plan>, DbError> {
    query(
        "plans",
        "SELECT id, name, amount_minor, currency, billing_interval, max_conversations FROM plans WHERE id = COALESCE(\
         (SELECT plan_id FROM subscriptions WHERE user_id = $1 AND status = 'active'), $2)",
    )
    .bind(user_id)
    .bind(FREE_PLAN)
    .optional(db, plan)
    .await
}

fn plan(row: &Row) -> Result<Plan, DbError> {
    let interval = row.get::<String>("billing_interval")?;
    Ok(Plan {
        id: row.get("id")?,
        name: row.get("name")?,
        price: Money {
            amount_minor: row.get("amount_minor")?,
            currency: row.get("currency")?,
        },
        interval: Interval::from_name(&interval).ok_or(DbError::Corrupt {
            column: "billing_interval",
        })?,
        entitlements: Entitlements {
            max_conversations: row.get("max_conversations")?,
        },
    })
}
