//! The database: schema, transactions, failures.

use tracewell_kit::{
    db::{DatabaseUrl, Db, DbError, Migration, query},
    testing::Setup,
};

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
