//! Every operation, by requests that are made of the API document.

use rstest::rstest;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Setup, assert_conforms},
};

use crate::{admin::admin, open_auth};

/// What ends the caller's session or account, after which everything else would be refused.
const ENDINGS: [&str; 3] = ["POST /v1/signout", "DELETE /v1/me", "DELETE /v1/sessions/{id}"];

#[rstest]
#[case::admin(Postgres, true)]
#[case::anonymous(Sqlite, false)]
#[tokio::test]
async fn the_service_is_as_its_document_says(#[case] engine: Engine, #[case] signed_in: bool) -> Setup<()> {
    let auth = open_auth(engine).await?;
    if !signed_in {
        return assert_conforms(auth.url(), "", &[]).await;
    }
    let admin = admin(&auth).await?;
    assert_conforms(auth.url(), &admin.access, &ENDINGS).await
}
