//! The environment, parsed once into typed settings; every malformed variable is reported, not the first.

mod exporter;

use std::{borrow::Cow, ffi::OsString, io::IsTerminal, str::FromStr, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;

use crate::{
    EnvProblem, InitError,
    log::{LogFormat, REDACTED, is_secret_name, scrub},
    sentry::SentrySettings,
    trace::{ALL_PROPAGATORS, SpanLimits},
};
pub(crate) use exporter::ExporterKind;

/// Everything that the environment decides.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) sdk_disabled: bool,
    pub(crate) exporter: ExporterKind,
    pub(crate) propagators: Vec<PropagatorKind>,
    pub(crate) sampler: Sampler,
    pub(crate) queue: QueueSettings,
    pub(crate) span_limits: SpanLimits,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_directives: String,
    pub(crate) sentry: SentrySettings,
    /// How many proxies of our own stand before the service; `None`: the service knows.
    pub(crate) trusted_proxies: Option<u8>,
    /// Whether `/debug/*` is served.
    pub(crate) debug_endpoints: bool,
    /// Malformed variables that a service can do without: their defaults hold, and each is said once.
    pub(crate) warnings: Vec<EnvProblem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PropagatorKind {
    TraceContext,
    Baggage,
}

/// The batch processor's bounds. Defaults: the specification of `OTEL_BSP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueSettings {
    pub(crate) max_queue_size: usize,
    pub(crate) max_export_batch_size: usize,
    pub(crate) scheduled_delay: Duration,
}

/// A variable's lookup: the process environment, or a table in tests.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    pub(crate) fn from_env() -> Result<Self, InitError> {
        Self::parse(&|name| std::env::var_os(name).map(text)).map_err(InitError::Environment)
    }

    pub(crate) fn parse(lookup: Lookup<'_>) -> Result<Self, Vec<EnvProblem>> {
        let mut env = Env::new(lookup);
        let resource = env.resource();
        let settings = Self {
            sdk_disabled: env.boolean("OTEL_SDK_DISABLED"),
            exporter: env.exporter(),
            propagators: env.propagators(),
            sampler: env.sampler(),
            queue: env.queue(),
            span_limits: SpanLimits::read(&mut env),
            sentry: SentrySettings::read(&mut env, &resource),
            resource,
            log_format: env.log_format(),
            log_directives: env.log_directives(),
            trusted_proxies: env.read(
                "TRUSTED_PROXIES",
                None,
                "a number of proxies, 0 to 255",
                |value| value.parse().ok().map(Some),
            ),
            debug_endpoints: env.read("DEBUG_ENDPOINTS", false, "0 or 1", flag),
            warnings: env.warnings,
        };
        if env.problems.is_empty() {
            Ok(settings)
        } else {
            Err(env.problems)
        }
    }
}

/// Reads variables and collects what is wrong with them. An empty value counts as unset, as the
/// OpenTelemetry specification demands.
pub(crate) struct Env<'a> {
    lookup: Lookup<'a>,
    problems: Vec<EnvProblem>,
    warnings: Vec<EnvProblem>,
}

impl<'a> Env<'a> {
    pub(crate) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value of `name`, unless it is unset, or no text: that is said, and what it holds may be a key.
    pub(crate) fn get(&mut self, name: &'static str) -> Option<String> {
        let value = (self.lookup)(name)?;
        if value.contains(char::REPLACEMENT_CHARACTER) {
            self.warn(name, REDACTED, "text in UTF-8; it counts as unset");
            return None;
        }
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn refuse(&mut self, name: &'static str, value: &str, expected: impl Into<String>) {
        self.problems.push(EnvProblem {
            name,
            value: shown(value),
            expected: expected.into(),
        });
    }

    /// The value of `name` if `parse` takes it, `default` if unset; else `default` and a problem.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.read_or(name, default, parse, |env, value| {
            env.refuse(name, value, expected);
        })
    }

    /// As [`Env::read`], for what a service can do without: a wrong value costs a warning, not the start.
    pub(crate) fn read_or_warn<T>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.read_or(name, default, parse, |env, value| {
            env.warn(name, value, expected);
        })
    }

    fn read_or<T>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
        complain: impl FnOnce(&mut Self, &str),
    ) -> T {
        let Some(value) = self.get(name) else {
            return default;
        };
        parse(&value).unwrap_or_else(|| {
            complain(self, &value);
            default
        })
    }

    pub(crate) fn warn(&mut self, name: &'static str, value: &str, expected: &str) {
        self.warnings.push(EnvProblem {
            name,
            value: shown(value),
            expected: expected.to_owned(),
        });
    }

    fn boolean(&mut self, name: &'static str) -> bool {
        self.read(name, false, "true or false", |value| {
            value.to_ascii_lowercase().parse().ok()
        })
    }

    fn positive<T: FromStr + PartialOrd + Default>(&mut self, name: &'static str, default: T) -> T {
        self.read(name, default, "a whole number above 0", |value| {
            value.parse().ok().filter(|number| *number > T::default())
        })
    }

    fn propagators(&mut self) -> Vec<PropagatorKind> {
        let default = ALL_PROPAGATORS.to_vec();
        self.read(
            "OTEL_PROPAGATORS",
            default,
            "a list of tracecontext and baggage, or none",
            |value| {
                if value == "none" {
                    return Some(Vec::new());
                }
                let mut kinds = Vec::new();
                for name in value.split(',') {
                    let kind = match name.trim() {
                        "tracecontext" => PropagatorKind::TraceContext,
                        "baggage" => PropagatorKind::Baggage,
                        _ => return None,
                    };
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                Some(kinds)
            },
        )
    }

    fn sampler(&mut self) -> Sampler {
        let ratio = self.read("OTEL_TRACES_SAMPLER_ARG", 1.0, "a number from 0 to 1", |value| {
            value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        });
        let parent_based = |root| Sampler::ParentBased(Box::new(root));
        self.read(
            "OTEL_TRACES_SAMPLER",
            parent_based(Sampler::AlwaysOn),
            "always_on, always_off or traceidratio, each also with the prefix parentbased_",
            |value| {
                let (name, based) = match value.strip_prefix("parentbased_") {
                    Some(name) => (name, true),
                    None => (value, false),
                };
                let root = match name {
                    "always_on" => Sampler::AlwaysOn,
                    "always_off" => Sampler::AlwaysOff,
                    "traceidratio" => Sampler::TraceIdRatioBased(ratio),
                    _ => return None,
                };
                Some(if based { parent_based(root) } else { root })
            },
        )
    }

    fn queue(&mut self) -> QueueSettings {
        let max_queue_size = self.positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048);
        QueueSettings {
            max_queue_size,
            max_export_batch_size: self
                .positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
                .min(max_queue_size),
            scheduled_delay: Duration::from_millis(self.positive("OTEL_BSP_SCHEDULE_DELAY", 5000)),
        }
    }

    /// `OTEL_SERVICE_NAME` wins over a `service.name` among the attributes, as the specification says.
    fn resource(&mut self) -> Vec<KeyValue> {
        let expected = "key=value pairs separated by commas, values percent-encoded";
        let mut attributes = self.read(
            "OTEL_RESOURCE_ATTRIBUTES",
            Vec::new(),
            expected,
            resource_attributes,
        );
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            attributes.retain(|attribute| attribute.key.as_str() != "service.name");
            attributes.push(KeyValue::new("service.name", name));
        }
        attributes
    }

    fn log_format(&mut self) -> LogFormat {
        let default = if std::io::stdout().is_terminal() {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        };
        self.read("LOG_FORMAT", default, "json or pretty", |value| match value {
            "json" => Some(LogFormat::Json),
            "pretty" => Some(LogFormat::Pretty),
            _ => None,
        })
    }

    fn log_directives(&mut self) -> String {
        let directives = self.get("RUST_LOG").unwrap_or_else(|| "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&directives) {
            self.refuse(
                "RUST_LOG",
                &directives,
                format!("filter directives such as info,tower=debug ({error})"),
            );
        }
        directives
    }
}

/// The text of a value. What is none keeps a mark, by which [`Env::get`] knows it.
pub(crate) fn text(value: OsString) -> String {
    value
        .into_string()
        .unwrap_or_else(|value| value.to_string_lossy().into_owned())
}

/// `1` or `0`.
pub(crate) fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// A wrong value as people may see it, without the secrets that it may hold all the same: pairs under a secret's name,
/// texts that look like one, and what stands before the host of a URL, which need not be well formed.
fn shown(value: &str) -> String {
    let pairs: Vec<_> = value.split(',').map(shown_pair).collect();
    let shown = pairs.join(",");
    match shown.rsplit_once('@') {
        Some((user, host)) if !user.ends_with(REDACTED) => format!("{REDACTED}@{host}"),
        _ => shown,
    }
}

fn shown_pair(pair: &str) -> Cow<'_, str> {
    if let Some((key, _)) = pair.split_once('=')
        && is_secret_name(key)
    {
        return format!("{key}={REDACTED}").into();
    }
    let decoded = percent_decode_str(pair).decode_utf8_lossy();
    match scrub(&decoded) {
        Cow::Owned(clean) => clean.into(),
        Cow::Borrowed(_) => pair.into(),
    }
}

/// Attributes of the resource go with every span and event, so their secrets end here.
fn resource_attributes(text: &str) -> Option<Vec<KeyValue>> {
    let attribute = |(key, value): (&str, String)| {
        let value = if is_secret_name(key) {
            REDACTED.to_owned()
        } else {
            scrub(&value).into_owned()
        };
        KeyValue::new(key.to_owned(), value)
    };
    Some(pairs(text)?.into_iter().map(attribute).collect())
}

/// `key=value,…`, values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(&str, String)>> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let key = key.trim();
            (!key.is_empty()).then(|| (key, value.into_owned()))
        })
        .collect()
}
