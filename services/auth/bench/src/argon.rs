//! Argon2id alone: what the cores give without a service around it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use bench_kit::process::own_program;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id, thread_schedule_policy,
};

/// Bytes of memory that one hash takes.
pub(crate) const MEMORY: f64 = Params::DEFAULT_M_COST as f64 * 1024.0;

/// Hashes a second on so many threads, with the service's parameters. Each thread uses its memory again and again.
pub(crate) fn rate(threads: usize, duration: Duration) -> Result<f64> {
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| thread::spawn(move || hash_for(duration)))
        .collect();
    let mut hashes = 0;
    for worker in workers {
        hashes += worker.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(f64::from(hashes) / started.elapsed().as_secs_f64())
}

fn hash_for(duration: Duration) -> Result<u32> {
    // As the service's threads that hash: what else the machine does weighs on both alike.
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // The policy holds also where the niceness that belongs to it is refused, as in a process that was made nicer.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    ensure!(
        thread_schedule_policy().ok() == Some(idle),
        "the threads do not give way"
    );
    let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let mut memory = vec![Block::new(); context.params().block_count()];
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let started = Instant::now();
    let mut hashes = 0;
    while started.elapsed() < duration {
        context
            .hash_password_into_with_memory(
                b"correct horse battery",
                b"sixteen bytes...",
                &mut output,
                &mut memory,
            )
            .map_err(|error| anyhow!("argon2: {error}"))?;
        hashes += 1;
    }
    Ok(hashes)
}

/// The same in a process of its own.
pub(crate) async fn rate_alone(threads: usize, duration: Duration) -> Result<f64> {
    let (threads, milliseconds) = (threads.to_string(), duration.as_millis().to_string());
    let output = own_program(&["hash", "--threads", &threads, "--milliseconds", &milliseconds])?
        .output()
        .await?;
    ensure!(output.status.success(), "it ended: {}", output.status);
    let printed = String::from_utf8(output.stdout)?;
    printed.trim().parse().context("its output is not a number")
}
