//! The accounts.

use tracewell_kit::db::{Db, DbError, Row, query};

use crate::domain::{Email, User};

/// Stores a new account; `false` if its address has one already.
pub(crate) async fn insert(db: &Db, user: &User, password_hash: String) -> Result<bool, DbError> {
    let mut tx = db.begin().await?;
    let rows = query(
        "users",
        "INSERT INTO users (id, email, display_name, password_hash, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(user.id.clone())
    .bind(user.email.as_str().to_owned())
    .bind(user.display_name.clone())
    .bind(password_hash)
    .bind(user.created_at.as_microsecond())
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// The account with this id.
pub(crate) async fn by_id(db: &Db, id: String) -> Result<Option<User>, DbError> {
    query(
        "users",
        "SELECT id, email, display_name, created_at FROM users WHERE id = $1",
    )
    .bind(id)
    .optional(db, user)
    .await
}

/// The account with this address, and its password's hash.
pub(crate) async fn by_email(db: &Db, email: &Email) -> Result<Option<(User, String)>, DbError> {
    query(
        "users",
        "SELECT id, email, display_name, created_at, password_hash FROM users WHERE email = $1",
    )
    .bind(email.as_str().to_owned())
    .optional(db, |row| Ok((user(row)?, row.get("password_hash")?)))
    .await
}

fn user(row: &Row) -> Result<User, DbError> {
    Ok(User {
        id: row.get("id")?,
        email: row.get::<String>("email")?.into(),
        display_name: row.get("display_name")?,
        created_at: row.instant("created_at")?,
    })
}
