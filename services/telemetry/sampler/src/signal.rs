//! The timer, and the handler of its signal.

use std::{ptr, time::SystemTime};

use nix::{
    errno::Errno,
    libc::{self, c_int, c_void},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::gettid,
};

use crate::{
    MEMORY, RING,
    walk::{Registers, Walk},
};

/// Installs the handler, which stays for the life of the process.
pub(crate) fn handle() -> nix::Result<()> {
    // Interrupted system calls go on by themselves.
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESTART;
    let action = SigAction::new(SigHandler::SigAction(on_signal), flags, SigSet::empty());
    #[expect(
        unsafe_code,
        reason = "the handler keeps to what is allowed inside of one: see `on_signal`"
    )]
    // SAFETY: `on_signal` is async-signal-safe, and replaces no handler that anyone relies on: nothing else uses SIGPROF.
    unsafe { sigaction(Signal::SIGPROF, &action) }.map(drop)
}

/// Lets the signal come after each so-many-th part of a second of CPU time; 0 ends that.
pub(crate) fn set_timer(frequency: u32) -> nix::Result<()> {
    let period = 1_000_000_u32.checked_div(frequency).unwrap_or(0);
    let interval = libc::timeval {
        tv_sec: (period / 1_000_000).into(),
        tv_usec: (period % 1_000_000).into(),
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    #[expect(unsafe_code, reason = "the standard library and nix have no such timer")]
    // SAFETY: the kernel reads `timer` during the call, and writes nothing, since the place for the old timer is null.
    let result = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, ptr::null_mut()) };
    Errno::result(result).map(drop)
}

/// Async-signal-safe: it takes no lock, allocates nothing, and makes two system calls of which `signal-safety(7)` is right.
extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // The interrupted code may be about to read it.
    let errno = Errno::last_raw();
    if let (Some(registers), Some(memory)) = (registers(context), MEMORY.get()) {
        let thread = u64::try_from(gettid().as_raw()).unwrap_or_default();
        RING.store(thread, SystemTime::now(), Walk::new(memory, registers));
    }
    Errno::set_raw(errno);
}

/// Where the thread was interrupted; `None` on machines whose registers have other names.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(unused_variables, reason = "nothing is known of its registers")
)]
fn registers(context: *mut c_void) -> Option<Registers> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        #[expect(unsafe_code, reason = "this is how the kernel passes the registers")]
        // SAFETY: with SA_SIGINFO the kernel passes a valid context that lives as long as the handler runs.
        let machine = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?.uc_mcontext;
        #[cfg(target_arch = "x86_64")]
        let (instruction, frame) = (
            machine.gregs[libc::REG_RIP as usize],
            machine.gregs[libc::REG_RBP as usize],
        );
        #[cfg(target_arch = "aarch64")]
        let (instruction, frame) = (machine.pc, machine.regs[29]);
        Some(Registers {
            instruction: usize::try_from(instruction).ok()?,
            frame: usize::try_from(frame).unwrap_or_default(),
        })
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    None
}
