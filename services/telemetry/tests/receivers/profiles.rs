//! CPU profiles, as Sentry's own parser and pprof read them.

use http::Method;

use crate::fixture::{Greeter, Spotlight, Tools, hot_functions, pprof_top};

#[tokio::test]
async fn a_profiled_transaction_leads_to_a_chunk_in_which_sentrys_parser_names_the_hot_function() {
    let Some(tools) = Tools::find() else { return };
    let spotlight = Spotlight::start(&tools).await;
    let dsn = spotlight.dsn();
    let greeter = Greeter::start(&[
        ("SENTRY_DSN", &dsn),
        ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "1"),
    ])
    .await;
    // Long enough for a profiler that starts on a busy machine, in a debug build: a second of CPU time, and no sample before.
    let busy = greeter.get("/debug/cpu?milliseconds=8000").await;
    assert_eq!(busy.status, 200);
    let chunk = spotlight.until_item("profile_chunk").await;
    let transaction = spotlight.until_item("transaction").await.payload;
    assert!(greeter.end().await.status.success());

    assert_eq!(chunk.header["platform"], "rust");
    let functions = hot_functions(&tools, &chunk.payload);
    assert!(
        functions
            .first()
            .is_some_and(|hottest| hottest.contains("burn_cpu")),
        "{functions:#?}"
    );
    assert_eq!(
        transaction["contexts"]["profile"]["profiler_id"],
        chunk.payload["profiler_id"]
    );
    // The computing itself is on another thread, of those that may block.
    assert!(transaction["contexts"]["trace"]["data"]["thread.id"].is_string());
}

#[tokio::test]
async fn pprof_names_the_hot_function_of_a_profile_that_somebody_asks_for() {
    let Some(tools) = Tools::find() else { return };
    let greeter = Greeter::start(&[]).await;
    let profile = async {
        let request = greeter.request(Method::GET, "/debug/pprof/profile?seconds=8");
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.bytes().await.unwrap()
    };
    let (profile, busy) = tokio::join!(profile, greeter.get("/debug/cpu?milliseconds=8000"));
    assert_eq!(busy.status, 200);
    let functions = pprof_top(&tools, &profile);
    assert!(
        functions
            .first()
            .is_some_and(|hottest| hottest.contains("burn_cpu")),
        "{functions:#?}"
    );
}
