//! Waiting on a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// What one look saw.
#[derive(Debug)]
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet; what is seen instead, for the message of a failure.
    NotYet(String),
}

/// Looks until the condition holds. After `limit` it fails with what the last look saw; a look that fails itself
/// counts as one that saw its error, since a cluster under change refuses a connection now and then.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let seen = match look().await {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > deadline {
            bail!("after {limit:?} still not: {what}\nlast seen: {seen}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_never_holds_fails_with_what_was_seen() {
        let error = until::<(), _>("the moon is green", Duration::ZERO, async || {
            Ok(Look::NotYet("grey".to_owned()))
        })
        .await
        .expect_err("it never holds");
        assert!(
            error.to_string().contains("the moon is green") && error.to_string().contains("grey"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_look_that_fails_is_followed_by_another() {
        let mut looks = 0;
        let found = until("a second look", Duration::from_mins(1), || {
            looks += 1;
            let first = looks == 1;
            async move {
                anyhow::ensure!(!first, "connection refused");
                Ok(Look::Done(looks))
            }
        });
        assert_eq!(found.await.expect("the second look finds it"), 2);
    }
}
