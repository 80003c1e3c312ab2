//! Two requests about one account at the same time: whichever comes first, what the later one ends has ended.

use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Running, Setup},
};

use crate::{
    PASSWORD, SignedIn,
    admin::{admin, lock},
    endings::change_password,
    mail::{ask, confirm_change, mailed_token, mails, reset, reset_token},
    open_auth, refresh, sign_in, signed_in,
};

/// So often each pair is sent: they seldom meet at the worst moment.
const ROUNDS: usize = 10;

fn email(round: usize) -> String {
    format!("ada{round}@example.com")
}

/// A signed-in user who has also asked for a new password.
async fn forgetful(auth: &Running, round: usize) -> Setup<(SignedIn, String)> {
    let user = signed_in(auth, &email(round)).await?;
    Ok((user, reset_token(auth, &email(round)).await?))
}

#[rstest]
#[tokio::test]
async fn a_reset_has_the_last_word_over_a_change(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..ROUNDS {
        let (thief, token) = forgetful(&auth, round).await?;
        let (changed, reset) = tokio::join!(
            change_password(&auth, &thief, "the thief's password"),
            reset(&auth, &token, "the owner's password")
        );
        let (changed, reset) = (changed?, reset?);
        if reset.status == 204 {
            let owner = sign_in(&auth, &email(round), "the owner's password").await?;
            assert_eq!(owner.status, 200, "{} {}", changed.text, owner.text);
        } else {
            // The change came first, and what was mailed before it is void.
            reset.assert_problem(400, "invalid_mail_token");
            assert_eq!(changed.status, 204, "{}", changed.text);
        }
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_changes_one_counts(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..ROUNDS {
        let one = signed_in(&auth, &email(round)).await?;
        let other = SignedIn::read(&sign_in(&auth, &email(round), PASSWORD).await?)?;
        let (first, second) = tokio::join!(
            change_password(&auth, &one, "one new password"),
            change_password(&auth, &other, "other new password")
        );
        let statuses = [first?.status.as_u16(), second?.status.as_u16()];
        assert_eq!(
            statuses.iter().filter(|status| **status == 204).count(),
            1,
            "{statuses:?}"
        );
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_resets_one_counts(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..ROUNDS {
        let (_, one) = forgetful(&auth, round).await?;
        ask(&auth, "/v1/forgot-password", &email(round)).await?;
        mails(&auth, &email(round), "reset_password", 2).await?;
        let other = mailed_token(&auth, &email(round), "reset_password").await?;
        assert_ne!(one, other);
        let (first, second) = tokio::join!(
            reset(&auth, &one, "one new password"),
            reset(&auth, &other, "other new password")
        );
        let mut statuses = [first?.status.as_u16(), second?.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 400]);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_refresh_outlives_a_reset(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..ROUNDS {
        let (thief, token) = forgetful(&auth, round).await?;
        let (refreshed, reset) = tokio::join!(
            refresh(&auth, &thief.refresh),
            reset(&auth, &token, "the owner's password")
        );
        assert_eq!(reset?.status, 204);
        let refreshed = refreshed?;
        if refreshed.status == 200 {
            let session = SignedIn::read(&refreshed)?;
            auth.get("/v1/me", &session.access)
                .await?
                .assert_problem(401, "session_ended");
            refresh(&auth, &session.refresh)
                .await?
                .assert_problem(401, "session_ended");
        } else {
            refreshed.assert_problem(401, "session_ended");
        }
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_sign_in_outlives_a_lock(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let admin = admin(&auth).await?;
    for round in 0..ROUNDS {
        let email = email(round);
        let ada = signed_in(&auth, &email).await?;
        let (signed_in, locked) = tokio::join!(
            sign_in(&auth, &email, PASSWORD),
            lock(&auth, &admin, &ada.user_id, "lock")
        );
        assert_eq!(locked?.status, 200);
        let signed_in = signed_in?;
        // A session that was left over would go on once the account is unlocked.
        lock(&auth, &admin, &ada.user_id, "unlock").await?;
        if signed_in.status == 200 {
            let session = SignedIn::read(&signed_in)?;
            refresh(&auth, &session.refresh)
                .await?
                .assert_problem(401, "session_ended");
        } else {
            assert!(
                [401, 403].contains(&signed_in.status.as_u16()),
                "{}",
                signed_in.text
            );
        }
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_change_of_address_outlives_a_reset(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..ROUNDS {
        let (thief, token) = forgetful(&auth, round).await?;
        let address = format!("thief{round}@example.com");
        let body = json!({"email": address, "password": PASSWORD});
        let (asked, reset) = tokio::join!(
            auth.post("/v1/me/email", &thief.access, &body),
            reset(&auth, &token, "the owner's password")
        );
        assert_eq!(reset?.status, 204);
        asked?;
        let outbox = auth.get("/debug/mail", "").await?.json();
        let mailed = outbox.as_array().ok_or("no outbox")?.iter();
        let mut mailed = mailed.filter(|mail| mail["recipient"] == address);
        if mailed.next().is_some() {
            let token = mailed_token(&auth, &address, "confirm_new_email").await?;
            let owner = SignedIn::read(&sign_in(&auth, &email(round), "the owner's password").await?)?;
            confirm_change(&auth, &owner.access, &token)
                .await?
                .assert_problem(400, "invalid_mail_token");
        }
    }
    Ok(())
}
