//! A Platform at rest is left alone.

use std::time::Duration;

use anyhow::Result;
use tracewell_e2e::platform::Handle;
use tracewell_e2e::writes;

const WINDOW: Duration = Duration::from_mins(1);

#[tokio::test]
async fn at_rest_nothing_is_written() -> Result<()> {
    let demo = Handle::demo().await?;
    let seen = writes::during(&demo, WINDOW).await?;
    assert!(
        seen.is_empty(),
        "within {WINDOW:?} somebody wrote:\n{}",
        seen.join("\n")
    );
    Ok(())
}
