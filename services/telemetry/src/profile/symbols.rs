//! Names for addresses, from the program's own symbols.

use std::{collections::HashMap, path::Path, sync::Arc};

use serde::Serialize;

/// The most addresses that are remembered.
const MAX_KNOWN: usize = 16_384;

/// A function on a stack. Its shape is Sentry's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Frame {
    /// `hash_password`, `serve::{{closure}}`.
    pub(super) function: String,
    /// The path before it: `tracewell_auth::hashing`. Where only line tables are left of the debug information the name
    /// may come without one; then it is the file, since Sentry merges functions of one name that have none.
    pub(super) module: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lineno: Option<u32>,
    /// Whether it is the service's own code and no library's.
    pub(super) in_app: bool,
}

/// Resolves addresses, each once.
#[derive(Default)]
pub(super) struct Symbols {
    known: HashMap<usize, Arc<[Frame]>>,
}

impl Symbols {
    /// The functions at a return address, innermost first: more than one where calls were inlined, none where the
    /// program has no symbol for it.
    pub(super) fn resolve(&mut self, address: usize) -> Arc<[Frame]> {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known
            .entry(address)
            .or_insert_with(|| look_up(address))
            .clone()
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        // It holds the program's tables, which nobody needs until the next profile.
        backtrace::clear_symbol_cache();
    }
}

fn look_up(address: usize) -> Arc<[Frame]> {
    let mut frames = Vec::new();
    backtrace::resolve(std::ptr::with_exposed_provenance_mut(address), |symbol| {
        if let Some(name) = symbol.name() {
            // The alternate form leaves out the hash that changes with every build.
            frames.push(frame(&format!("{name:#}"), symbol.filename(), symbol.lineno()));
        }
    });
    frames.into()
}

fn frame(path: &str, file: Option<&Path>, line: Option<u32>) -> Frame {
    let (module, function) = split_path(path);
    let source = file.map(|file| Source::of(&file.to_string_lossy()));
    let module = match &source {
        Some(source) if module.is_empty() => source.name.trim_end_matches(".rs"),
        _ => module,
    };
    Frame {
        function: function.to_owned(),
        module: module.to_owned(),
        in_app: source.as_ref().is_some_and(|source| source.in_app),
        filename: source.map(|source| source.name),
        lineno: line,
    }
}

/// A source file, by the part of its path that does not depend on the machine that built it.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    name: String,
    in_app: bool,
}

impl Source {
    fn of(path: &str) -> Self {
        let library = |name: &str| Self {
            name: name.to_owned(),
            in_app: false,
        };
        // /rustc/<commit>/library/std/src/…
        if let Some(rest) = path.strip_prefix("/rustc/") {
            return library(rest.split_once('/').map_or(rest, |(_, rest)| rest));
        }
        // ~/.cargo/registry/src/<index>/<crate>-<version>/src/…; git checkouts lie in ~/.cargo/git/checkouts.
        for place in ["/registry/src/", "/git/checkouts/"] {
            if let Some((_, rest)) = path.split_once(place) {
                return library(rest.split_once('/').map_or(rest, |(_, rest)| rest));
            }
        }
        Self {
            name: path.to_owned(),
            in_app: true,
        }
    }
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
    fn a_frame_is_of_the_service_unless_its_file_is_a_librarys() {
        for (path, name, in_app) in [
            (
                "/rustc/59807616e/library/std/src/thread/mod.rs",
                "library/std/src/thread/mod.rs",
                false,
            ),
            (
                "/root/.cargo/registry/src/index.crates.io-1949/tokio-1.54.1/src/runtime/park.rs",
                "tokio-1.54.1/src/runtime/park.rs",
                false,
            ),
            (
                "services/auth/src/hashing.rs",
                "services/auth/src/hashing.rs",
                true,
            ),
        ] {
            assert_eq!(
                Source::of(path),
                Source {
                    name: name.to_owned(),
                    in_app
                }
            );
        }
        assert!(
            !frame("tokio::run", None, None).in_app,
            "without a file nobody knows"
        );
        assert_eq!(
            frame("run", Some(Path::new("src/cart.rs")), None).module,
            "src/cart"
        );
    }

    #[test]
    fn an_address_outside_of_the_program_has_no_name() {
        assert!(Symbols::default().resolve(1).is_empty());
    }
}
