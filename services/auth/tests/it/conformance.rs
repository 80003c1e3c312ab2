//! Every operation, by requests that schemathesis makes of the API document: nothing it sends is answered by a 5xx, by a
//! status, a type or a body that is not documented, what the document allows is not refused as malformed, and nobody is let
//! in without a token. The links of the document are followed.

use rstest::rstest;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::Setup,
};

use crate::{admin::admin, open_auth, tools};

/// What ends the caller's session or account, after which everything else would be refused.
const ENDINGS: [&str; 3] = ["POST /v1/signout", "DELETE /v1/me", "DELETE /v1/sessions/{id}"];

#[rstest]
#[case::admin(Postgres, true)]
#[case::anonymous(Sqlite, false)]
#[tokio::test]
async fn the_service_is_as_its_document_says(#[case] engine: Engine, #[case] signed_in: bool) -> Setup<()> {
    let Some(mut schemathesis) = tools::python("conformance.py") else {
        return Ok(());
    };
    let auth = open_auth(engine).await?;
    let folder = tempfile::tempdir()?;
    schemathesis
        .current_dir(folder.path())
        .args(["--config-file", &tools::script("schemathesis.toml")])
        .args(["run", &format!("{}/api-docs.json", auth.url())])
        .args([
            "--checks",
            "all",
            "--phases",
            "examples,coverage,fuzzing,stateful",
        ])
        .args([
            "--max-examples",
            "8",
            "--seed",
            "7",
            "--continue-on-failure",
            "--no-color",
        ]);
    if signed_in {
        let admin = admin(&auth).await?;
        schemathesis.args(["--header", &format!("Authorization: Bearer {}", admin.access)]);
        for operation in ENDINGS {
            schemathesis.args(["--exclude-name", operation]);
        }
    }
    let output = schemathesis.output().await?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}
