//! Jaeger's query API, by http or https.

use std::time::Duration;

use platform_core::trace::Trace;
use rustls::CertificateError;
use tokio::task::spawn_blocking;
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

/// How long Jaeger may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A client of Jaeger's query API. It brings the public authorities with it: the operator's image has no file of them.
///
/// It is not reqwest, which is without TLS throughout the workspace. With it, every service would have TLS in its program
/// (cargo unifies features), and its `Client::new` panics where the machine has no file of authorities.
#[derive(Clone, Debug)]
pub struct JaegerClient(Agent);

impl Default for JaegerClient {
    fn default() -> Self {
        Self::trusting(RootCerts::WebPki)
    }
}

impl JaegerClient {
    fn trusting(authorities: RootCerts) -> Self {
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(authorities).build())
            .timeout_global(Some(ANSWER))
            .http_status_as_error(false)
            // What is asked is in the cluster, or on loopback for the way into one.
            .proxy(None)
            .build();
        Self(config.into())
    }

    /// The trace of this id, or why Jaeger does not say; without spans where Jaeger has none of it. The API is v3, which
    /// answers with OTLP's JSON.
    pub async fn trace(&self, query_url: &str, id: &str) -> Result<Trace, String> {
        let Self(agent) = self.clone();
        let url = format!("{}/api/v3/traces/{id}", query_url.trim_end_matches('/'));
        let ask = move || {
            let mut answer = agent.get(url).call().map_err(|error| explain(&error))?;
            match answer.status().as_u16() {
                200 => {
                    let body = answer.body_mut().read_to_vec().map_err(|error| explain(&error))?;
                    serde_json::from_slice(&body).map_err(|error| format!("its answer is no trace: {error}"))
                }
                404 => Ok(Trace::default()),
                status => Err(format!("it answers {status}")),
            }
        };
        spawn_blocking(ask).await.map_err(|error| error.to_string())?
    }
}

/// In words that stay the same as long as the cause does: they stand in a status.
fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", ANSWER.as_secs()),
        ureq::Error::Io(error) => match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(cause)) => distrust(cause),
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

fn distrust(cause: &CertificateError) -> String {
    use CertificateError as E;
    match cause {
        E::UnknownIssuer => {
            "its certificate is of no public authority, and the operator knows no other".to_owned()
        }
        E::Expired | E::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "its certificate is not valid yet".to_owned(),
        other => format!("its certificate is not accepted: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;
    use ureq::tls::Certificate;

    use super::*;

    /// A Jaeger with a certificate of its own making, which has no trace: its port, and a client that trusts it.
    async fn serve(parameters: CertificateParams) -> (u16, JaegerClient) {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let authority = Certificate::from_der(certificate.der()).to_owned();
        let tls =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(key.serialize_der().into()),
                )
                .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let tls = TlsAcceptor::from(Arc::new(tls));
            while let Ok((connection, _)) = listener.accept().await {
                // Who does not trust it goes away in the middle.
                let Ok(mut connection) = tls.accept(connection).await else {
                    continue;
                };
                let mut request = [0; 1024];
                let read = connection.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /ui/api/v3/traces/abc HTTP/1.1"));
                let body = r#"{"result": {"resourceSpans": []}}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (port, JaegerClient::trusting([authority].into()))
    }

    fn certificate() -> CertificateParams {
        CertificateParams::new(["localhost".to_owned()]).unwrap()
    }

    async fn ask(client: &JaegerClient, host: &str, port: u16) -> Result<Trace, String> {
        client.trace(&format!("https://{host}:{port}/ui/"), "abc").await
    }

    #[tokio::test]
    async fn jaeger_is_asked_by_https() {
        let (port, client) = serve(certificate()).await;
        assert_eq!(ask(&client, "localhost", port).await, Ok(Trace::default()));
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_trusted_is_told_in_a_sentence() {
        let (port, client) = serve(certificate()).await;
        assert_eq!(
            ask(&JaegerClient::default(), "localhost", port)
                .await
                .unwrap_err(),
            "its certificate is of no public authority, and the operator knows no other"
        );
        assert_eq!(
            ask(&client, "127.0.0.1", port).await.unwrap_err(),
            "its certificate is not accepted: certificate not valid for name \"127.0.0.1\"; certificate is only valid \
             for DnsName(\"localhost\")"
        );
        let mut old = certificate();
        old.not_after = date_time_ymd(2001, 1, 1);
        let (port, client) = serve(old).await;
        assert_eq!(
            ask(&client, "localhost", port).await.unwrap_err(),
            "its certificate has expired"
        );
    }
}
