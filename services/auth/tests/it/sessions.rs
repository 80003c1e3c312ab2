//! Sessions: refresh, reuse, races, lists, ends.

use http::Method;
use rstest::rstest;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::Setup,
};

use crate::{PASSWORD, SignedIn, open_auth, refresh, sign_in, signed_in};

#[rstest]
#[tokio::test]
async fn a_refresh_token_is_replaced_by_each_use(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let first = signed_in(&auth, "ada@example.com").await?;
    let second = SignedIn::read(&refresh(&auth, &first.refresh).await?)?;
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(auth.get("/v1/me", &second.access).await?.status, 200);
    let third = SignedIn::read(&refresh(&auth, &second.refresh).await?)?;
    assert_ne!(third.refresh, second.refresh);
    refresh(&auth, &"A".repeat(43))
        .await?
        .assert_problem(401, "invalid_refresh_token");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn two_refreshes_at_once_get_the_same_successor(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let first = signed_in(&auth, "ada@example.com").await?;
    let (one, other) = tokio::join!(refresh(&auth, &first.refresh), refresh(&auth, &first.refresh));
    let (one, other) = (SignedIn::read(&one?)?, SignedIn::read(&other?)?);
    assert_eq!(one.refresh, other.refresh);
    assert_eq!(refresh(&auth, &one.refresh).await?.status, 200);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_token_that_comes_back_ends_its_session_and_no_other(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let stolen = signed_in(&auth, "ada@example.com").await?;
    let elsewhere = SignedIn::read(&sign_in(&auth, "ada@example.com", PASSWORD).await?)?;
    let second = SignedIn::read(&refresh(&auth, &stolen.refresh).await?)?;
    let third = SignedIn::read(&refresh(&auth, &second.refresh).await?)?;
    // No longer the parent of the last one, so its ten seconds do not count.
    refresh(&auth, &stolen.refresh)
        .await?
        .assert_problem(401, "refresh_token_reused");
    refresh(&auth, &third.refresh)
        .await?
        .assert_problem(401, "session_ended");
    auth.get("/v1/me", &third.access)
        .await?
        .assert_problem(401, "session_ended");
    assert_eq!(auth.get("/v1/me", &elsewhere.access).await?.status, 200);
    let trail = auth.get("/v1/me/audit-events", &elsewhere.access).await?;
    assert_eq!(
        trail.json()["events"][0]["kind"],
        "token_reused",
        "{}",
        trail.text
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn while_a_session_ends_no_refresh_slips_through(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let first = signed_in(&auth, "ada@example.com").await?;
    let second = SignedIn::read(&refresh(&auth, &first.refresh).await?)?;
    let third = SignedIn::read(&refresh(&auth, &second.refresh).await?)?;
    let (reused, racing) = tokio::join!(refresh(&auth, &first.refresh), refresh(&auth, &third.refresh));
    reused?.assert_problem(401, "refresh_token_reused");
    let racing = racing?;
    if racing.status == 200 {
        // It was first; then its successor must have ended with the session.
        let successor = SignedIn::read(&racing)?;
        refresh(&auth, &successor.refresh)
            .await?
            .assert_problem(401, "session_ended");
    } else {
        racing.assert_problem(401, "session_ended");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_sign_out_ends_the_session_at_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let out = auth
        .send(auth.request(Method::POST, "/v1/signout", &ada.access))
        .await?;
    assert_eq!((out.status.as_u16(), out.text.as_str()), (204, ""));
    auth.get("/v1/me", &ada.access)
        .await?
        .assert_problem(401, "session_ended");
    refresh(&auth, &ada.refresh)
        .await?
        .assert_problem(401, "session_ended");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn sessions_are_listed_by_pages(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    for _ in 0..2 {
        sign_in(&auth, "ada@example.com", PASSWORD).await?;
    }
    let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let path = format!("/v1/sessions?limit=2{after}");
        let page = auth.get(&path, &ada.access).await?.json();
        let sessions = page["sessions"].as_array().ok_or("no list")?;
        sizes.push(sessions.len());
        seen.extend(
            sessions
                .iter()
                .map(|session| session["id"].as_str().unwrap_or_default().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(sizes, [2, 1]);
    assert!(
        seen.is_sorted_by(|one, other| one > other),
        "newest first: {seen:?}"
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let laptop = signed_in(&auth, "ada@example.com").await?;
    let phone = SignedIn::read(&sign_in(&auth, "ada@example.com", PASSWORD).await?)?;
    let bob = signed_in(&auth, "bob@example.com").await?;
    let list = auth.get("/v1/sessions", &phone.access).await?.json();
    let sessions = list["sessions"].as_array().ok_or("no list")?;
    let current: Vec<_> = sessions.iter().map(|session| &session["current"]).collect();
    assert_eq!(current, [true, false], "{list}");
    assert_eq!(sessions[0]["address"], "127.0.0.1");
    let path = format!("/v1/sessions/{}", sessions[1]["id"].as_str().unwrap_or_default());
    let end = async |token: &str| auth.send(auth.request(Method::DELETE, &path, token)).await;
    end(&bob.access).await?.assert_problem(404, "not_found");
    assert_eq!(end(&phone.access).await?.status, 204);
    end(&phone.access).await?.assert_problem(404, "not_found");
    auth.get("/v1/me", &laptop.access)
        .await?
        .assert_problem(401, "session_ended");
    Ok(())
}
