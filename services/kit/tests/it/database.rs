//! The database: schema, transactions, failures.

use tracewell_kit::{
    config::Env,
    db::{DatabaseUrl, Db, DbError, Migration, query},
    server::Server,
    testing::{Running, Setup},
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

async fn open(folder: &tempfile::TempDir) -> Setup<Db> {
    Ok(Db::open(&DatabaseUrl::file(folder.path().join("notes.db"))).await?)
}

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

#[tokio::test]
async fn the_schema_is_brought_forward_once() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let db = open(&folder).await?;
    db.migrate(&[NOTES]).await?;
    insert(&db, "1", true).await?;
    db.migrate(&[NOTES, TAGS]).await?;
    db.migrate(&[NOTES, TAGS]).await?;
    assert_eq!(ids(&db).await?, ["1"]);
    Ok(())
}

#[tokio::test]
async fn a_newer_or_edited_schema_is_refused() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let db = open(&folder).await?;
    db.migrate(&[NOTES, TAGS]).await?;
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
async fn only_what_is_committed_stays() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let db = open(&folder).await?;
    db.migrate(&[NOTES]).await?;
    insert(&db, "dropped", false).await?;
    insert(&db, "kept", true).await?;
    assert_eq!(ids(&db).await?, ["kept"]);
    assert!(matches!(
        insert(&db, "kept", true).await,
        Err(DbError::UniqueViolation)
    ));
    Ok(())
}

#[tokio::test]
async fn writers_queue_and_readers_do_not_wait_for_them() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let db = open(&folder).await?;
    db.migrate(&[NOTES]).await?;
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

#[tokio::test]
async fn a_value_outside_its_domain_is_named() -> Setup<()> {
    let folder = tempfile::tempdir()?;
    let db = open(&folder).await?;
    db.migrate(&[NOTES]).await?;
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
    let _db = open(&folder).await?;
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

#[tokio::test]
async fn transactions_and_waits_are_measured() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    let db = Db::open(&probe.database()).await?;
    for (id, commit) in [("kept", true), ("dropped", false)] {
        insert(&db, id, commit).await?;
    }
    // Waits for its turn, and so for the rollback of the one before.
    db.begin().await?.commit().await?;
    let text = probe.get("/metrics", "").await?.text;
    for operation in ["BEGIN", "COMMIT", "ROLLBACK"] {
        let count = metric(
            &text,
            &[
                "db_client_operation_duration_seconds_count{",
                &format!("\"{operation}\""),
            ],
        );
        assert!(count >= Some(1.0), "{operation}: {text}");
    }
    for pool in ["readers", "writer"] {
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

#[tokio::test]
async fn a_service_is_not_ready_without_its_schema() -> Setup<()> {
    let probe = Running::start::<Probe>(&[]).await?;
    assert_eq!(probe.get("/readyz", "").await?.status, 200);
    let db = Db::open(&probe.database()).await?;
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

#[tokio::test]
async fn a_service_does_not_start_on_a_newer_schema_but_goes_on_serving() -> Setup<()> {
    const NEXT: Migration = Migration {
        version: 2,
        name: "tags",
        sql: "CREATE TABLE tags (id TEXT)",
    };
    let probe = Running::start::<Probe>(&[]).await?;
    let steps: Vec<_> = <Probe as tracewell_kit::service::Service>::MIGRATIONS
        .unwrap_or_default()
        .to_vec();
    Db::open(&probe.database())
        .await?
        .migrate(&[&steps[..], &[NEXT]].concat())
        .await?;
    assert_eq!(probe.get("/readyz", "").await?.status, 200);
    let url = probe.database().to_string();
    let env = Env::from_pairs([("HOST", "127.0.0.1"), ("PORT", "0"), ("DATABASE_URL", &url)]);
    let refused = Server::start::<Probe>(env, &Telemetry::detached()).await;
    let error = refused.err().ok_or("it started")?.to_string();
    assert!(
        error.contains("schema version 2, newer than this release knows"),
        "{error}"
    );
    Ok(())
}
