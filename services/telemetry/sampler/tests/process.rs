//! The real timer on this very process, which has only one: so all of it is one test.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::unistd::gettid;
use tracewell_sampler::{Sample, Sampler};

#[inline(never)]
fn burn(stop: &AtomicBool) -> u64 {
    let mut bits = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        bits = (0..1000).fold(bits, |bits, step| black_box(bits.rotate_left(5) ^ step));
    }
    bits
}

/// Takes samples until `enough` says so.
fn take_until(timer: &mut Sampler, enough: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
    let (mut samples, started) = (Vec::new(), Instant::now());
    while !enough(&samples) {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "only {} samples",
            samples.len()
        );
        samples.extend(timer.take());
        thread::yield_now();
    }
    samples
}

#[test]
fn busy_threads_are_sampled_where_they_are() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            black_box(burn(&stop));
            u64::try_from(gettid().as_raw()).unwrap()
        });
        let started = SystemTime::now();
        let mut timer = Sampler::start(101).unwrap();
        assert!(Sampler::start(101).is_err(), "one at a time");
        let samples = take_until(&mut timer, |samples| samples.len() >= 50);
        drop(timer);
        // Once more, and what was left behind is gone.
        let mut timer = Sampler::start(101).unwrap();
        let later = take_until(&mut timer, |samples| samples.len() >= 5);
        stop.store(true, Ordering::Relaxed);
        let busy = busy.join().unwrap();

        let of_busy: Vec<_> = samples.iter().filter(|sample| sample.thread == busy).collect();
        assert!(of_busy.len() > 10, "{} of {}", of_busy.len(), samples.len());
        let last = samples.iter().map(|sample| sample.time).max();
        for sample in &samples {
            assert!(sample.time >= started && sample.time <= SystemTime::now());
            assert!(!sample.addresses.is_empty());
        }
        assert!(later.iter().all(|sample| Some(sample.time) > last));
        // The function that was interrupted is the first one: all but a few are in the same few hundred bytes.
        let mut leaves: Vec<_> = of_busy.iter().map(|sample| sample.addresses[0]).collect();
        leaves.sort_unstable();
        let middle = leaves[leaves.len() / 2];
        let near = leaves
            .iter()
            .filter(|leaf| leaf.abs_diff(middle) < 64 << 10)
            .count();
        assert!(near * 2 > leaves.len(), "{leaves:x?}");
    });
}
