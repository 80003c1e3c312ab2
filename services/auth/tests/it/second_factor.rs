//! One-time passwords and backup codes.

use data_encoding::BASE32_NOPAD;
use http::Method;
use ring::hmac;
use rstest::rstest;
use serde_json::{Value, json};
use tracewell_kit::{
    clock,
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Running, Setup},
};

use crate::{
    PASSWORD, SEALING_KEY, SignedIn,
    admin::admin,
    mail::{mailed_token, mails, reset, reset_token, verify},
    open_auth, sign_in, signed_in, start,
};

/// What an authenticator app does (RFC 6238), apart from the service's own code.
pub(crate) struct Device(Vec<u8>);

impl Device {
    /// The code of the current step, or of a later one.
    fn code(&self, later: i64) -> String {
        let step = clock::now().as_second() / 30 + later;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let chosen = tag.as_ref()[at..at + 4]
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte));
        format!("{:06}", (chosen & 0x7fff_ffff) % 1_000_000)
    }
}

async fn consent(auth: &Running, method: Method, path: &str, token: &str, password: &str) -> Setup<Answer> {
    let request = auth.request(method, path, token);
    auth.send(request.json(&json!({"password": password}))).await
}

/// A device that is set up and not confirmed.
async fn set_up(auth: &Running, token: &str) -> Setup<Device> {
    let begun = consent(auth, Method::POST, "/v1/me/totp", token, PASSWORD).await?;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let secret = begun.json()["secret"].as_str().unwrap_or_default().to_owned();
    let uri = begun.json()["uri"].as_str().unwrap_or_default().to_owned();
    assert!(
        uri.starts_with("otpauth://totp/Tracewell:") && uri.contains(&secret),
        "{uri}"
    );
    Ok(Device(BASE32_NOPAD.decode(secret.as_bytes())?))
}

async fn confirm(auth: &Running, token: &str, code: &str) -> Setup<Answer> {
    auth.post("/v1/me/totp/confirm", token, &json!({"code": code}))
        .await
}

/// A confirmed device, and backup codes.
pub(crate) async fn enable(auth: &Running, token: &str) -> Setup<(Device, Vec<String>)> {
    let device = set_up(auth, token).await?;
    let confirmed = confirm(auth, token, &device.code(0)).await?;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    Ok((device, codes(&confirmed)))
}

fn codes(answer: &Answer) -> Vec<String> {
    serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap_or_default()
}

/// The first half of a sign-in.
async fn challenge(auth: &Running, email: &str) -> Setup<String> {
    let first = sign_in(auth, email, PASSWORD).await?;
    assert_eq!(first.status, 202, "{}", first.text);
    assert!(first.json()["access_token"].is_null(), "{}", first.text);
    Ok(first.json()["challenge"].as_str().unwrap_or_default().to_owned())
}

async fn answer(auth: &Running, challenge: &str, code: &str) -> Setup<Answer> {
    let body = json!({"challenge": challenge, "code": code});
    auth.post("/v1/signin/second-factor", "", &body).await
}

/// What an admin does for who has lost their device.
pub(crate) async fn remove(auth: &Running, admin: &SignedIn, user: &str) -> Setup<Answer> {
    let path = format!("/v1/admin/users/{user}/second-factors");
    auth.send(auth.request(Method::DELETE, &path, &admin.access))
        .await
}

/// Two processes on one database, as in a rollout: the first seals with the key of before all the while.
#[rstest]
#[tokio::test]
async fn the_key_that_seals_is_changed_and_devices_go_on(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    const NEXT: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";
    let before = open_auth(engine).await?;
    let ada = signed_in(&before, "ada@example.com").await?;
    let (device, _) = enable(&before, &ada.access).await?;
    let url = before.database().variable();
    let next = [("DATABASE_URL", url.as_str()), ("KEY_ENCRYPTION_KEY", NEXT)];
    let refused = start(engine, &next).await.err().ok_or("it started")?.to_string();
    assert!(refused.contains("KEY_ENCRYPTION_KEY_PREVIOUS"), "{refused}");

    let previous = ("KEY_ENCRYPTION_KEY_PREVIOUS", SEALING_KEY.1);
    let changing = start(engine, &[&next[..], &[previous]].concat()).await?;
    assert_eq!(changing.get("/v1/me", &ada.access).await?.status, 200);
    drop(changing);
    let after = start(engine, &next).await?;
    assert_eq!(after.get("/v1/me", &ada.access).await?.status, 200);
    let first = challenge(&after, "ada@example.com").await?;
    let signed_in = answer(&after, &first, &device.code(1)).await?;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    Ok(())
}

async fn state(auth: &Running, token: &str) -> Setup<Value> {
    Ok(auth.get("/v1/me/totp", token).await?.json())
}

#[rstest]
#[tokio::test]
async fn signing_in_takes_a_code_once_a_device_is_confirmed(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    consent(
        &auth,
        Method::POST,
        "/v1/me/totp",
        &ada.access,
        "not the password",
    )
    .await?
    .assert_problem(403, "wrong_password");
    confirm(&auth, &ada.access, "000000")
        .await?
        .assert_problem(409, "no_totp_setup");
    let device = set_up(&auth, &ada.access).await?;
    assert_eq!(
        sign_in(&auth, "ada@example.com", PASSWORD).await?.status,
        200,
        "not on yet"
    );
    let wrong = if device.code(0) == "000000" {
        "000001"
    } else {
        "000000"
    };
    confirm(&auth, &ada.access, wrong)
        .await?
        .assert_problem(403, "wrong_code");
    assert_eq!(confirm(&auth, &ada.access, &device.code(0)).await?.status, 200);
    consent(&auth, Method::POST, "/v1/me/totp", &ada.access, PASSWORD)
        .await?
        .assert_problem(409, "totp_enabled");

    let first = challenge(&auth, "ada@example.com").await?;
    answer(&auth, &first, wrong)
        .await?
        .assert_problem(403, "wrong_code");
    // The code that confirmed the device was taken then.
    answer(&auth, &first, &device.code(0))
        .await?
        .assert_problem(403, "wrong_code");
    let signed_in = answer(&auth, &first, &device.code(1)).await?;
    let session = SignedIn::read(&signed_in)?;
    assert_eq!(session.user_id, ada.user_id);
    assert_eq!(auth.get("/v1/me", &session.access).await?.status, 200);
    answer(&auth, &first, &device.code(1))
        .await?
        .assert_problem(400, "invalid_challenge");
    let second = challenge(&auth, "ada@example.com").await?;
    answer(&auth, &second, &device.code(1))
        .await?
        .assert_problem(403, "wrong_code");
    let shown = state(&auth, &ada.access).await?;
    assert!(
        shown["enabled_at"].is_string() && shown["backup_codes_left"] == 10,
        "{shown}"
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_backup_code_lets_in_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let (_device, old) = enable(&auth, &ada.access).await?;
    assert_eq!(old.len(), 10);
    // As somebody types it.
    let typed = old[0].to_uppercase().replace('-', " ");
    let first = challenge(&auth, "ada@example.com").await?;
    assert_eq!(answer(&auth, &first, &typed).await?.status, 200);
    let again = challenge(&auth, "ada@example.com").await?;
    answer(&auth, &again, &old[0])
        .await?
        .assert_problem(403, "wrong_code");
    assert_eq!(state(&auth, &ada.access).await?["backup_codes_left"], 9);

    let renewed = consent(
        &auth,
        Method::POST,
        "/v1/me/totp/backup-codes",
        &ada.access,
        PASSWORD,
    )
    .await?;
    let new = codes(&renewed);
    answer(&auth, &again, &old[1])
        .await?
        .assert_problem(403, "wrong_code");
    assert_eq!(answer(&auth, &again, &new[1]).await?.status, 200);
    let trail = auth.get("/v1/me/audit-events", &ada.access).await?.text;
    for kind in [
        "totp_enabled",
        "backup_code_used",
        "backup_codes_replaced",
        "signin_failed",
    ] {
        assert!(trail.contains(kind), "{kind}: {trail}");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_code_that_is_used_twice_at_once_lets_in_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let (device, backup) = enable(&auth, &ada.access).await?;
    for code in [device.code(1), backup[0].clone()] {
        let (one, other) = (
            challenge(&auth, "ada@example.com").await?,
            challenge(&auth, "ada@example.com").await?,
        );
        let (first, second) = tokio::join!(answer(&auth, &one, &code), answer(&auth, &other, &code));
        let mut statuses = [first?.status.as_u16(), second?.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn guesses_at_codes_are_delayed_though_the_password_is_right(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let (device, _) = enable(&auth, &ada.access).await?;
    let wrong = if device.code(1) == "000000" {
        "000001"
    } else {
        "000000"
    };
    for _ in 0..5 {
        let challenge = challenge(&auth, "ada@example.com").await?;
        answer(&auth, &challenge, wrong)
            .await?
            .assert_problem(403, "wrong_code");
    }
    let challenge = challenge(&auth, "ada@example.com").await?;
    answer(&auth, &challenge, &device.code(1))
        .await?
        .assert_problem(429, "too_many_attempts");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn it_is_turned_off_by_its_owner(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let off = async |password| consent(&auth, Method::DELETE, "/v1/me/totp", &ada.access, password).await;
    off(PASSWORD).await?.assert_problem(409, "totp_not_enabled");
    enable(&auth, &ada.access).await?;
    off("not the password")
        .await?
        .assert_problem(403, "wrong_password");
    assert_eq!(off(PASSWORD).await?.status, 204);
    assert_eq!(sign_in(&auth, "ada@example.com", PASSWORD).await?.status, 200);
    let shown = state(&auth, &ada.access).await?;
    assert_eq!(shown, json!({"enabled_at": null, "backup_codes_left": 0}));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_reset_voids_what_the_old_password_had_begun(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let proof = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    assert_eq!(verify(&auth, &ada.access, &proof).await?.status, 204);
    let (device, _) = enable(&auth, &ada.access).await?;
    let begun = challenge(&auth, "ada@example.com").await?;
    let token = reset_token(&auth, "ada@example.com").await?;
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);
    answer(&auth, &begun, &device.code(1))
        .await?
        .assert_problem(400, "invalid_challenge");
    // The device goes on being asked for.
    assert_eq!(
        sign_in(&auth, "ada@example.com", "a new password").await?.status,
        202
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_admin_takes_what_was_lost_away(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let admin = admin(&auth).await?;
    remove(&auth, &admin, &ada.user_id)
        .await?
        .assert_problem(409, "no_second_factor");
    let (device, _) = enable(&auth, &ada.access).await?;
    let begun = challenge(&auth, "ada@example.com").await?;
    remove(&auth, &admin, &admin.user_id)
        .await?
        .assert_problem(409, "own_account");
    remove(&auth, &admin, "usr_unknown")
        .await?
        .assert_problem(404, "not_found");

    assert_eq!(remove(&auth, &admin, &ada.user_id).await?.status, 204);
    auth.get("/v1/me", &ada.access)
        .await?
        .assert_problem(401, "session_ended");
    answer(&auth, &begun, &device.code(1))
        .await?
        .assert_problem(400, "invalid_challenge");
    let alone = SignedIn::read(&sign_in(&auth, "ada@example.com", PASSWORD).await?)?;
    assert_eq!(
        state(&auth, &alone.access).await?,
        json!({"enabled_at": null, "backup_codes_left": 0})
    );
    mails(&auth, "ada@example.com", "second_factors_removed", 1).await?;
    let trail = auth.get("/v1/me/audit-events", &alone.access).await?.json();
    let removed = trail["events"].as_array().ok_or("no events")?.iter();
    let removed: Vec<_> = removed
        .filter(|event| event["kind"] == "second_factors_removed")
        .map(|event| &event["actor_id"])
        .collect();
    assert_eq!(removed, [&json!(admin.user_id)]);
    Ok(())
}
