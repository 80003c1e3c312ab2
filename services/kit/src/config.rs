//! Typed configuration from environment variables, and from nothing else.
//!
//! [`Env`] reads variables and remembers every mistake, so that a person who starts a service sees all
//! of them at once. An empty variable counts as unset, as OpenTelemetry's specification has it.

mod origins;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::{self, Display},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use reqwest::Url;

use crate::forwarded::TrustedProxies;

pub use self::origins::Origins;

/// The variables a service reads, with what it made of them.
#[derive(Debug, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    /// Those whose values are not Unicode.
    no_text: BTreeSet<String>,
    settings: Vec<Setting>,
    violations: Vec<Violation>,
}

/// One setting as it took effect, for `print-config`.
///
/// The value is the [`Display`] of the parsed type, so a type that holds a secret decides there what
/// may be seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// The value in effect; `None` when unset without a default.
    pub value: Option<String>,
    /// Whether the value is the default.
    pub is_default: bool,
}

/// A variable whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}")]
pub struct Violation {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What is allowed.
    pub expected: &'static str,
}

/// Every variable that could not be used.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub Vec<Violation>);

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration")?;
        self.0
            .iter()
            .try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        Self::from_os(std::env::vars_os())
    }

    /// The given variables; what of them is read and no text is a mistake.
    fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut env = Self::default();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(env.variables.insert(name, value)),
                (Ok(name), Err(_)) => drop(env.no_text.insert(name)),
                // Nobody can read it by its name.
                (Err(_), _) => {}
            }
        }
        env
    }

    /// The given variables and no other.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self {
            variables,
            ..Self::default()
        }
    }

    /// The value of `name`, or `default` when it is unset. `expected` completes "NAME: expected …".
    pub fn or<T: FromStr + Display>(&mut self, name: &'static str, default: T, expected: &'static str) -> T {
        self.parse(name, expected).unwrap_or_else(|| {
            self.note(name, Some(default.to_string()), true);
            default
        })
    }

    /// The value of `name`, if it is set.
    pub fn optional<T: FromStr + Display>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        let value = self.parse(name, expected);
        if value.is_none() {
            self.note(name, None, true);
        }
        value
    }

    /// Ends the reading: the settings in effect, or everything that was wrong.
    pub fn finish(self) -> Result<Vec<Setting>, ConfigError> {
        if self.violations.is_empty() {
            Ok(self.settings)
        } else {
            Err(ConfigError(self.violations))
        }
    }

    fn parse<T: FromStr + Display>(&mut self, name: &'static str, expected: &'static str) -> Option<T> {
        if self.no_text.contains(name) {
            self.violations.push(Violation { name, expected });
        }
        let text = self
            .variables
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())?;
        if let Ok(value) = text.parse::<T>() {
            self.note(name, Some(value.to_string()), false);
            Some(value)
        } else {
            // The value itself is not repeated: it may be a secret put into the wrong variable.
            self.violations.push(Violation { name, expected });
            None
        }
    }

    fn note(&mut self, name: &'static str, value: Option<String>, is_default: bool) {
        self.settings.push(Setting {
            name,
            value,
            is_default,
        });
    }
}

/// What every service is configured with.
#[derive(Debug, Clone)]
pub struct BaseConfig {
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where `/metrics` and the health endpoints listen; `None`: beside the API.
    pub metrics_address: Option<SocketAddr>,
    /// How long the service goes on serving, not ready, after a stop signal, so that load balancers
    /// stop choosing it before it refuses connections.
    pub shutdown_delay: Duration,
    /// Origins whose pages may call the API from a browser.
    pub cors_origins: Origins,
    /// Which API documents are served.
    pub api_docs: ApiDocs,
    /// Whose word about clients and hosts is believed.
    pub trusted_proxies: TrustedProxies,
}

/// Which API documents a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiDocs {
    /// Its own and, where it is a gateway, those of the services behind it.
    #[default]
    Portal,
    /// Its own.
    PerService,
    /// None.
    Disabled,
}

/// The text is none of the three.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not Portal, PerService or Disabled")]
pub struct UnknownApiDocs;

impl FromStr for ApiDocs {
    type Err = UnknownApiDocs;

    fn from_str(text: &str) -> Result<Self, UnknownApiDocs> {
        match text {
            "Portal" => Ok(Self::Portal),
            "PerService" => Ok(Self::PerService),
            "Disabled" => Ok(Self::Disabled),
            _ => Err(UnknownApiDocs),
        }
    }
}

impl Display for ApiDocs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl BaseConfig {
    /// Reads the shared settings; `port` is the service's own default.
    pub fn read(env: &mut Env, port: u16) -> Self {
        let host = env.or(
            "HOST",
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "an IP address to listen on",
        );
        let port = env.or("PORT", port, "a port, 0 to 65535 (0: any free one)");
        let metrics_port = env.optional("METRICS_PORT", "a port, 0 to 65535 (0: any free one)");
        let delay = env.or("SHUTDOWN_DELAY_SECONDS", 0_u8, "whole seconds, 0 to 255");
        let cors_origins = env.or(
            "CORS_ORIGINS",
            Origins::default(),
            "origins such as https://app.example.com, separated by commas",
        );
        Self {
            address: SocketAddr::new(host, port),
            metrics_address: metrics_port.map(|port| SocketAddr::new(host, port)),
            shutdown_delay: Duration::from_secs(delay.into()),
            cors_origins,
            api_docs: env.or("API_DOCS", ApiDocs::default(), "Portal, PerService or Disabled"),
            trusted_proxies: TrustedProxies(env.or("TRUSTED_PROXIES", 0, "a number of proxies, 0 to 255")),
        }
    }
}

/// Whether something is on: `1`, or `0` for not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

impl Flag {
    /// What is allowed.
    pub const EXPECTED: &'static str = "0 or 1";
}

/// The text is neither of the two.
#[derive(Debug, thiserror::Error)]
#[error("not {}", Flag::EXPECTED)]
pub struct InvalidFlag;

impl FromStr for Flag {
    type Err = InvalidFlag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" => Ok(Self(false)),
            "1" => Ok(Self(true)),
            _ => Err(InvalidFlag),
        }
    }
}

impl Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u8::from(self.0).fmt(f)
    }
}

/// Base URL of another service of the platform: plain `http`, since encryption between pods is the network's
/// business (a mesh, or an encrypting CNI), and no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL of `path` (which starts with `/`) below this base.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = text.parse::<Url>().map_err(|_| InvalidBaseUrl)?;
        let is_base = url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
        if is_base {
            Ok(Self(url))
        } else {
            Err(InvalidBaseUrl)
        }
    }
}

impl Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(without_password(&self.0).trim_end_matches('/'))
    }
}

/// A URL as it may be shown.
pub(crate) fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    shown.into()
}

/// The text is not the base URL of a service.
#[derive(Debug, thiserror::Error)]
#[error("not an http URL without query")]
pub struct InvalidBaseUrl;

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn every_mistake_is_listed_at_once_without_the_value() {
        let mut env = Env::from_pairs([
            ("PORT", "hunter2"),
            ("HOST", "nowhere"),
            ("SHUTDOWN_DELAY_SECONDS", "-1"),
            ("TRUSTED_PROXIES", "many"),
        ]);
        BaseConfig::read(&mut env, 3001);
        let error = env.finish().unwrap_err().to_string();
        for name in ["PORT", "HOST", "SHUTDOWN_DELAY_SECONDS", "TRUSTED_PROXIES"] {
            assert!(error.contains(&format!("\n  {name}: expected ")), "{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_variable_that_is_no_text_is_a_mistake_where_it_is_read() {
        let broken = OsString::from_vec(vec![0xff]);
        let names = ["PORT", "CORS_ORIGINS", "SOMEBODY_ELSES"];
        let mut env = Env::from_os(names.map(|name| (name.into(), broken.clone())));
        BaseConfig::read(&mut env, 3001);
        let error = env.finish().unwrap_err();
        let told: Vec<_> = error.0.iter().map(|violation| violation.name).collect();
        assert_eq!(told, ["PORT", "CORS_ORIGINS"]);
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let mut env = Env::from_pairs([("PORT", ""), ("METRICS_PORT", " ")]);
        let config = BaseConfig::read(&mut env, 3001);
        assert_eq!((config.address.port(), config.metrics_address), (3001, None));
        let settings = env.finish().unwrap();
        assert!(settings.iter().all(|setting| setting.is_default), "{settings:?}");
    }

    #[test]
    fn the_password_of_a_url_is_not_shown() {
        let url: BaseUrl = "http://user:hunter2@auth:3001/".parse().unwrap();
        assert_eq!(url.to_string(), "http://user:***@auth:3001");
        assert_eq!(url.join("/v1/me"), "http://user:hunter2@auth:3001/v1/me");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in [
            "auth:3001",
            "ftp://auth",
            "http://auth/?a=1",
            "http://auth/#x",
            "/auth",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_flag_is_on_or_off_and_nothing_else() {
        let mut env = Env::from_pairs([("ON", "1"), ("OFF", "0"), ("ODD", "2")]);
        let mut read = |name| env.or(name, Flag(false), Flag::EXPECTED).0;
        assert_eq!(
            ["ON", "OFF", "ODD", "UNSET"].map(&mut read),
            [true, false, false, false]
        );
        assert_eq!(
            env.finish().unwrap_err().to_string(),
            "invalid configuration\n  ODD: expected 0 or 1"
        );
    }
}
