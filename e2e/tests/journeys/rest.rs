//! A Platform at rest is left alone.

use std::time::Duration;

use anyhow::Result;
use tracewell_e2e::platform::{Handle, is_true};
use tracewell_e2e::writes;

const LIMIT: Duration = Duration::from_mins(2);
const WINDOW: Duration = Duration::from_mins(1);

#[tokio::test]
async fn at_rest_nothing_is_written() -> Result<()> {
    let demo = Handle::demo().await?;
    // Jaeger is asked for spans right after the Platform became ready, and the answer stands in the status.
    demo.until("spans are seen in Jaeger", LIMIT, |platform| {
        is_true(platform, "TelemetryFlowing")
    })
    .await?;
    let seen = writes::during(&demo, WINDOW).await?;
    assert!(
        seen.is_empty(),
        "within {WINDOW:?} somebody wrote:\n{}",
        seen.join("\n")
    );
    Ok(())
}
