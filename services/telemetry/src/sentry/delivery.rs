//! Envelopes over HTTP, with TLS by rustls.

use std::{cell::OnceCell, fs, time::Duration};

use sentry::types::Dsn;
use ureq::{
    Agent,
    http::Response,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{SentrySettings, rate_limits::Answer};
use crate::agent;

/// Who speaks, for the server's statistics.
const USER_AGENT: &str = concat!("tracewell-telemetry/", env!("CARGO_PKG_VERSION"));

/// The longest that one envelope may take: those behind it wait, in a bounded queue.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a serialised envelope reaches Sentry.
pub(crate) trait Delivery: Send + 'static {
    /// Hands it over and returns the answer; the error says why there was none.
    fn deliver(&mut self, envelope: &[u8]) -> Result<Answer, String>;
}

/// Delivery to the address of a DSN.
pub(crate) struct HttpDelivery {
    url: String,
    authorisation: String,
    certificates: Option<String>,
    /// Made on the sender's thread: reading certificates is not worth a service's start.
    agent: OnceCell<Agent>,
}

impl HttpDelivery {
    pub(crate) fn new(dsn: &Dsn, settings: &SentrySettings) -> Self {
        Self {
            url: dsn.envelope_api_url().to_string(),
            authorisation: dsn.to_auth(Some(USER_AGENT)).to_string(),
            certificates: settings.certificates.clone(),
            agent: OnceCell::new(),
        }
    }

    fn connect(&self) -> Agent {
        let roots = self.certificates.as_deref().and_then(read_certificates);
        // Without a file: Mozilla's roots in the binary, since the images hold no other file.
        let roots = roots.unwrap_or(RootCerts::WebPki);
        let config = agent::config()
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .timeout_global(Some(TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        agent::new(config)
    }
}

impl Delivery for HttpDelivery {
    fn deliver(&mut self, envelope: &[u8]) -> Result<Answer, String> {
        let agent = self.agent.get_or_init(|| self.connect());
        let request = agent
            .post(&self.url)
            .header("content-type", "application/x-sentry-envelope")
            .header("x-sentry-auth", &self.authorisation);
        let mut response = request.send(envelope).map_err(|error| error.to_string())?;
        let answer = Answer {
            status: response.status().as_u16(),
            limits: header(&response, "x-sentry-rate-limits"),
            retry_after: header(&response, "retry-after"),
        };
        // Read to its end, the connection serves the next envelope too. What it says does not matter.
        let _ = response.body_mut().read_to_vec();
        Ok(answer)
    }
}

fn header<B>(response: &Response<B>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The authorities in a PEM file; none, with a warning, if it cannot be used.
fn read_certificates(path: &str) -> Option<RootCerts> {
    let certificates = fs::read(path).map_err(|error| error.to_string()).and_then(|pem| {
        let items: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        let empty = items.is_empty();
        if empty {
            Err("it holds no certificate".to_owned())
        } else {
            Ok(items)
        }
    });
    match certificates {
        Ok(certificates) => Some(RootCerts::new_with_certs(&certificates)),
        Err(error) => {
            tracing::warn!(
                path,
                error,
                "SSL_CERT_FILE cannot be used: the bundled certificate authorities are"
            );
            None
        }
    }
}
