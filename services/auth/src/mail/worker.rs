//! Sends the mail that is due, one after the other.

use std::{sync::LazyLock, time::Duration};

use tokio::sync::mpsc;
use tracewell_kit::{
    clock,
    db::{Db, DbError},
};
use tracewell_telemetry::{Counter, Histogram, counter, histogram};
use tracing::Instrument as _;

use super::{Letter, LinkBase, SendError, Transport};
use crate::{
    domain::mail::{MAILS_PER_HOUR, Mail, MailKind},
    opaque::{NoRandomness, OpaqueToken},
    store,
};

/// How often the table is looked at without having been woken: another process may have written to it.
const PERIOD: Duration = Duration::from_secs(15);

static MAILS: LazyLock<Counter> = LazyLock::new(|| counter("auth.mail", "Mails by kind and outcome."));
static DELAY: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = [0.1, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];
    histogram(
        "auth.mail.delay",
        "Time from a request to its mail.",
        "s",
        &buckets,
    )
});

#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What the worker works with.
pub(super) struct Worker {
    pub(super) db: Db,
    pub(super) transport: Transport,
    pub(super) links: Option<LinkBase>,
}

impl Worker {
    /// Works until the service ends, which drops the other end of `woken`.
    pub(super) async fn run(self, mut woken: mpsc::Receiver<()>) {
        loop {
            if let Ok(None) = tokio::time::timeout(PERIOD, woken.recv()).await {
                return;
            }
            if let Err(error) = self.deliver_due().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "mail not looked after");
            }
        }
    }

    async fn deliver_due(&self) -> Result<(), DbError> {
        while let Some(mail) = store::mails::take_due(&self.db, clock::now()).await? {
            // A trace of its own: the request that asked for the mail is long answered.
            let span = tracing::info_span!(
                parent: None,
                "mail.deliver",
                mail.kind = %mail.kind,
                requested_by.trace_id = mail.trace_id.as_deref(),
            );
            self.deliver(&mail).instrument(span).await?;
        }
        Ok(())
    }

    async fn deliver(&self, mail: &Mail) -> Result<(), DbError> {
        let outcome = match self.try_deliver(mail).await {
            Ok(true) => "sent",
            Ok(false) => "needless",
            Err(DeliveryError::Database(error)) => return Err(error),
            Err(error) => {
                let next = mail.next_attempt(clock::now());
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempts = mail.attempts + 1,
                    given_up = next.is_none(),
                    "mail not sent"
                );
                store::mails::postpone(&self.db, &mail.id, next).await?;
                "failed"
            }
        };
        MAILS.add(1, &[("kind", kind_label(mail.kind)), ("outcome", outcome)]);
        Ok(())
    }

    /// Sends the mail; `false` if there is nothing to send.
    async fn try_deliver(&self, mail: &Mail) -> Result<bool, DeliveryError> {
        let (db, now) = (&self.db, clock::now());
        let account = store::users::by_email(db, &mail.recipient).await?;
        let sent = store::mails::sent_since(db, mail, now - jiff::SignedDuration::from_hours(1)).await?;
        let Some((account, _)) = account.filter(|(account, _)| {
            let verified = account.user.email_verified_at.is_some();
            sent < MAILS_PER_HOUR && !(mail.kind == MailKind::VerifyEmail && verified)
        }) else {
            store::mails::discard(db, &mail.id).await?;
            return Ok(false);
        };
        let token = match mail.kind.token_lifetime() {
            None => None,
            Some(lifetime) => {
                let token = OpaqueToken::generate()?;
                store::mail_tokens::insert(db, &token, mail.kind, &account.user.id, now + lifetime).await?;
                Some(token)
            }
        };
        let letter = Letter::write(mail.kind, token.as_ref(), self.links.as_ref());
        self.transport.send(&mail.id, &mail.recipient, &letter).await?;
        let kept = self.transport.is_outbox().then_some(letter);
        store::mails::sent(db, &mail.id, clock::now(), kept).await?;
        DELAY.record(clock::now().duration_since(mail.created_at).as_secs_f64(), &[]);
        Ok(true)
    }
}

fn kind_label(kind: MailKind) -> &'static str {
    match kind {
        MailKind::VerifyEmail => "verify_email",
        MailKind::ResetPassword => "reset_password",
        MailKind::PasswordChanged => "password_changed",
    }
}
