//! Stacks: taken as addresses where something failed, which costs microseconds, and named on the sender's
//! thread, which costs milliseconds.

use std::{collections::HashMap, fmt, path::Path, ptr};

use backtrace::Symbol;
use sentry::protocol::{Addr, Frame, Stacktrace};

/// The deepest stack that is taken. Async ones are deep: every layer is a few frames.
const MAX_FRAMES: usize = 200;

/// Addresses whose names are remembered. A service fails in few places.
const MAX_KNOWN: usize = 4096;

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

/// Crates whose frames are not the service's own.
const LIBRARIES: [&str; 18] = [
    "alloc",
    "axum",
    "axum_core",
    "backtrace",
    "core",
    "futures_core",
    "futures_util",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "sqlx_core",
    "std",
    "tokio",
    "tower",
    "tower_http",
    "tower_layer",
    "tracing",
    "tracing_futures",
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

/// Gives addresses their names.
#[derive(Default)]
pub(crate) struct Symbols {
    known: HashMap<u64, Vec<Frame>>,
}

impl Symbols {
    /// Replaces the unnamed frames of `stack` by named ones, several where calls were inlined, and cuts off
    /// the machinery that reported the failure.
    pub(crate) fn name(&mut self, stack: &mut Stacktrace) {
        if self.known.len() > MAX_KNOWN {
            self.known.clear();
        }
        let before = self.known.len();
        let mut frames = Vec::with_capacity(stack.frames.len());
        for frame in std::mem::take(&mut stack.frames) {
            match frame.instruction_addr {
                Some(Addr(address)) if frame.function.is_none() => {
                    let named = self.known.entry(address).or_insert_with(|| resolve(address));
                    frames.extend(named.iter().cloned());
                }
                _ => frames.push(frame),
            }
        }
        stack.frames = without_machinery(frames);
        if self.known.len() != before {
            // The debug information of the whole binary: megabytes that nothing needs until the next new address.
            backtrace::clear_symbol_cache();
        }
    }
}

/// The functions at an address, outermost first.
fn resolve(address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    // Addresses come from this very process, so they fit.
    let pointer = ptr::without_provenance_mut(usize::try_from(address).unwrap_or_default());
    backtrace::resolve(pointer, |symbol| frames.push(named_frame(symbol)));
    if frames.is_empty() {
        frames.push(Frame {
            instruction_addr: Some(Addr(address)),
            ..Frame::default()
        });
    }
    frames.reverse();
    frames
}

fn named_frame(symbol: &Symbol) -> Frame {
    let file = symbol.filename();
    let function = symbol.name().map(|name| format!("{name:#}"));
    Frame {
        in_app: Some(is_in_app(function.as_deref().unwrap_or_default(), file)),
        function,
        filename: file
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned()),
        abs_path: file.map(|path| path.to_string_lossy().into_owned()),
        lineno: symbol.lineno().map(u64::from),
        colno: symbol.colno().map(u64::from),
        ..Frame::default()
    }
}

/// Whether a frame is the service's own code rather than a library's.
fn is_in_app(function: &str, file: Option<&Path>) -> bool {
    let foreign_file = file.is_some_and(|path| {
        let path = path.to_string_lossy();
        path.starts_with("/rustc/") || path.contains("/.cargo/registry/") || path.contains("/rustlib/")
    });
    // `<axum::handler::Layered as core::future::Future>::poll` is axum's.
    let path = function.trim_start_matches(['<', '&']);
    let krate = path.split("::").next().unwrap_or_default();
    let own_layers = path.starts_with("tracewell_telemetry::http::");
    path.contains("::") && !(foreign_file || own_layers || LIBRARIES.contains(&krate))
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
