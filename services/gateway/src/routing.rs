//! Which upstream answers a path: the routing table that `GATEWAY_ROUTES` spells.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use tracewell_kit::docs::DOCUMENT_PATH;

/// Prefixes below which the gateway itself answers; no upstream can be mounted there.
const OWN_PREFIXES: [&str; 7] = [
    "/v1",
    "/health",
    "/api-docs",
    "/healthz",
    "/readyz",
    "/metrics",
    "/debug",
];

/// One upstream service and the path prefix it is mounted at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `auth` for the prefix `/auth`: how people and documents name it.
    pub name: String,
    /// Path of its API document.
    pub document: String,
    /// Where the service listens: http, without query.
    base: Url,
}

impl Upstream {
    /// The path prefix: `/` and the name.
    pub fn prefix(&self) -> String {
        format!("/{}", self.name)
    }

    /// The upstream's address of `rest`, an absolute path below the prefix.
    ///
    /// Percent-encoding passes through untouched: the upstream sees what the client wrote.
    pub fn address(&self, rest: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{rest}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }
}

/// All upstreams, sorted by prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingTable(Vec<Upstream>);

/// The text is no routing table: what is allowed instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not {}", RoutingTable::EXPECTED)]
pub struct InvalidRoutes;

impl RoutingTable {
    /// What `GATEWAY_ROUTES` may hold.
    pub const EXPECTED: &'static str = "routes such as /auth=http://auth:3001, separated by commas; a prefix is one \
        segment of letters, digits, - and _, given once, and none of /v1, /health, /api-docs, /healthz, /readyz, \
        /metrics, /debug, which are the gateway's own";

    /// The upstreams, sorted by prefix.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.0
    }
}

impl RoutingTable {
    /// The same upstreams, with API documents where `paths` says.
    #[must_use]
    pub fn with_documents(mut self, paths: &DocumentPaths) -> Self {
        for upstream in &mut self.0 {
            if let Some(path) = paths.0.get(&upstream.prefix()) {
                upstream.document.clone_from(path);
            }
        }
        self
    }
}

/// Where upstreams have their API documents, by prefix; those left out have it where ours do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentPaths(BTreeMap<String, String>);

/// The text names no documents: what is allowed instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not {}", DocumentPaths::EXPECTED)]
pub struct InvalidDocuments;

impl DocumentPaths {
    /// What `GATEWAY_DOCUMENTS` may hold.
    pub const EXPECTED: &'static str =
        "paths such as /prices=/openapi.json, separated by commas, each after the prefix of a route";
}

impl FromStr for DocumentPaths {
    type Err = InvalidDocuments;

    fn from_str(text: &str) -> Result<Self, InvalidDocuments> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let parse = |entry: &str| {
            let (prefix, path) = entry.split_once('=')?;
            let is_path = |text: &str| text.starts_with('/') && text.len() > 1;
            (is_path(prefix) && is_path(path)).then(|| (prefix.to_owned(), path.to_owned()))
        };
        let paths: Option<BTreeMap<_, _>> = entries.map(parse).collect();
        paths.map(Self).ok_or(InvalidDocuments)
    }
}

/// As in `GATEWAY_DOCUMENTS`, sorted.
impl fmt::Display for DocumentPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self
            .0
            .iter()
            .map(|(prefix, path)| format!("{prefix}={path}"))
            .collect();
        f.write_str(&entries.join(","))
    }
}

impl FromStr for RoutingTable {
    type Err = InvalidRoutes;

    fn from_str(text: &str) -> Result<Self, InvalidRoutes> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut upstreams = entries
            .map(parse_route)
            .collect::<Option<Vec<_>>>()
            .ok_or(InvalidRoutes)?;
        upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        let is_unique = upstreams.array_windows().all(|[a, b]| a.name != b.name);
        if is_unique {
            Ok(Self(upstreams))
        } else {
            Err(InvalidRoutes)
        }
    }
}

/// As in `GATEWAY_ROUTES`, sorted.
impl fmt::Display for RoutingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, upstream) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(
                f,
                "{comma}{}={}",
                upstream.prefix(),
                upstream.base.as_str().trim_end_matches('/')
            )?;
        }
        Ok(())
    }
}

fn parse_route(entry: &str) -> Option<Upstream> {
    let (prefix, address) = entry.split_once('=')?;
    let name = prefix.strip_prefix('/')?;
    let is_segment = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let base = Url::parse(address).ok()?;
    let is_base = base.scheme() == "http"
        && base.has_host()
        && base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    (is_segment && is_base && !OWN_PREFIXES.contains(&prefix)).then(|| Upstream {
        name: name.to_owned(),
        document: DOCUMENT_PATH.to_owned(),
        base,
    })
}

/// Whether a path would be read differently by the gateway and by an upstream.
///
/// `.` and `..` segments, plain or percent-encoded, and backslashes are resolved by some servers and not by others:
/// whoever mixes the two can be walked out of a prefix. No honest client sends them.
pub fn is_ambiguous(path: &str) -> bool {
    path.contains('\\')
        || path.split('/').any(|segment| {
            let dots = segment.replace("%2e", ".").replace("%2E", ".");
            matches!(dots.as_str(), "." | "..")
        })
}

/// Whether a path of a service is for those who operate it: `/debug` and what is below, however it is written.
///
/// A service that runs alone has it on the port of its API, where the gateway must not lead the world to.
pub fn is_for_operators(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let first = decoded.split('/').find(|segment| !segment.is_empty());
    first.is_some_and(|segment| segment.eq_ignore_ascii_case("debug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<RoutingTable, InvalidRoutes> {
        text.parse()
    }

    #[test]
    fn routes_are_sorted_and_named_by_their_prefix() {
        let table = table("/billing=http://billing:3003, /auth=http://auth:3001/").expect("two good routes");
        let names: Vec<_> = table
            .upstreams()
            .iter()
            .map(|upstream| upstream.name.as_str())
            .collect();
        assert_eq!(names, ["auth", "billing"]);
        assert_eq!(
            table.to_string(),
            "/auth=http://auth:3001,/billing=http://billing:3003"
        );
    }

    #[test]
    fn no_routes_is_a_table_too() {
        assert_eq!(table("").expect("empty is allowed").upstreams(), []);
    }

    #[test]
    fn what_is_no_route_is_refused() {
        let wrong = [
            "/auth",
            "auth=http://auth:3001",
            "/=http://auth:3001",
            "/auth/=http://auth:3001",
            "/a/b=http://auth:3001",
            "/..=http://auth:3001",
            "/{x}=http://auth:3001",
            "/v1=http://auth:3001",
            "/api-docs=http://auth:3001",
            "/auth=auth:3001",
            "/auth=https://auth:3001",
            "/auth=http://user:pw@auth:3001",
            "/auth=http://auth:3001/?x=1",
            "/auth=http://a:1,/chat=http://c:1,/auth=http://b:1",
        ];
        for text in wrong {
            assert_eq!(table(text), Err(InvalidRoutes), "{text}");
        }
    }

    #[test]
    fn the_sentence_about_what_is_allowed_names_every_prefix_that_is_not() {
        for prefix in OWN_PREFIXES {
            assert!(RoutingTable::EXPECTED.contains(prefix), "{prefix}");
        }
    }

    #[test]
    fn addresses_keep_encoding_doubled_slashes_and_query() {
        let table = table("/auth=http://auth:3001/base").expect("a good route");
        let address = |rest, query| table.upstreams()[0].address(rest, query).to_string();
        assert_eq!(address("/v1/me", None), "http://auth:3001/base/v1/me");
        assert_eq!(
            address("//x%2Fy", Some("q=a%20b")),
            "http://auth:3001/base//x%2Fy?q=a%20b"
        );
        assert_eq!(address("/", None), "http://auth:3001/base/");
    }

    #[test]
    fn dot_segments_and_backslashes_are_ambiguous() {
        for path in [
            "/auth/..",
            "/auth/../billing",
            "/auth/%2e%2E/x",
            "/auth/./x",
            "/auth/.%2e",
            "/auth\\x",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in [
            "/auth/a..b",
            "/auth/...",
            "/auth//x",
            "/auth/x%2Fy",
            "/auth/.well-known/jwks.json",
        ] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn a_document_is_where_the_table_says_or_where_ours_are() {
        let table: RoutingTable = "/auth=http://auth:3001,/prices=http://prices:8080"
            .parse()
            .unwrap();
        let paths: DocumentPaths = "/prices=/openapi.json".parse().unwrap();
        let table = table.with_documents(&paths);
        let documents: Vec<_> = table
            .upstreams()
            .iter()
            .map(|upstream| upstream.document.as_str())
            .collect();
        assert_eq!(documents, ["/api-docs.json", "/openapi.json"]);
        assert_eq!(paths.to_string(), "/prices=/openapi.json");
        for bad in ["prices=/a", "/prices", "/prices=a", "/=/a"] {
            assert_eq!(bad.parse::<DocumentPaths>(), Err(InvalidDocuments), "{bad}");
        }
    }
}
