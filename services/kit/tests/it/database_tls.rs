//! A database server that is reached by TLS.

use std::{error::Error as _, fs};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tracewell_kit::{
    db::{Db, DbError, query},
    testing::{Identity, Setup, TlsServer},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Setup<Authority> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// That of a server with this name or address.
fn identity(authority: &Authority, name: &str) -> Setup<Identity> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, authority)?;
    Ok(Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

async fn open(server: &TlsServer, parameters: &str) -> Setup<Result<Db, DbError>> {
    Ok(Db::open(&server.variable(parameters)?.parse()?).await)
}

#[tokio::test]
async fn a_server_is_reached_by_tls_if_its_authority_is_trusted() -> Setup<()> {
    let (ours, other) = (authority("ours")?, authority("another one")?);
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, wrong, missing) = (file("ca.pem"), file("wrong.pem"), file("missing.pem"));
    fs::write(&ca, ours.pem())?;
    fs::write(&wrong, other.pem())?;
    let server = TlsServer::start(&identity(&ours, "127.0.0.1")?)?;

    let db = open(&server, &format!("sslmode=verify-full&sslrootcert={ca}")).await??;
    let encrypted = query(
        "pg_stat_ssl",
        "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    )
    .optional(&db, |row| row.get::<Option<String>>("version"))
    .await?;
    assert_eq!(encrypted.flatten().as_deref(), Some("TLSv1.3"));

    for trust in [format!("&sslrootcert={wrong}"), String::new()] {
        let refused = open(&server, &format!("sslmode=verify-full{trust}")).await?;
        let error = refused.err().ok_or("it opened")?;
        assert!(matches!(error, DbError::Untrusted { .. }), "{error:?}");
        let said = error.to_string();
        assert!(
            said.starts_with("cannot open the database postgres://tracewell:***@127.0.0.1")
                && said.contains("vouches for the server's certificate")
                && said.contains("sslrootcert"),
            "{said}"
        );
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(reason.contains("UnknownIssuer"), "{reason}");
    }
    let unread = open(&server, &format!("sslmode=verify-full&sslrootcert={missing}")).await?;
    let said = unread.err().ok_or("it opened")?.to_string();
    assert!(said.ends_with(&missing), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_certificate_of_another_host_is_refused_where_the_host_counts() -> Setup<()> {
    let (ours, folder) = (authority("ours")?, tempfile::tempdir()?);
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, ours.pem())?;
    let ca = ca.display();
    let server = TlsServer::start(&identity(&ours, "elsewhere.example")?)?;
    let refused = open(&server, &format!("sslmode=verify-full&sslrootcert={ca}")).await?;
    let error = refused.err().ok_or("it opened")?;
    assert!(error.to_string().contains("that of another host"), "{error}");
    open(&server, &format!("sslmode=verify-ca&sslrootcert={ca}")).await??;
    Ok(())
}
