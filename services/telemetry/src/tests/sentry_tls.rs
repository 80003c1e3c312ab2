//! The way to a Sentry behind TLS, whose certificate is by an authority of the company's own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};
use tempfile::NamedTempFile;

use super::harness::settings;
use crate::{
    ServiceInfo, Severity, capture_message,
    metrics::{Format, Metrics},
    sentry::SentryClient,
};

/// A server for `localhost` that takes envelopes, and the certificate by which it can be known.
fn receiver() -> (SocketAddr, NamedTempFile, Receiver<String>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            // A client that does not trust the certificate hangs up: that is its right.
            let _ = take(StreamOwned::new(connection, stream.unwrap()), &sender);
        }
    });
    (address, file, received)
}

/// Answers one request with 200.
fn take(stream: StreamOwned<ServerConnection, TcpStream>, sender: &Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")?;
    let _ = sender.send(String::from_utf8_lossy(&body).into_owned());
    Ok(())
}

/// Reports a message to the Sentry of these variables.
fn report(env: &[(&str, &str)]) {
    let client =
        SentryClient::start(&settings(env).unwrap().sentry, &ServiceInfo::new("shop", "1.2.3")).unwrap();
    let _bound = client.bind_thread();
    capture_message(Severity::Info, "over TLS");
    assert!(client.flush(Duration::from_secs(30)));
}

fn unreachable() -> u64 {
    let text = Metrics::global().render(Format::Text);
    let start = "telemetry_envelopes_dropped_total{reason=\"network_error\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.map_or(0, |value| value.parse().unwrap())
}

#[test]
fn an_https_dsn_is_trusted_by_the_authorities_of_ssl_cert_file() {
    let (address, certificate, received) = receiver();
    let dsn = format!("https://key@localhost:{}/42", address.port());
    let certificate = certificate.path().to_str().unwrap();
    report(&[("SENTRY_DSN", &dsn), ("SSL_CERT_FILE", certificate)]);
    let envelope = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(envelope.contains("over TLS"), "{envelope}");

    // Without the file nobody vouches for the server, and it gets nothing.
    let before = unreachable();
    report(&[("SENTRY_DSN", &dsn)]);
    assert!(unreachable() > before);
    assert!(received.try_recv().is_err());
}
