//! Sends the mail that is due, one after the other.

use std::{sync::LazyLock, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracewell_kit::{
    clock,
    db::{Db, DbError},
};
use tracewell_telemetry::{Counter, Histogram, background, counter, histogram, span_attribute};

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
            let delivery =
                background("deliver mail").caused_by(mail.traceparent.as_deref().unwrap_or_default());
            let deliver = async {
                span_attribute("mail.kind", mail.kind.to_string());
                self.deliver(&mail).await
            };
            delivery.run(deliver).await?;
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
        let user_id = match self.user_of(mail).await? {
            Some(user_id) if !self.is_one_too_many(mail, now).await? => user_id,
            _ => {
                store::mails::discard(db, &mail.id).await?;
                return Ok(false);
            }
        };
        let token = match mail.kind.token_lifetime() {
            None => None,
            Some(lifetime) => {
                let token = OpaqueToken::generate()?;
                let new_email = (mail.kind == MailKind::ConfirmNewEmail).then_some(&mail.recipient);
                let end = now + lifetime;
                if !store::mail_tokens::insert(db, &token, mail, &user_id, new_email, end).await? {
                    return Ok(false);
                }
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

impl Worker {
    /// Whether the address has had as many such mails as it may.
    async fn is_one_too_many(&self, mail: &Mail, now: Timestamp) -> Result<bool, DbError> {
        if mail.kind.is_notice_of_change() {
            return Ok(false);
        }
        let since = now - SignedDuration::from_hours(1);
        Ok(store::mails::sent_since(&self.db, mail, since).await? >= MAILS_PER_HOUR)
    }

    /// The account that the mail is about; `None`: there is no reason to send it.
    async fn user_of(&self, mail: &Mail) -> Result<Option<String>, DbError> {
        let account = store::users::by_email(&self.db, &mail.recipient).await?;
        let account = account.map(|(account, _)| account.user);
        Ok(match mail.kind {
            MailKind::VerifyEmail => account
                .filter(|user| user.email_verified_at.is_none())
                .map(|user| user.id),
            MailKind::AccountExists
            | MailKind::ResetPassword
            | MailKind::PasswordChanged
            | MailKind::SigninMethodsChanged
            | MailKind::SecondFactorsRemoved => account.map(|user| user.id),
            // Of an address that is another account's, nobody is told.
            MailKind::ConfirmNewEmail if account.is_some() => None,
            MailKind::ConfirmNewEmail | MailKind::EmailChangeRequested | MailKind::EmailChanged => {
                mail.user_id.clone()
            }
        })
    }
}

fn kind_label(kind: MailKind) -> &'static str {
    match kind {
        MailKind::VerifyEmail => "verify_email",
        MailKind::AccountExists => "account_exists",
        MailKind::ResetPassword => "reset_password",
        MailKind::PasswordChanged => "password_changed",
        MailKind::SigninMethodsChanged => "signin_methods_changed",
        MailKind::SecondFactorsRemoved => "second_factors_removed",
        MailKind::ConfirmNewEmail => "confirm_new_email",
        MailKind::EmailChangeRequested => "email_change_requested",
        MailKind::EmailChanged => "email_changed",
    }
}
