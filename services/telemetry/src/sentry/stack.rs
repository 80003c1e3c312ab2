//! Stacks: taken as addresses where something failed, which costs microseconds, and named on the sender's
//! thread, which costs milliseconds.

use std::fmt;

use sentry::protocol::{Addr, Frame, Stacktrace};

use crate::symbols::{self, Symbols};

/// The deepest stack that is taken. Async ones are deep: every layer is a few frames.
const MAX_FRAMES: usize = 200;

/// How far into a stack its own making and the panic machinery can reach.
const MACHINERY_DEPTH: usize = 32;

/// Functions that report a failure and are no part of it. `std::panicking` is not among them: it also catches.
const MACHINERY: [&str; 5] = [
    "backtrace::",
    "tracewell_telemetry::sentry::",
    "tracewell_telemetry::http::report::",
    "core::panicking::",
    "__rustc::rust_begin_unwind",
];

/// Return addresses, innermost first.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stack(Vec<usize>);

impl Stack {
    /// The stack of this call.
    #[inline(never)]
    pub(crate) fn capture() -> Self {
        let mut addresses = Vec::with_capacity(64);
        backtrace::trace(|frame| {
            addresses.push(frame.ip() as usize);
            addresses.len() < MAX_FRAMES
        });
        Self(addresses)
    }

    /// In Sentry's form and order, outermost first, still without names.
    pub(crate) fn unnamed(&self) -> Stacktrace {
        let frames = self.0.iter().rev().map(|address| Frame {
            instruction_addr: Some(Addr(*address as u64)),
            ..Frame::default()
        });
        Stacktrace {
            frames: frames.collect(),
            ..Stacktrace::default()
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({} frames)", self.0.len())
    }
}

/// Replaces the unnamed frames of `stack` by named ones, several where calls were inlined, and cuts off the machinery that
/// reported the failure.
pub(crate) fn name(stack: &mut Stacktrace, symbols: &mut Symbols) {
    let before = symbols.len();
    let mut frames = Vec::with_capacity(stack.frames.len());
    for frame in std::mem::take(&mut stack.frames) {
        let address = frame.instruction_addr.filter(|_| frame.function.is_none());
        // Addresses come from this very process, so they fit.
        let address = address.and_then(|Addr(address)| usize::try_from(address).ok());
        let named = address
            .map(|address| symbols.resolve(address))
            .unwrap_or_default();
        if named.is_empty() {
            frames.push(frame);
        } else {
            // Sentry has the outermost first.
            frames.extend(named.iter().rev().map(named_frame));
        }
    }
    stack.frames = without_machinery(frames);
    if symbols.len() != before {
        Symbols::close();
    }
}

fn named_frame(frame: &symbols::Frame) -> Frame {
    let function = match frame.module.as_str() {
        module if module.is_empty() || module.contains('/') => frame.function.clone(),
        module => format!("{module}::{}", frame.function),
    };
    Frame {
        function: Some(function),
        filename: frame.filename.clone(),
        lineno: frame.lineno.map(u64::from),
        colno: frame.colno.map(u64::from),
        in_app: Some(frame.in_app),
        ..Frame::default()
    }
}

/// `frames`, outermost first, without the innermost ones that only reported the failure.
fn without_machinery(mut frames: Vec<Frame>) -> Vec<Frame> {
    let is_machinery = |frame: &Frame| {
        let function = frame.function.as_deref().unwrap_or_default();
        let path = function.trim_start_matches('<');
        MACHINERY.iter().any(|prefix| path.starts_with(prefix))
    };
    let innermost = frames.len().saturating_sub(MACHINERY_DEPTH);
    if let Some(place) = frames[innermost..].iter().position(is_machinery) {
        // Never all of it: some stack is better than none.
        frames.truncate((innermost + place).max(1));
    }
    frames
}
