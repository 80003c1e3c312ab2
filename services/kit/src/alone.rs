//! Running alone: without an auth service, a service trusts a key of its own, kept beside its database.

use std::{io::ErrorKind, path::PathBuf};

use crate::{
    clock,
    db::DatabaseUrl,
    private_file,
    token::{Claims, KeyError, SigningKey},
};

/// The key that a service running alone trusts could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The data is on a server, so there is no folder of its own that a key could lie in.
    #[error("set AUTH_URL: only beside a database that is a file can a service keep a key of its own")]
    NoFolder,
    /// The token could not be written as JSON.
    #[error("cannot write the token")]
    Token(#[from] serde_json::Error),
}

/// The key beside the database, made on first use and readable by its owner only.
pub fn signing_key(database: &DatabaseUrl) -> Result<SigningKey, AloneError> {
    let mut path = database
        .path()
        .ok_or(AloneError::NoFolder)?
        .as_os_str()
        .to_owned();
    path.push(".key");
    let path = PathBuf::from(path);
    let file_error = |source| AloneError::File {
        path: path.clone(),
        source,
    };
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let pkcs8 = SigningKey::generate_pkcs8()?;
            private_file::create(&path, &pkcs8).map_err(file_error)?;
            Ok(SigningKey::from_pkcs8(&pkcs8)?)
        }
        read => Ok(SigningKey::from_pkcs8(&read.map_err(file_error)?)?),
    }
}

/// An access token for `user_id` that the service running alone accepts.
pub fn access_token(database: &DatabaseUrl, user_id: &str) -> Result<String, AloneError> {
    Ok(signing_key(database)?.sign(&Claims::new(user_id, clock::now()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{JwkSet, verify};

    #[test]
    fn the_key_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let database = DatabaseUrl::file(folder.path().join("chat.db"));
        let key = signing_key(&database).unwrap();
        let token = access_token(&database, "usr_me").unwrap();
        assert_eq!(
            verify(
                &token,
                &JwkSet {
                    keys: vec![key.jwk()]
                },
                clock::now()
            )
            .unwrap()
            .sub,
            "usr_me"
        );
        let mode = std::fs::metadata(folder.path().join("chat.db.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
