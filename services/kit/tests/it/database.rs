//! The database: schema, transactions, failures.

use std::num::NonZeroU32;

use rstest::rstest;
use tracewell_kit::{
    config::Env,
    db::{
        DatabaseUrl, Db, DbError,
        Engine::{self, Postgres, Sqlite},
        Migration, query,
    },
    server::Server,
    testing::{Running, Setup, TestDatabase},
};
use tracewell_telemetry::Telemetry;

use crate::Probe;

const NOTES: Migration = Migration {
    version: 1,
    name: "notes",
    sql: "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, at BIGINT)",
};
const TAGS: Migration = Migration {
    version: 2,
    name: "tags",
    sql: "ALTER TABLE notes ADD COLUMN tag TEXT",
};

async fn insert(db: &Db, id: &str, commit: bool) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query("notes", "INSERT INTO notes (id) VALUES ($1)")
        .bind(id.to_owned())
        .execute(&mut tx)
        .await?;
    if commit { tx.commit().await } else { Ok(()) }
}

async fn ids(db: &Db) -> Result<Vec<String>, DbError> {
    query("notes", "SELECT id FROM notes ORDER BY id")
        .all(db, |row| row.get("id"))
        .await
}

#[rstest]
#[tokio::test]
async fn the_schema_is_brought_forward_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
    insert(&db, "1", true).await?;
    db.migrate(&[NOTES, TAGS]).await?;
    db.migrate(&[NOTES, TAGS]).await?;
    assert_eq!(ids(&db).await?, ["1"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_newer_or_edited_schema_is_refused(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES, TAGS]).await?;
    assert!(matches!(
        db.migrate(&[NOTES]).await,
        Err(DbError::NewerSchema { found: 2 })
    ));
    let edited = Migration {
        sql: "ALTER TABLE notes ADD COLUMN tags TEXT",
        ..TAGS
    };
    assert!(matches!(
        db.migrate(&[NOTES, edited]).await,
        Err(DbError::Migrate(_))
    ));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn only_what_is_committed_stays(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
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

#[tokio::test]
async fn nobody_waits_for_a_read_that_was_cut_off() -> Setup<()> {
    const COUNT: &str = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) \
         SELECT COUNT(*) AS count FROM numbers";
    let database = TestDatabase::create(Sqlite).await?;
    let (db, other) = (database.open(&[NOTES]).await?, Db::open(database.url()).await?);
    let count_to = |number: i64, db| {
        let count = query("numbers", COUNT).bind(number);
        count.optional(db, |row| row.get::<i64>("count"))
    };
    let mut cut_off = Box::pin(count_to(30_000_000, &db));
    assert!(futures::poll!(&mut cut_off).is_pending());
    drop(cut_off);
    tokio::select! {
        read = ids(&db) => assert_eq!(read?, [""; 0]),
        count = count_to(3_000_000, &other) => panic!("it still waits after {count:?}"),
    }
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

#[tokio::test]
async fn a_database_that_is_closed_is_one_file() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notes.db");
    let db = Db::open(&DatabaseUrl::file(&path)).await?;
    db.migrate(&[NOTES]).await?;
    insert(&db, "1", true).await?;
    let log = path.with_extension("db-wal");
    assert!(log.exists());
    db.close().await;
    assert!(!log.exists());
    assert!(matches!(db.begin().await, Err(DbError::Query(_))));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn writers_queue_and_readers_do_not_wait_for_them(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
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
async fn a_value_outside_its_domain_is_named(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
    let mut tx = db.begin().await?;
    query("notes", "INSERT INTO notes (id, at) VALUES ('1', $1)")
        .bind(i64::MAX)
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    let read = query("notes", "SELECT at FROM notes")
        .optional(&db, |row| row.instant("at"))
        .await;
    assert!(matches!(read, Err(DbError::Corrupt { column: "at" })), "{read:?}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_is_read_under_a_lock_is_still_so_when_it_is_written(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
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
async fn processes_that_start_at_once_bring_the_schema_forward_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let (one, other) = (Db::open(database.url()).await?, Db::open(database.url()).await?);
    let steps = [NOTES, TAGS];
    let (first, second) = tokio::join!(one.migrate(&steps), other.migrate(&steps));
    first?;
    second?;
    insert(&one, "1", true).await?;
    assert_eq!(ids(&other).await?, ["1"]);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_given_up() -> Setup<()> {
    let database = TestDatabase::create(Postgres).await?;
    let db = database.open(&[NOTES]).await?;
    let mut holding = db.begin().await?;
    holding.lock("notes").await?;
    let mut waiting = db.begin().await?;
    let given_up = waiting.lock("notes").await;
    assert!(matches!(given_up, Err(DbError::Busy(_))), "{given_up:?}");
    // Its settings are those of requests, not of migrations.
    drop(waiting);
    assert_eq!(ids(&db).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_named_without_the_password() -> Setup<()> {
    let database = TestDatabase::create(Postgres).await?;
    let right = database.variable();
    let (_, place) = right.rsplit_once('@').ok_or("no host")?;
    let (_, name) = place.split_once('/').ok_or("no database")?;
    for (url, reason) in [
        (
            format!("postgres://tracewell:hunter2@{place}"),
            "password authentication failed",
        ),
        (
            format!("postgres://tracewell:hunter2@127.0.0.1:1/{name}"),
            "Connection refused",
        ),
        (
            format!("postgres://tracewell:hunter2@{place}?sslmode=require"),
            "server does not support TLS",
        ),
    ] {
        let error = Db::open(&url.parse()?).await.err().ok_or("it opened")?;
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let shown = url.replace("hunter2", "***");
        assert_eq!(error.to_string(), format!("cannot open the database {shown}"));
        assert!(
            cause.as_ref().is_some_and(|cause| cause.contains(reason)),
            "{cause:?}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn connections_that_the_server_has_cut_are_replaced() -> Setup<()> {
    let database = TestDatabase::create(Postgres).await?;
    let (db, other) = (database.open(&[NOTES]).await?, Db::open(database.url()).await?);
    assert_eq!(ids(&db).await?, [""; 0]);
    let mut tx = other.begin().await?;
    let cut = query(
        "pg_stat_activity",
        "SELECT CAST(COUNT(pg_terminate_backend(pid)) AS BIGINT) AS cut FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .optional(&mut tx, |row| row.get::<i64>("cut"))
    .await?;
    assert!(cut >= Some(1), "{cut:?}");
    assert_eq!(ids(&db).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named() -> Setup<()> {
    let error = Db::open(&DatabaseUrl::file("/no/such/folder/notes.db"))
        .await
        .err()
        .ok_or("it opened")?;
    assert_eq!(
        error.to_string(),
        "cannot open the database sqlite:///no/such/folder/notes.db"
    );
    Ok(())
}

#[tokio::test]
async fn the_file_is_private() -> Setup<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    let _db = Db::open(&DatabaseUrl::file(folder.path().join("notes.db"))).await?;
    let mut files = 0;
    for file in std::fs::read_dir(folder.path())? {
        let file = file?;
        assert_eq!(
            file.metadata()?.permissions().mode() & 0o077,
            0,
            "{}",
            file.path().display()
        );
        files += 1;
    }
    assert!(files > 0);
    Ok(())
}

/// The number at the end of the first line of the metrics that has all of these parts.
fn metric(text: &str, parts: &[&str]) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[rstest]
#[tokio::test]
async fn transactions_and_waits_are_measured(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let probe = Running::start_on::<Probe>(engine, &[]).await?;
    let db = Db::open(probe.database().url()).await?;
    for (id, commit) in [("kept", true), ("dropped", false)] {
        insert(&db, id, commit).await?;
    }
    // Waits for its turn, and so for the rollback of the one before.
    db.begin().await?.commit().await?;
    let text = probe.get("/metrics", "").await?.text;
    let (system, pools) = match engine {
        Sqlite => ("\"sqlite\"", &["readers", "writer"][..]),
        Postgres => ("\"postgresql\"", &["connections"][..]),
    };
    for operation in ["BEGIN", "COMMIT", "ROLLBACK"] {
        let count = metric(
            &text,
            &[
                "db_client_operation_duration_seconds_count{",
                &format!("\"{operation}\""),
                system,
            ],
        );
        assert!(count >= Some(1.0), "{operation}: {text}");
    }
    for pool in pools {
        let waits = metric(&text, &["db_client_connection_wait_time_seconds_count{", pool]);
        assert!(waits >= Some(1.0), "{pool}: {text}");
        for state in ["used", "idle"] {
            assert!(
                metric(&text, &["db_client_connection_count{", pool, state]).is_some(),
                "{text}"
            );
        }
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_service_is_not_ready_without_its_schema(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let probe = Running::start_on::<Probe>(engine, &[]).await?;
    assert_eq!(probe.get("/readyz", "").await?.status, 200);
    let db = Db::open(probe.database().url()).await?;
    let mut tx = db.begin().await?;
    query("_sqlx_migrations", "DELETE FROM _sqlx_migrations")
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    let answer = probe.get("/readyz", "").await?;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["failing"]),
        (503, &serde_json::json!(["schema"]))
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_service_does_not_start_on_a_newer_schema_but_goes_on_serving(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    const NEXT: Migration = Migration {
        version: 2,
        name: "tags",
        sql: "CREATE TABLE tags (id TEXT)",
    };
    let probe = Running::start_on::<Probe>(engine, &[]).await?;
    let steps: Vec<_> = <Probe as tracewell_kit::service::Service>::MIGRATIONS
        .unwrap_or_default()
        .to_vec();
    Db::open(probe.database().url())
        .await?
        .migrate(&[&steps[..], &[NEXT]].concat())
        .await?;
    assert_eq!(probe.get("/readyz", "").await?.status, 200);
    let url = probe.database().variable();
    let env = Env::from_pairs([("HOST", "127.0.0.1"), ("PORT", "0"), ("DATABASE_URL", &url)]);
    let refused = Server::start::<Probe>(env, &Telemetry::detached()).await;
    let error = refused.err().ok_or("it started")?.to_string();
    assert!(
        error.contains("schema version 2, newer than this release knows"),
        "{error}"
    );
    Ok(())
}
