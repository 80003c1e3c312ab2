//! Transactions: what stays of them, and who waits for whom.

use std::num::NonZeroU32;

use rstest::rstest;
use tracewell_kit::{
    db::{
        DatabaseUrl, Db, DbError,
        Engine::{self, Postgres, Sqlite},
        Row, Tx, query,
    },
    testing::{Setup, TestDatabase},
};

use super::{NOTES, ids, insert, notes};

#[rstest]
#[tokio::test]
async fn only_what_is_committed_stays(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
    insert(&db, "dropped", false).await?;
    insert(&db, "kept", true).await?;
    assert_eq!(ids(&db).await?, ["kept"]);
    assert!(matches!(
        insert(&db, "kept", true).await,
        Err(DbError::UniqueViolation)
    ));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_is_queued_is_written_in_order_before_what_needs_an_answer(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
    let add = |id: &str| {
        query("notes", "INSERT INTO notes (id, at) VALUES ($1, $2)")
            .bind(id)
            .bind(1)
    };
    let date = || {
        query("notes", "UPDATE notes SET at = $2 WHERE id <> $1")
            .bind("b")
            .bind(2)
    };
    let mut tx = db.begin().await?;
    add("a").queue(&mut tx);
    add("b").queue(&mut tx);
    add("c").queue(&mut tx);
    assert_eq!(
        date().execute(&mut tx).await?,
        2,
        "the rows of this statement alone"
    );
    let all = query("notes", "SELECT id, at FROM notes ORDER BY id");
    let read = |row: &Row| Ok((row.get::<String>("id")?, row.get::<i64>("at")?));
    query("notes", "DELETE FROM notes WHERE id = $1")
        .bind("c")
        .queue(&mut tx);
    let left = all.all(tx.and_commit(), read).await?;
    assert_eq!(left, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(ids(&db).await?, ["a", "b"], "it is committed");

    let mut tx = db.begin().await?;
    assert_eq!(
        date().execute(&mut tx).await?,
        1,
        "nor those of the transaction before"
    );
    add("d").queue(&mut tx);
    add("e").queue(&mut tx);
    tx.commit().await?;
    assert_eq!(ids(&db).await?, ["a", "b", "d", "e"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_transaction_with_a_queued_statement_that_fails_leaves_nothing(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
    let add = |id: &str| query("notes", "INSERT INTO notes (id) VALUES ($1)").bind(id);
    for twice in ["first", "second", "third"] {
        let mut tx = db.begin().await?;
        for id in ["first", "second", "third"] {
            add(id).queue(&mut tx);
            if id == twice {
                add(id).queue(&mut tx);
            }
        }
        assert!(matches!(tx.commit().await, Err(DbError::UniqueViolation)));
    }
    let mut failed = db.begin().await?;
    add("first").queue(&mut failed);
    assert!(add("first").execute(&mut failed).await.is_err());
    add("second").queue(&mut failed);
    assert!(failed.commit().await.is_err(), "it is over");
    let mut dropped = db.begin().await?;
    add("dropped").queue(&mut dropped);
    drop(dropped);
    insert(&db, "kept", true).await?;
    assert_eq!(ids(&db).await?, ["kept"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn whoever_is_cut_off_leaves_no_transaction_behind(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = Db::open_with(database.url(), NonZeroU32::MIN).await?;
    db.migrate(&[NOTES]).await?;
    for round in 0..40 {
        let mut cut_off = Box::pin(insert(&db, "cut off", false));
        for _ in 0..round * 10 {
            if futures::poll!(&mut cut_off).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(cut_off);
        // By the same connection, where there is but one.
        insert(&db, &format!("{round:02}"), true).await?;
    }
    let rounds: Vec<_> = (0..40).map(|round| format!("{round:02}")).collect();
    assert_eq!(ids(&db).await?, rounds);
    Ok(())
}

#[test]
fn a_transaction_that_ends_after_the_runtime_is_rolled_back() -> Setup<()> {
    let start = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let folder = tempfile::tempdir()?;
    let url = DatabaseUrl::file(folder.path().join("notes.db"));
    let runtime = start()?;
    let (db, left) = runtime.block_on(async {
        let db = Db::open(&url).await?;
        db.migrate(&[NOTES]).await?;
        let mut left = db.begin().await?;
        query("notes", "INSERT INTO notes (id) VALUES ('left')")
            .execute(&mut left)
            .await?;
        Ok::<_, DbError>((db, left))
    })?;
    drop(runtime);
    drop(left);
    start()?.block_on(async {
        insert(&db, "kept", true).await?;
        assert_eq!(ids(&db).await?, ["kept"]);
        Ok(())
    })
}

#[rstest]
#[tokio::test]
async fn writers_queue_and_readers_do_not_wait_for_them(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
    let names: Vec<_> = (0..50).map(|n| format!("{n:02}")).collect();
    futures::future::try_join_all(names.iter().map(|name| insert(&db, name, true))).await?;
    let mut writing = db.begin().await?;
    query("notes", "DELETE FROM notes").execute(&mut writing).await?;
    assert_eq!(
        ids(&db).await?,
        names,
        "a reader sees the state before the open transaction"
    );
    let inside = query("notes", "SELECT id FROM notes")
        .all(&mut writing, |row| row.get::<String>("id"))
        .await?;
    assert!(inside.is_empty(), "the transaction sees its own writes");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_is_read_under_a_lock_is_still_so_when_it_is_written(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
    let append = async || {
        let mut tx = db.begin().await?;
        tx.lock("notes").await?;
        let count = query("notes", "SELECT COUNT(*) AS count FROM notes")
            .optional(&mut tx, |row| row.get::<i64>("count"))
            .await?;
        query("notes", "INSERT INTO notes (id) VALUES ($1)")
            .bind(count.unwrap_or_default().to_string())
            .execute(&mut tx)
            .await?;
        tx.commit().await
    };
    // Without the lock two would find the same count.
    futures::future::try_join_all((0..20).map(|_| append())).await?;
    assert_eq!(ids(&db).await?.len(), 20);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_statement_that_waits_too_long_is_given_up(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let (db, other) = (database.open(&[NOTES]).await?, Db::open(database.url()).await?);
    let write = async |tx: &mut Tx| {
        tx.lock("notes").await?;
        query("notes", "DELETE FROM notes").execute(tx).await
    };
    let mut holding = other.begin().await?;
    write(&mut holding).await?;
    let mut waiting = db.begin().await?;
    let given_up = write(&mut waiting).await;
    assert!(matches!(given_up, Err(DbError::Busy(_))), "{given_up:?}");
    // Its settings are those of requests, not of migrations.
    drop(waiting);
    assert_eq!(ids(&db).await?, [""; 0]);
    drop(holding);
    insert(&db, "later", true).await?;
    assert_eq!(ids(&db).await?, ["later"]);
    Ok(())
}
