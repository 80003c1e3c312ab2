//! The real profiler on this very process.
//!
//! A process has one sampling timer, so all of it is one test.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::unistd::gettid;
use serde_json::Value;

use super::{
    harness::{DSN, settings},
    transactions::client,
};
use crate::{
    ServiceInfo,
    profile::{ProfileSettings, Profiler, ReportError},
};

#[inline(never)]
fn mix_bits(bits: u64) -> u64 {
    (0..1000).fold(bits, |bits, step| black_box(bits.rotate_left(5) ^ step))
}

/// What the profile must name.
#[inline(never)]
fn burn_until(stop: &AtomicBool) -> u64 {
    let mut bits = 1;
    while !stop.load(Ordering::Relaxed) {
        bits = mix_bits(bits);
    }
    bits
}

/// A failed assertion must not leave the thread burning: its scope waits for it.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hot_function_is_named_in_chunks_and_reports() {
    let settings = settings(&[DSN, ("SENTRY_ENVIRONMENT", "test")]).unwrap();
    let service = ServiceInfo::new("shop", "1.2.3");
    let (client, inbox) = client(&settings);
    let profiler = Profiler::start(ProfileSettings::new(&settings.sentry, &service), client);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            burn_until(&stop);
            u64::try_from(gettid().as_raw()).unwrap()
        });
        let stop = StopOnDrop(&stop);
        let guard = profiler.open().unwrap();
        let report = futures::executor::block_on(async {
            let (report, second) = futures::join!(profiler.pprof_report(3), profiler.pprof_report(1));
            assert!(matches!(second, Err(ReportError::Busy)), "one at a time");
            report.unwrap()
        });
        let text = String::from_utf8_lossy(&report);
        assert!(text.contains("profile::burn_until"), "{text}");
        // The chunk is sent when nothing profiled is open any more.
        drop(guard);
        let chunk = inbox.next("profile_chunk");

        // It starts again after it has stopped, and what is left is sent at the end.
        let guard = profiler.open().unwrap();
        futures::executor::block_on(profiler.pprof_report(3)).unwrap();
        profiler.shutdown(Duration::from_secs(10));
        let last = inbox.next("profile_chunk");
        drop((guard, stop));

        let thread = thread.join().unwrap();
        check_chunk(&chunk, profiler.id(), thread);
        check_chunk(&last, profiler.id(), thread);
        assert_ne!(chunk["chunk_id"], last["chunk_id"]);
    });

    assert!(profiler.open().is_none(), "there is no profile of the end");
    let refused = futures::executor::block_on(profiler.pprof_report(1));
    assert!(matches!(refused, Err(ReportError::Unavailable(_))));
    for seconds in [0, 61] {
        let refused = futures::executor::block_on(profiler.pprof_report(seconds));
        assert!(matches!(refused, Err(ReportError::Seconds)));
    }
}

fn check_chunk(chunk: &Value, profiler_id: &str, thread: u64) {
    assert_eq!(chunk["version"], "2");
    assert_eq!(chunk["profiler_id"], profiler_id);
    assert_eq!(
        (&chunk["release"], &chunk["environment"]),
        (&"shop@1.2.3".into(), &"test".into())
    );
    assert!(
        chunk["debug_meta"].is_null(),
        "with it Sentry would drop the names"
    );
    let profile = &chunk["profile"];
    let frames = profile["frames"].as_array().unwrap();
    let hot = frames
        .iter()
        .position(|frame| frame["function"] == "burn_until")
        .unwrap();
    assert!(
        frames[hot]["module"]
            .as_str()
            .unwrap()
            .ends_with("tests::profile"),
        "{}",
        frames[hot]
    );
    assert_eq!(frames[hot]["in_app"], true);
    assert!(
        frames[hot]["lineno"].is_u64() && frames[hot]["filename"].as_str().unwrap().ends_with("profile.rs")
    );
    let thread = thread.to_string();
    assert!(
        profile["thread_metadata"][&thread]["name"].is_string(),
        "{}",
        profile["thread_metadata"]
    );
    let stacks = profile["stacks"].as_array().unwrap();
    let samples = profile["samples"].as_array().unwrap();
    let idle = stacks.iter().position(|stack| stack == &Value::Array(Vec::new()));
    let idle = &Value::from(idle);
    let in_hot = |sample: &&Value| {
        let stack = &stacks[usize::try_from(sample["stack_id"].as_u64().unwrap()).unwrap()];
        sample["thread_id"] == *thread && stack.as_array().unwrap().contains(&hot.into())
    };
    // On a busy machine there are few, but those of the thread are where it is.
    let of_thread = samples
        .iter()
        .filter(|sample| sample["thread_id"] == *thread && sample["stack_id"] != *idle)
        .count();
    let hot_ones = samples.iter().filter(in_hot).count();
    assert!(
        hot_ones > 0 && hot_ones * 2 > of_thread,
        "{hot_ones} of {of_thread}"
    );
    let times: Vec<_> = samples
        .iter()
        .map(|sample| sample["timestamp"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted());
}
