//! The database: schema, transactions, failures.

mod transactions;

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

/// A database with the table of notes; it goes with the first of the two.
async fn notes(engine: Engine) -> Setup<(TestDatabase, Db)> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(&[NOTES]).await?;
    Ok((database, db))
}

async fn insert(db: &Db, id: &str, commit: bool) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query("notes", "INSERT INTO notes (id) VALUES ($1)")
        .bind(id)
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
    let (_database, db) = notes(engine).await?;
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
async fn a_value_outside_its_domain_is_named(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let (_database, db) = notes(engine).await?;
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
    assert_eq!(ids(&db).await?, ["kept"]);
    let text = probe.get("/metrics", "").await?.text;
    let (system, pools) = match engine {
        Sqlite => ("\"sqlite\"", &["readers", "writer"][..]),
        Postgres => ("\"postgresql\"", &["connections"][..]),
    };
    // To SQLite the beginning goes together with the first statement.
    let begin = (engine == Postgres).then_some("BEGIN");
    for operation in ["INSERT", "COMMIT", "ROLLBACK"].into_iter().chain(begin) {
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
