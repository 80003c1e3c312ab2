//! What holds for every endpoint.

use rstest::rstest;
use tracewell_billing::Billing;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Running, Setup, assert_committed, assert_conforms, assert_contract},
};

#[rstest]
#[tokio::test]
async fn every_endpoint_refuses_what_it_must(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let billing = Running::start_on::<Billing>(engine, &[]).await?;
    let token = billing.own_token("usr_ada")?;
    assert_contract::<Billing>(&billing, &token).await
}

#[rstest]
#[case::user(Postgres, true)]
#[case::anonymous(Sqlite, false)]
#[tokio::test]
async fn the_service_is_as_its_document_says(#[case] engine: Engine, #[case] signed_in: bool) -> Setup<()> {
    let billing = Running::start_on::<Billing>(engine, &[]).await?;
    let token = billing.own_token("usr_ada")?;
    assert_conforms(billing.url(), if signed_in { &token } else { "" }, &[]).await
}

#[test]
fn the_committed_document_is_the_codes() {
    assert_committed::<Billing>(include_str!("../../openapi.json"));
}
