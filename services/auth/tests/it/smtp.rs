//! Mail by a real SMTP server that insists on STARTTLS and a password.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};
use tracewell_kit::{
    db::Engine::{Postgres, Sqlite},
    testing::{Process, Running, Setup, TestDatabase},
};

use crate::{sign_up, start, tools};

struct SmtpServer {
    port: String,
    mails: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
    _process: Child,
}

impl SmtpServer {
    /// `None`: there is no server to start.
    async fn start() -> Setup<Option<Self>> {
        Self::start_with(&[]).await
    }

    async fn start_with(options: &[&str]) -> Setup<Option<Self>> {
        let Some(mut command) = tools::python("smtp.py") else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let mut process = command.arg(folder.path()).args(options).spawn()?;
        let mut mails = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let port = mails.next_line().await?.ok_or("the SMTP server ended")?;
        Ok(Some(Self {
            port,
            mails,
            folder,
            _process: process,
        }))
    }

    fn url(&self, password: &str) -> String {
        format!("smtp://ada:{password}@localhost:{}?tls=required", self.port)
    }

    fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    async fn next(&mut self) -> Setup<Value> {
        let line = tokio::time::timeout(Duration::from_secs(20), self.mails.next_line()).await??;
        let line = line.ok_or("the SMTP server ended")?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// The password of `smtp.py`, as a URL has it.
const RIGHT: &str = "a%20secret%20of%20ours";

fn variables<'a>(url: &'a str, authority: &'a str) -> [(&'static str, &'a str); 2] {
    [("SMTP_URL", url), ("SMTP_CA_FILE", authority)]
}

async fn failures(auth: &Running) -> Setup<bool> {
    let metrics = auth.get("/metrics", "").await?.text;
    Ok(metrics.contains(r#"auth_mail_total{kind="verify_email",outcome="failed"}"#))
}

async fn wait_for_failure(auth: &Running) -> Setup<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !failures(auth).await? {
        if std::time::Instant::now() > deadline {
            return Err("no mail failed".into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn mail_leaves_encrypted_and_with_the_password() -> Setup<()> {
    let Some(mut server) = SmtpServer::start().await? else {
        return Ok(());
    };
    let (url, authority) = (server.url(RIGHT), server.authority());
    let auth = start(
        Sqlite,
        &[
            ("SMTP_URL", &url),
            ("SMTP_CA_FILE", &authority),
            ("MAIL_FROM", "Tracewell <noreply@example.com>"),
            ("MAIL_LINK_BASE", "https://app.example.com"),
            ("DEBUG_MAIL", "1"),
        ],
    )
    .await?;
    sign_up(&auth, "ada@example.com").await?;
    let mail = server.next().await?;
    assert_eq!(mail["encrypted"], true, "{mail}");
    assert_eq!(mail["user"], "ada", "{mail}");
    assert_eq!(mail["from"], "noreply@example.com");
    assert_eq!(mail["to"], serde_json::json!(["ada@example.com"]));
    assert_eq!(mail["subject"], "Confirm your e-mail address");
    assert!(
        mail["id"]
            .as_str()
            .is_some_and(|id| id.ends_with("@example.com>")),
        "{mail}"
    );
    for part in ["text", "html"] {
        let text = mail[part].as_str().unwrap_or_default();
        assert!(
            text.contains("https://app.example.com/verify-email#token="),
            "{text}"
        );
    }
    // What was sent is not kept: the token is in no table.
    let outbox = auth.get("/debug/mail", "").await?.text;
    assert!(!outbox.contains("token="), "{outbox}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_authority_or_a_wrong_password_sends_nothing() -> Setup<()> {
    let Some(server) = SmtpServer::start().await? else {
        return Ok(());
    };
    let authority = server.authority();
    let (right, wrong) = (server.url(RIGHT), server.url("hunter2"));
    let untrusting = start(Sqlite, &[("SMTP_URL", &right)]).await?;
    sign_up(&untrusting, "ada@example.com").await?;
    wait_for_failure(&untrusting).await?;
    let refused = start(Sqlite, &[("SMTP_URL", &wrong), ("SMTP_CA_FILE", &authority)]).await?;
    sign_up(&refused, "ada@example.com").await?;
    wait_for_failure(&refused).await
}

#[tokio::test]
async fn of_two_workers_one_sends_a_mail() -> Setup<()> {
    let Some(mut server) = SmtpServer::start().await? else {
        return Ok(());
    };
    let database = TestDatabase::create(Postgres).await?;
    let (url, authority, database) = (server.url(RIGHT), server.authority(), database.variable());
    let variables = [
        ("SMTP_URL", url.as_str()),
        ("SMTP_CA_FILE", &authority),
        ("HASH_COST", "m=8,t=1"),
        ("DATABASE_URL", &database),
    ];
    let (one, other) = (
        start(Postgres, &variables).await?,
        start(Postgres, &variables).await?,
    );
    let mut expected: Vec<_> = (0..12).map(|n| format!("user{n:02}@example.com")).collect();
    let sign_ups = expected
        .iter()
        .enumerate()
        .map(|(n, email)| sign_up(if n % 2 == 0 { &one } else { &other }, email));
    futures::future::try_join_all(sign_ups).await?;
    let mut recipients = Vec::new();
    // One more, by a process that is asked last: were a mail sent twice, it would come before.
    sign_up(&one, "last@example.com").await?;
    expected.push("last@example.com".to_owned());
    while recipients.len() < expected.len() {
        let mail = server.next().await?;
        recipients.push(mail["to"][0].as_str().unwrap_or_default().to_owned());
    }
    recipients.sort();
    expected.sort();
    assert_eq!(recipients, expected);
    Ok(())
}

#[tokio::test]
async fn mail_goes_to_addresses_that_are_not_ascii() -> Setup<()> {
    let Some(mut server) = SmtpServer::start().await? else {
        return Ok(());
    };
    let (url, authority) = (server.url(RIGHT), server.authority());
    let auth = start(Sqlite, &variables(&url, &authority)).await?;
    let signed_up = sign_up(&auth, "jörg@bücher.example").await?;
    assert_eq!(signed_up.status, 202, "{}", signed_up.text);
    let mail = server.next().await?;
    assert_eq!(
        mail["to"],
        serde_json::json!(["jörg@xn--bcher-kva.example"]),
        "{mail}"
    );
    assert_eq!(mail["header"], "jörg@xn--bcher-kva.example", "{mail}");
    let options = mail["options"].as_array().ok_or("no options")?;
    assert!(options.iter().any(|option| option == "SMTPUTF8"), "{mail}");
    Ok(())
}

#[tokio::test]
async fn a_server_without_smtputf8_is_named_as_what_keeps_mail_back() -> Setup<()> {
    let Some(mut server) = SmtpServer::start_with(&["ascii"]).await? else {
        return Ok(());
    };
    let (url, authority) = (server.url(RIGHT), server.authority());
    let binary = env!("CARGO_BIN_EXE_tracewell-auth");
    let auth = Process::start_with(binary, &variables(&url, &authority)).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    // The second one shows that the first one had its turn: its domain is written in ASCII.
    for email in ["jörg@example.com", "ada@bücher.example"] {
        let body = serde_json::json!({"email": email, "password": crate::PASSWORD});
        let signed_up = client.post(format!("{}/v1/signup", auth.url)).json(&body).send();
        assert_eq!(signed_up.await?.status(), 202);
    }
    let mail = server.next().await?;
    assert_eq!(mail["to"], serde_json::json!(["ada@xn--bcher-kva.example"]));
    let (_, log) = auth.terminate().await?;
    let said = log.iter().find(|line| line.contains("mail not sent"));
    let said = said.ok_or_else(|| format!("no failure in {log:?}"))?;
    assert!(said.contains("does not offer SMTPUTF8"), "{said}");
    assert!(!said.contains("jörg"), "{said}");
    Ok(())
}
