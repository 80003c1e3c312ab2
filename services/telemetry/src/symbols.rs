//! Names for addresses, from the program's own symbols: for the stacks of errors and for profiles.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

/// The most addresses that are remembered: some 2 MiB.
const MAX_KNOWN: usize = 8192;

/// Crates that are not the service's own, each with all whose names go on with `_`: `tokio` is also `tokio_util`.
const LIBRARIES: [&str; 47] = [
    "alloc",
    "argon2",
    "axum",
    "backtrace",
    "blake2",
    "bytes",
    "chrono",
    "clap",
    "core",
    "crossbeam",
    "diesel",
    "futures",
    "h2",
    "hashbrown",
    "http",
    "hyper",
    "jiff",
    "jsonschema",
    "kube",
    "lettre",
    "mio",
    "once_cell",
    "opentelemetry",
    "parking_lot",
    "prometheus",
    "prost",
    "quinn",
    "rand",
    "rayon",
    "regex",
    "reqwest",
    "ring",
    "rustls",
    "sentry",
    "serde",
    "sha2",
    "sqlx",
    "std",
    "time",
    "tokio",
    "tonic",
    "tower",
    "tracewell_sampler",
    "tracing",
    "ureq",
    "utoipa",
    "uuid",
];

/// Further packages of others, each by its own name alone: those in the lock file of this repository, a line each.
const PACKAGES: &str = include_str!("packages.txt");

/// What goes around every handler and every call.
const OWN_LAYERS: [&str; 3] = ["client", "db", "http"];

/// A function on a stack. Its shape is Sentry's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Frame {
    /// `hash_password`, `serve::{{closure}}`.
    pub(crate) function: String,
    /// The path before it: `tracewell_auth::hashing`. Where only line tables are left of the debug information the name
    /// may come without one; then it is the file, or `native`, since Sentry merges functions of one name that have none.
    pub(crate) module: String,
    /// As far as it does not depend on the machine that built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lineno: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) colno: Option<u32>,
    /// Whether it is the service's own code and no library's.
    pub(crate) in_app: bool,
}

/// Resolves addresses, each once.
#[derive(Default)]
pub(crate) struct Symbols {
    known: HashMap<usize, Arc<[Frame]>>,
}

impl Symbols {
    /// The functions at a return address, innermost first: more than one where calls were inlined, none where the
    /// program has no symbol for it.
    pub(crate) fn resolve(&mut self, address: usize) -> Arc<[Frame]> {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known
            .entry(address)
            .or_insert_with(|| look_up(address))
            .clone()
    }

    /// How many addresses are known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Gives back the program's tables, megabytes that nothing needs until the next new address.
    pub(crate) fn close() {
        backtrace::clear_symbol_cache();
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        Self::close();
    }
}

fn look_up(address: usize) -> Arc<[Frame]> {
    let mut frames = Vec::new();
    backtrace::resolve(std::ptr::with_exposed_provenance_mut(address), |symbol| {
        if let Some(name) = symbol.name() {
            // The alternate form leaves out the hash that changes with every build.
            let frame = frame(&format!("{name:#}"), symbol.filename());
            frames.push(Frame {
                lineno: symbol.lineno(),
                colno: symbol.colno(),
                ..frame
            });
        }
    });
    frames.into()
}

fn frame(path: &str, file: Option<&Path>) -> Frame {
    let (module, function) = split_path(path);
    let source = file.map(Source::of);
    let module = match &source {
        Some(source) if module.is_empty() => source.name.trim_end_matches(".rs"),
        // A function of C, which has no path, in an image, which has no files.
        None if module.is_empty() => "native",
        _ => module,
    };
    // Images have the names of functions, but not of files.
    let is_library =
        source.as_ref().is_some_and(|source| source.is_library) || is_library(path, source.is_none());
    Frame {
        function: function.to_owned(),
        module: module.to_owned(),
        in_app: !is_library,
        filename: source.map(|source| source.name),
        ..Frame::default()
    }
}

/// Whether a function of this path is a library's: `<axum::handler::Layered as core::future::Future>::poll` is axum's. One
/// without a path is C's, unless a file tells otherwise.
fn is_library(path: &str, has_no_file: bool) -> bool {
    let path = path.trim_start_matches(['<', '&', '(', '*']);
    let path = ["mut ", "dyn ", "const "]
        .iter()
        .fold(path, |path, word| path.trim_start_matches(word));
    let mut parts = path.split("::");
    let (Some(krate), Some(next)) = (parts.next(), parts.next()) else {
        return has_no_file;
    };
    let is_family = |library: &str| {
        krate
            .strip_prefix(library)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    LIBRARIES.iter().any(|library| is_family(library))
        || PACKAGES.lines().any(|package| package == krate)
        || (krate == "tracewell_telemetry" && OWN_LAYERS.contains(&next))
}

/// A source file, by the part of its path that does not depend on the machine that built it.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    name: String,
    is_library: bool,
}

impl Source {
    fn of(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let library = |name: &str| Self {
            name: name.to_owned(),
            is_library: true,
        };
        // /rustc/<commit>/library/std/src/…, or where the standard library's source is installed.
        for place in ["/rustc/", "/rustlib/src/"] {
            if let Some((_, rest)) = text.split_once(place) {
                return library(rest.split_once('/').map_or(rest, |(_, rest)| rest));
            }
        }
        // ~/.cargo/registry/src/<index>/<crate>-<version>/src/…; git checkouts lie in ~/.cargo/git/checkouts.
        for place in ["/registry/src/", "/git/checkouts/"] {
            if let Some((_, rest)) = text.split_once(place) {
                return library(rest.split_once('/').map_or(rest, |(_, rest)| rest));
            }
        }
        Self {
            name: without_home(path).to_string_lossy().into_owned(),
            is_library: false,
        }
    }
}

/// Of an absolute path the crate's folder and what is in it: what lies before is the builder's own matter.
fn without_home(path: &Path) -> PathBuf {
    if path.is_relative() {
        return path.to_owned();
    }
    let parts: Vec<_> = path.components().collect();
    let sources = parts.iter().rposition(|part| part.as_os_str() == "src");
    let first = sources.map_or(parts.len().saturating_sub(1), |place| {
        place.saturating_sub(1).max(1)
    });
    parts[first..].iter().collect()
}

/// Splits `a::b::C::d::{{closure}}` into `a::b::C` and `d::{{closure}}`: a closure's own name says nothing. The path
/// may hold generics and `<T as Trait>`, whose inner `::` do not count.
fn split_path(path: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let mut end = path.len();
    let bytes = path.as_bytes();
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            b'>' if at == 0 || bytes[at - 1] != b'-' => depth += 1, // `->` is no bracket
            b'<' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && at > 0 && bytes[at - 1] == b':' => {
                let name = &path[at + 1..end];
                if !name.starts_with('{') {
                    return (&path[..at - 1], &path[at + 1..]);
                }
                end = at - 1;
            }
            _ => {}
        }
    }
    ("", path)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs};

    use super::*;

    #[test]
    fn paths_split_before_the_function_that_a_person_looks_for() {
        for (path, expected) in [
            ("main", ("", "main")),
            ("shop::cart::total", ("shop::cart", "total")),
            (
                "shop::serve::{{closure}}::{{closure}}",
                ("shop", "serve::{{closure}}::{{closure}}"),
            ),
            ("shop::serve::{closure#0}", ("shop", "serve::{closure#0}")),
            (
                "<shop::Cart as core::fmt::Display>::fmt",
                ("<shop::Cart as core::fmt::Display>", "fmt"),
            ),
            (
                "shop::map::<fn(a::B) -> c::D>::get",
                ("shop::map::<fn(a::B) -> c::D>", "get"),
            ),
            (
                "<a::B<c::D>>::new::{{closure}}",
                ("<a::B<c::D>>", "new::{{closure}}"),
            ),
        ] {
            assert_eq!(split_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_frame_is_of_the_service_unless_its_file_or_its_crate_is_a_librarys() {
        for (path, name, is_library) in [
            (
                "/rustc/59807616e/library/std/src/thread/mod.rs",
                "library/std/src/thread/mod.rs",
                true,
            ),
            (
                "/root/.rustup/toolchains/1.95.0/lib/rustlib/src/rust/library/core/src/ops/function.rs",
                "library/core/src/ops/function.rs",
                true,
            ),
            (
                "/root/.cargo/registry/src/index.crates.io-1949/tokio-1.54.1/src/runtime/park.rs",
                "tokio-1.54.1/src/runtime/park.rs",
                true,
            ),
            (
                "services/auth/src/hashing.rs",
                "services/auth/src/hashing.rs",
                false,
            ),
            ("/home/ada/shop/src/cart/mod.rs", "shop/src/cart/mod.rs", false),
            ("/home/ada/main.rs", "main.rs", false),
        ] {
            let source = Source::of(Path::new(path));
            assert_eq!(
                (source.name.as_str(), source.is_library),
                (name, is_library),
                "{path}"
            );
        }
        for (path, in_app) in [
            ("sharded_slab::pool::get", false),
            ("<governor::state::Bucket as core::fmt::Debug>::fmt", false),
            ("tokio::runtime::park::park", false),
            ("tokio_util::codec::poll", false),
            ("tokyo::trams::next", true),
            ("<axum::Router as tower_service::Service<R>>::call", false),
            ("<&mut dyn core::fmt::Debug as core::fmt::Debug>::fmt", false),
            ("<shop::Cart as core::fmt::Display>::fmt", true),
            ("tracewell_telemetry::http::layer::call", false),
            ("tracewell_telemetry::debug::burn_cpu", true),
            ("sqlite3_step", false),
        ] {
            assert_eq!(frame(path, None).in_app, in_app, "{path}");
        }
        let cut = frame("run", Some(Path::new("src/cart.rs")));
        assert_eq!(cut.module, "src/cart");
        assert_eq!(frame("sqlite3_step", None).module, "native");
    }

    /// `UPDATE_GOLDEN=1` writes the list.
    #[test]
    fn the_packages_are_those_of_the_lock_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let lock = fs::read_to_string(root.join("../../Cargo.lock")).unwrap();
        let from_registry = lock
            .split("[[package]]")
            .filter(|package| package.contains("\nsource = \"registry+"));
        let names: BTreeSet<_> = from_registry
            .map(|package| {
                let (name, _) = package
                    .split_once("name = \"")
                    .unwrap()
                    .1
                    .split_once('"')
                    .unwrap();
                name.replace('-', "_")
            })
            .collect();
        let list = names.into_iter().collect::<Vec<_>>().join("\n") + "\n";
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(root.join("src/packages.txt"), &list).unwrap();
        } else {
            assert_eq!(PACKAGES, list, "UPDATE_GOLDEN=1 accepts the lock file's packages");
        }
    }

    #[test]
    fn an_address_outside_of_the_program_has_no_name() {
        assert!(Symbols::default().resolve(1).is_empty());
    }
}
