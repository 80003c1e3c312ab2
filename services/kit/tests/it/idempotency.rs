//! Requests that come again, to a service whose effect can be held and made to fail.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, extract::State};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use tokio::{sync::Barrier, time::Instant};
use tracewell_kit::{
    auth::Verifier,
    clock,
    config::{BaseUrl, Env},
    db::{
        Db, DbError,
        Engine::{self, Postgres, Sqlite},
        Migration, query,
    },
    docs::Routes,
    id,
    idempotency::{self, IdempotencyKey, Idempotent},
    problem::{ApiError, PROBLEM_JSON, Problem},
    service::{Resources, Service, StartError},
    testing::{Answer, Running, Setup, TestDatabase, assert_contract},
    upkeep::Housekeeping,
};
use utoipa_axum::routes;

/// A service that takes notes.
struct Notes;

#[derive(Clone, axum::extract::FromRef)]
struct NotesState {
    db: Db,
    verifier: Verifier,
    housekeeping: Housekeeping,
    /// Passed by two at once.
    both: Arc<Barrier>,
    next_fails: Arc<AtomicBool>,
    stuck: Stuck,
}

/// Whether a note has ever got stuck.
#[derive(Clone, Default)]
struct Stuck(Arc<AtomicBool>);

#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
    /// Whether it waits until another one does.
    #[serde(default)]
    both: bool,
    /// Whether it gets stuck when it is as good as taken, as the first one that wants to.
    #[serde(default)]
    sticks: bool,
}

/// Takes a note, and gives its id.
#[utoipa::path(
    post, path = "/notes", security(("bearer" = [])), request_body = Note, params(IdempotencyKey),
    responses(
        (status = 201, description = "The id", body = String),
        (status = 409, description = "`no_paper`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
async fn take_note(
    State(both): State<Arc<Barrier>>,
    State(next_fails): State<Arc<AtomicBool>>,
    State(Stuck(stuck)): State<Stuck>,
    Idempotent {
        caller,
        body,
        attempt,
    }: Idempotent<Note>,
) -> Result<(StatusCode, Json<String>), ApiError> {
    if body.both {
        both.wait().await;
    }
    let id = id::new("note");
    let mut effect = attempt.begin().await?;
    query(
        "notes",
        "INSERT INTO notes (id, author, body) VALUES ($1, $2, $3)",
    )
    .bind(id.clone())
    .bind(caller.id)
    .bind(body.text)
    .execute(effect.tx())
    .await?;
    if body.sticks && !stuck.swap(true, Ordering::SeqCst) {
        return future::pending().await;
    }
    if next_fails.swap(false, Ordering::SeqCst) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "no_paper",
            "there is no paper",
        ));
    }
    effect.commit(StatusCode::CREATED, id).await
}

/// Lets the next note fail when it is as good as taken.
#[utoipa::path(get, path = "/fail", responses((status = 200)))]
async fn fail(State(next_fails): State<Arc<AtomicBool>>) {
    next_fails.store(true, Ordering::SeqCst);
}

#[utoipa::path(get, path = "/stuck", responses((status = 200, body = bool)))]
async fn is_stuck(State(Stuck(stuck)): State<Stuck>) -> Json<bool> {
    Json(stuck.load(Ordering::SeqCst))
}

impl Service for Notes {
    const NAME: &'static str = "notes";
    const BINARY: &'static str = "tracewell-notes";
    const VERSION: &'static str = "0.0.0";
    const TITLE: &'static str = "Notes";
    const DESCRIPTION: &'static str = "For tests of the kit";
    const PORT: u16 = 0;
    const MIGRATIONS: Option<&'static [Migration]> = Some(&[
        Migration {
            version: 1,
            name: "notes",
            sql: "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, author TEXT NOT NULL, body TEXT NOT NULL)",
        },
        Migration {
            version: 2,
            name: "idempotency keys",
            sql: idempotency::TABLE,
        },
    ]);
    const TRUSTS_OWN_KEY: bool = true;

    type Config = Option<BaseUrl>;
    type State = NotesState;

    fn configure(env: &mut Env) -> Self::Config {
        env.optional("AUTH_URL", "a URL")
    }

    fn routes() -> Routes<NotesState> {
        Routes::default()
            .v1(routes!(take_note))
            .v1(routes!(fail))
            .v1(routes!(is_stuck))
    }

    async fn start(auth: Self::Config, resources: &Resources) -> Result<NotesState, StartError> {
        let auth = resources.upstream("auth", auth);
        Ok(NotesState {
            db: resources.database()?.clone(),
            housekeeping: idempotency::forget_old(resources.database()?.clone()),
            verifier: resources.verifier(auth.as_ref())?,
            both: Arc::new(Barrier::new(2)),
            next_fails: Arc::default(),
            stuck: Stuck::default(),
        })
    }
}

async fn notes(engine: Engine) -> Setup<Running> {
    Running::start_on::<Notes>(engine, &[]).await
}

/// Asks for a note as the document of the service says, or by its alias.
async fn ask(
    notes: &Running,
    path: &str,
    user: &str,
    key: Option<&str>,
    note: &serde_json::Value,
) -> Setup<Answer> {
    let request = notes.request(Method::POST, path, &notes.own_token(user)?);
    let request = match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    };
    notes.send(request.json(note)).await
}

/// Asks for a note of Ada's.
async fn take(notes: &Running, key: &str, text: &str) -> Setup<Answer> {
    ask(notes, "/v1/notes", "usr_ada", Some(key), &json!({"text": text})).await
}

/// How many notes there are.
async fn count(notes: &Running) -> Setup<i64> {
    let db = Db::open(notes.database().url()).await?;
    let count = query("notes", "SELECT COUNT(*) AS count FROM notes")
        .optional(&db, |row| row.get("count"))
        .await?;
    Ok(count.unwrap_or_default())
}

#[rstest]
#[tokio::test]
async fn what_may_come_again_keeps_the_contract(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    let token = notes.own_token("usr_ada")?;
    assert_contract::<Notes>(&notes, &token).await
}

#[rstest]
#[tokio::test]
async fn a_repeat_gets_the_first_answer(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    let first = take(&notes, "key-1", "milk").await?;
    first.assert_made();
    take(&notes, "key-1", "milk").await?.assert_replays(&first);
    take(&notes, "\"key-1\"", "milk").await?.assert_replays(&first);
    let by_alias = ask(
        &notes,
        "/notes",
        "usr_ada",
        Some("key-1"),
        &json!({"text": "milk"}),
    )
    .await?;
    by_alias.assert_replays(&first);
    assert_eq!(count(&notes).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn without_a_key_or_by_another_one_each_request_is_the_first(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let notes = notes(engine).await?;
    for key in [None, None, Some("key-1"), Some("key-2")] {
        let made = ask(&notes, "/v1/notes", "usr_ada", key, &json!({"text": "milk"})).await?;
        made.assert_made();
    }
    assert_eq!(count(&notes).await?, 4);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_key_of_another_request_is_refused(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    let first = take(&notes, "key-1", "milk").await?;
    let other = take(&notes, "key-1", "honey").await?;
    other.assert_problem(422, "idempotency_key_reused");
    take(&notes, "key-1", "milk").await?.assert_replays(&first);
    assert_eq!(count(&notes).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_key_is_its_users_own(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    let adas = take(&notes, "key-1", "milk").await?;
    for text in ["milk", "honey"] {
        let user = format!("usr_{text}");
        let made = ask(&notes, "/v1/notes", &user, Some("key-1"), &json!({"text": text})).await?;
        made.assert_made();
        assert_ne!(made.text, adas.text);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_at_once_one_has_an_effect(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    // Both have found the key unused when they go on.
    let note = json!({"text": "milk", "both": true});
    let take = || ask(&notes, "/v1/notes", "usr_ada", Some("key-1"), &note);
    let (one, other) = tokio::try_join!(take(), take())?;
    let (made, refused) = if one.status == 201 {
        (one, other)
    } else {
        (other, one)
    };
    made.assert_made();
    refused.assert_problem(409, "request_in_progress");
    assert_eq!(refused.headers["retry-after"], "1");
    take().await?.assert_replays(&made);
    assert_eq!(count(&notes).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_at_once_the_later_takes_the_place_of_one_that_fails(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let notes = notes(engine).await?;
    notes.get("/v1/fail", "").await?;
    let note = json!({"text": "milk", "both": true});
    let take = || ask(&notes, "/v1/notes", "usr_ada", Some("key-1"), &note);
    let (one, other) = tokio::try_join!(take(), take())?;
    let (made, failed) = if one.status == 201 {
        (one, other)
    } else {
        (other, one)
    };
    made.assert_made();
    failed.assert_problem(409, "no_paper");
    assert_eq!(count(&notes).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_failed_had_no_effect_and_is_tried_again(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let notes = notes(engine).await?;
    notes.get("/v1/fail", "").await?;
    let failed = take(&notes, "key-1", "milk").await?;
    failed.assert_problem(409, "no_paper");
    assert_eq!(count(&notes).await?, 0);
    let made = take(&notes, "key-1", "milk").await?;
    made.assert_made();
    take(&notes, "key-1", "milk").await?.assert_replays(&made);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_request_that_is_cut_off_before_its_end_had_no_effect(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let notes = notes(engine).await?;
    let note = json!({"text": "milk", "sticks": true});
    let take = || ask(&notes, "/v1/notes", "usr_ada", Some("key-1"), &note);
    let stuck = async {
        while notes.get("/v1/stuck", "").await?.text != "true" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Setup::Ok(())
    };
    tokio::select! {
        answer = take() => panic!("{:?}", answer?),
        // The client goes away in the middle of the transaction.
        stuck = stuck => stuck?,
    }
    let made = take().await?;
    made.assert_made();
    take().await?.assert_replays(&made);
    assert_eq!(count(&notes).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_answer_is_kept_for_a_day(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    let db = Db::open(notes.database().url()).await?;
    let forget = async |hours| {
        let then = clock::now() + jiff::SignedDuration::from_hours(hours);
        idempotency::delete_old(&db, then).await
    };
    let first = take(&notes, "key-1", "milk").await?;
    forget(23).await?;
    take(&notes, "key-1", "milk").await?.assert_replays(&first);
    forget(25).await?;
    take(&notes, "key-1", "milk").await?.assert_made();
    Ok(())
}

#[rstest]
#[tokio::test]
async fn housekeeping_begins_at_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let db = database.open(Notes::MIGRATIONS.unwrap_or_default()).await?;
    let mut tx = db.begin().await?;
    query(
        "idempotency_keys",
        "INSERT INTO idempotency_keys (user_id, operation, idempotency_key, fingerprint, status, body, created_at) \
         VALUES ('usr_ada', 'POST /notes', 'key-1', '', 201, '1', 0)",
    )
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    let left = async || {
        let rows = query("idempotency_keys", "SELECT user_id FROM idempotency_keys");
        rows.all(&db, |_| Ok::<_, DbError>(()))
            .await
            .map(|rows| rows.len())
    };
    assert_eq!(left().await?, 1);
    let _housekeeping = idempotency::forget_old(db.clone());
    let deadline = Instant::now() + Duration::from_secs(30);
    while left().await? > 0 {
        assert!(Instant::now() < deadline, "the old answer is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_header_that_is_no_key_is_pointed_at(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let notes = notes(engine).await?;
    for key in ["", "two words", "\"open", "\"\"", "k\u{e9}y"] {
        let refused = take(&notes, key, "milk").await?;
        refused.assert_problem(400, "invalid_idempotency_key");
        assert_eq!(refused.pointers(), ["/Idempotency-Key"]);
        assert!(
            refused.text.contains("1 to 255 visible ASCII characters"),
            "{}",
            refused.text
        );
    }
    let request = notes.request(Method::POST, "/v1/notes", &notes.own_token("usr_ada")?);
    let twice = request
        .header("Idempotency-Key", "one")
        .header("Idempotency-Key", "two");
    let refused = notes.send(twice.json(&json!({"text": "milk"}))).await?;
    refused.assert_problem(400, "invalid_idempotency_key");
    assert_eq!(count(&notes).await?, 0);
    Ok(())
}
