//! Where mail goes: to an SMTP server or, without one, into the table that it waits in.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr, time::Duration};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::client::{Certificate, Tls, TlsParameters},
};

use super::{Letter, MailConfig};
use crate::domain::Email;

type Smtp = AsyncSmtpTransport<Tokio1Executor>;

/// An SMTP server does not answer for longer than this: the attempt has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An SMTP server with the credentials for it: `smtp://…?tls=required` (STARTTLS), `smtps://…`, or `smtp://…`
/// without credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SmtpUrl(String);

/// The text names no SMTP server, or would send a password in the clear.
#[derive(Debug, thiserror::Error)]
#[error("not smtp://host:port?tls=required, smtps://host:port, or smtp://host:port without credentials")]
pub(crate) struct InvalidSmtpUrl;

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encrypted = text.starts_with("smtps://") || text.ends_with("?tls=required");
        if text.contains('@') && !encrypted {
            return Err(InvalidSmtpUrl);
        }
        Smtp::from_url(text).map_err(|_| InvalidSmtpUrl)?;
        Ok(Self(text.to_owned()))
    }
}

impl SmtpUrl {
    /// How the connection is encrypted, where more than the public authorities is to be trusted.
    fn tls(&self, authorities: Option<&CaFile>) -> Result<Option<Tls>, SendError> {
        let Some(CaFile(path)) = authorities else {
            return Ok(None);
        };
        let host = self.0.parse::<http::Uri>().ok();
        let host = host.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let pem = std::fs::read(path).map_err(|source| SendError::CaFile {
            path: path.clone(),
            source,
        })?;
        let parameters = TlsParameters::builder(host.to_owned())
            .add_root_certificate(Certificate::from_pem(&pem)?)
            .build_rustls()?;
        Ok(match (self.0.starts_with("smtps://"), self.0.contains("?tls=")) {
            (true, _) => Some(Tls::Wrapper(parameters)),
            (false, true) => Some(Tls::Required(parameters)),
            (false, false) => None,
        })
    }
}

/// A file of certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaFile(PathBuf);

impl FromStr for CaFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Display for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{host}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpUrl({self})")
    }
}

/// Why a mail could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the address cannot be written to")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be composed")]
    Compose(#[from] lettre::error::Error),
    #[error("cannot read SMTP_CA_FILE, {path}")]
    CaFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the domain of the address cannot be written in ASCII")]
    Domain(#[from] idna::Errors),
    #[error(
        "the SMTP server does not offer SMTPUTF8, without which there is no mail to an address with other letters than \
         ASCII's before its @"
    )]
    NoSmtpUtf8(#[source] lettre::transport::smtp::Error),
    #[error("the SMTP server did not take the mail")]
    Smtp(#[from] lettre::transport::smtp::Error),
}

/// Where mail goes.
pub(crate) enum Transport {
    /// It stays in the table, to be read there.
    Outbox,
    /// An SMTP server sends it.
    Smtp { server: Smtp, from: Box<Mailbox> },
}

impl Transport {
    pub(crate) fn new(config: &MailConfig) -> Result<Self, SendError> {
        let Some(url) = &config.smtp else {
            return Ok(Self::Outbox);
        };
        let mut server = Smtp::from_url(&url.0)?.timeout(Some(TIMEOUT));
        if let Some(tls) = url.tls(config.smtp_authorities.as_ref())? {
            server = server.tls(tls);
        }
        Ok(Self::Smtp {
            server: server.build(),
            from: Box::new(config.from.clone()),
        })
    }

    /// Sends the letter. `id` makes its Message-ID, so that a mail that arrives twice can be told to be one.
    pub(crate) async fn send(&self, id: &str, recipient: &Email, letter: &Letter) -> Result<(), SendError> {
        let Self::Smtp { server, from } = self else {
            return Ok(());
        };
        let message = Message::builder()
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .from(from.as_ref().clone())
            .to(Mailbox::new(None, address(recipient)?))
            .subject(letter.subject)
            .multipart(MultiPart::alternative_plain_html(
                letter.text.clone(),
                letter.html.clone(),
            ))?;
        match server.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if lacks_smtputf8(&error) => Err(SendError::NoSmtpUtf8(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the table is where mail goes.
    pub(crate) fn is_outbox(&self) -> bool {
        matches!(self, Self::Outbox)
    }
}

/// The address as mail servers take it. A domain can be written in ASCII, which every server takes; what stands before
/// the @ cannot, and takes a server with SMTPUTF8 (RFC 6531) where it is not ASCII.
fn address(email: &Email) -> Result<Address, SendError> {
    let (user, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    // One that is an address of the network in brackets is no name.
    let domain = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_ascii(domain)?
    };
    Ok(Address::new(user, domain)?)
}

/// Whether the mail was not even tried, since the server does not say that it takes such an address.
fn lacks_smtputf8(error: &lettre::transport::smtp::Error) -> bool {
    let reason = std::error::Error::source(error);
    error.is_client() && reason.is_some_and(|reason| reason.to_string().contains("SMTPUTF8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_shown_nor_sent_in_the_clear() {
        let url: SmtpUrl = "smtp://ada:hunter2@mail.example.com:587?tls=required"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "smtp://***@mail.example.com:587?tls=required");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(
            "smtp://ada:hunter2@mail.example.com:587"
                .parse::<SmtpUrl>()
                .is_err()
        );
        assert!("smtp://mail.example.com:25".parse::<SmtpUrl>().is_ok());
        assert!("http://mail.example.com".parse::<SmtpUrl>().is_err());
    }
}
