//! The subscriptions.

use tracewell_kit::db::{Db, DbError, Row, Tx, query};

use crate::domain::{Status, Subscription};

/// Stores a new subscription; `false` if the user has an active one.
pub(crate) async fn insert(
    tx: &mut Tx,
    user_id: String,
    subscription: &Subscription,
) -> Result<bool, DbError> {
    let rows = query(
        "subscriptions",
        "INSERT INTO subscriptions (id, user_id, plan_id, status, billing_email, current_period_start, \
         current_period_end, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (user_id) WHERE status = 'active' DO NOTHING",
    )
    .bind(subscription.id.clone())
    .bind(user_id)
    .bind(subscription.plan_id.clone())
    .bind(subscription.status.name())
    .bind(subscription.billing_email.clone())
    .bind(subscription.current_period_start.as_microsecond())
    .bind(subscription.current_period_end.as_microsecond())
    .bind(subscription.created_at.as_microsecond())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// The user's subscriptions, the newest first.
pub(crate) async fn of_user(db: &Db, user_id: String) -> Result<Vec<Subscription>, DbError> {
    query(
        "subscriptions",
        "SELECT id, plan_id, status, billing_email, current_period_start, current_period_end, created_at \
         FROM subscriptions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 100",
    )
    .bind(user_id)
    .all(db, subscription)
    .await
}

fn subscription(row: &Row) -> Result<Subscription, DbError> {
    let status = row.get::<String>("status")?;
    Ok(Subscription {
        id: row.get("id")?,
        plan_id: row.get("plan_id")?,
        status: Status::from_name(&status).ok_or(DbError::Corrupt { column: "status" })?,
        billing_email: row.get("billing_email")?,
        current_period_start: row.instant("current_period_start")?,
        current_period_end: row.instant("current_period_end")?,
        created_at: row.instant("created_at")?,
    })
}
