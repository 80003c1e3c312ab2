//! Who may call what, for every operation of the API document: a new route cannot be forgotten.

use http::Method;
use rstest::rstest;
use serde_json::Value;
use tracewell_kit::{
    db::{
        Db,
        Engine::{self, Postgres, Sqlite},
        query,
    },
    testing::{Answer, Running, Setup},
};

use crate::{
    PASSWORD, SignedIn,
    admin::{admin, lock},
    open_auth, sign_in, signed_in,
};

/// Whom an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Anybody,
    Users,
    Admins,
}

/// What anybody may call: a route that forgets to ask for a token is not on this list.
const PUBLIC: [&str; 10] = [
    "get /.well-known/jwks.json",
    "post /v1/forgot-password",
    "post /v1/refresh",
    "post /v1/reset-password",
    "post /v1/signin",
    "post /v1/signin/passkey",
    "post /v1/signin/passkey/options",
    "post /v1/signin/second-factor",
    "post /v1/signup",
    "post /v1/verify-email/resend",
];

fn audience(path: &str, operation: &Value) -> For {
    match operation["security"].is_null() {
        true => For::Anybody,
        false if path.starts_with("/v1/admin/") => For::Admins,
        false => For::Users,
    }
}

/// Calls without a body, so that what is let in gets no further than the body where there is one.
async fn call(auth: &Running, method: &Method, path: &str, token: &str) -> Setup<Answer> {
    auth.send(auth.request(method.clone(), path, token)).await
}

async fn again(auth: &Running, email: &str) -> Setup<String> {
    Ok(SignedIn::read(&sign_in(auth, email, PASSWORD).await?)?.access)
}

/// Locks an account without ending its sessions.
async fn lock_behind_the_service(auth: &Running, user: &SignedIn) -> Setup<()> {
    let db = Db::open(auth.database().url()).await?;
    let mut tx = db.begin().await?;
    query("users", "UPDATE users SET locked_at = 1 WHERE id = $1")
        .bind(user.user_id.clone())
        .execute(&mut tx)
        .await?;
    Ok(tx.commit().await?)
}

#[track_caller]
fn assert_let_in(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    assert!(
        ![401, 403].contains(&status) && status < 500,
        "{what}: {}",
        answer.text
    );
}

#[rstest]
#[tokio::test]
async fn every_operation_lets_in_whom_it_is_for_and_nobody_else(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let admin = admin(&auth).await?;
    let locked = signed_in(&auth, "locked@example.com").await?;
    lock(&auth, &admin, &locked.user_id, "lock").await?;
    let victim = signed_in(&auth, "victim@example.com").await?;
    signed_in(&auth, "ada@example.com").await?;
    let left = signed_in(&auth, "left@example.com").await?;
    lock_behind_the_service(&auth, &left).await?;
    let sessions = auth.get("/v1/sessions", &victim.access).await?.json();
    let session = sessions["sessions"][0]["id"].as_str().unwrap_or_default();

    let document = auth.get("/api-docs.json", "").await?.json();
    let (mut calls, mut admins, mut public) = (0, 0, Vec::new());
    for (template, item) in document["paths"].as_object().ok_or("no paths")? {
        let id = if template.contains("/admin/") {
            &victim.user_id
        } else {
            session
        };
        let path = template.replace("{id}", id);
        for (method, operation) in item.as_object().ok_or("no operations")? {
            let (what, method) = (
                format!("{method} {template}"),
                method.to_uppercase().parse::<Method>()?,
            );
            let audience = audience(template, operation);
            // Each caller in a session of their own: some operations end it.
            let user = again(&auth, "ada@example.com").await?;
            let anonymous = call(&auth, &method, &path, "").await?;
            let of_locked = call(&auth, &method, &path, &locked.access).await?;
            let of_user = call(&auth, &method, &path, &user).await?;
            match audience {
                For::Anybody => {
                    assert_let_in(&anonymous, &what);
                    public.push(what.clone());
                }
                For::Users | For::Admins => {
                    anonymous.assert_problem(401, "missing_token");
                    of_locked.assert_problem(401, "session_ended");
                }
            }
            // A session that a lock has left: the lock counts.
            let of_left = call(&auth, &method, &path, &left.access).await?;
            if audience != For::Anybody {
                of_left.assert_problem(403, "account_locked");
            }
            // An admin is let in to what is for admins, not to what belongs to others.
            if audience == For::Users && template.contains("{id}") {
                let root = again(&auth, "root@example.com").await?;
                call(&auth, &method, &path, &root)
                    .await?
                    .assert_problem(404, "not_found");
            }
            match audience {
                For::Admins => of_user.assert_problem(403, "admin_only"),
                // What belongs to somebody else is not there.
                For::Users if template.contains("{id}") => of_user.assert_problem(404, "not_found"),
                For::Users | For::Anybody => assert_let_in(&of_user, &what),
            }
            if audience == For::Admins {
                let root = again(&auth, "root@example.com").await?;
                assert_let_in(&call(&auth, &method, &path, &root).await?, &what);
                admins += 1;
            }
            calls += 1;
        }
    }
    assert_eq!(public, PUBLIC);
    assert!(
        admins > 0 && calls > admins,
        "{calls} operations, {admins} for admins"
    );
    Ok(())
}
