//! Mail. A request only writes down, in its own transaction, that a mail is wanted; a worker looks whether there is
//! such an account, makes the token, writes the letter and sends it. So the answer to "I forgot my password" takes the
//! same time for every address, and a mail server that is away delays mail and nothing else.

mod letter;
mod transport;
mod worker;

use lettre::message::Mailbox;
use tokio::sync::mpsc;
use tracewell_kit::{config::Env, db::Db};

pub(crate) use self::{
    letter::{Letter, LinkBase},
    transport::{CaFile, SendError, SmtpUrl, Transport},
};

/// How mail is sent.
#[derive(Debug, Clone)]
pub(crate) struct MailConfig {
    /// The server that sends it; without one it stays in the database.
    pub(crate) smtp: Option<SmtpUrl>,
    /// Certificate authorities to trust on the way to it, besides the public ones.
    pub(crate) smtp_authorities: Option<CaFile>,
    /// Who it is from.
    pub(crate) from: Mailbox,
    /// Where its links lead; without it, mails have the bare token.
    pub(crate) links: Option<LinkBase>,
}

impl MailConfig {
    pub(crate) fn read(env: &mut Env) -> Self {
        let address = lettre::Address::new_dangerous("noreply", "localhost");
        Self {
            smtp: env.optional(
                "SMTP_URL",
                "smtp://user:password@host:587?tls=required, smtps://…, or smtp://host:25 without credentials",
            ),
            smtp_authorities: env.optional("SMTP_CA_FILE", "a file of certificates in PEM"),
            from: env.or(
                "MAIL_FROM",
                Mailbox::new(None, address),
                "an address such as Tracewell <noreply@example.com>",
            ),
            links: env.optional("MAIL_LINK_BASE", "a URL such as https://app.example.com"),
        }
    }
}

/// Tells the worker that there is mail. The worker ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Mailer(mpsc::Sender<()>);

impl Mailer {
    /// Starts the worker.
    pub(crate) fn start(db: Db, config: MailConfig) -> Result<Self, SendError> {
        let worker = worker::Worker {
            db,
            transport: Transport::new(&config)?,
            links: config.links,
        };
        let (sender, woken) = mpsc::channel(1);
        tokio::spawn(worker.run(woken));
        let mailer = Self(sender);
        // What a process before this one left.
        mailer.wake();
        Ok(mailer)
    }

    /// To be called after the transaction that asked for mail.
    pub(crate) fn wake(&self) {
        // Full: the worker is about to look anyway.
        let _ = self.0.try_send(());
    }
}
