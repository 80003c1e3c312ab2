//! What holds for every endpoint.

use rstest::rstest;
use tracewell_auth::Auth;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Setup, assert_committed, assert_contract},
};

use crate::{auth, token};

#[rstest]
#[tokio::test]
async fn every_endpoint_refuses_what_it_must(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = auth(engine).await?;
    let token = token(&auth).await?;
    assert_contract::<Auth>(&auth, &token).await
}

#[test]
fn the_committed_document_is_the_codes() {
    assert_committed::<Auth>(include_str!("../../openapi.json"));
}
