//! The fields of one line, redacted as they come in.

use std::{borrow::Cow, error::Error, fmt, fmt::Write as _, ops::Range};

use tracing::field::{Field, Visit};

use super::redact::{REDACTED, is_card_number, is_secret_name, scrub};
use crate::cause::{causes, chain};

/// Room for the texts of an ordinary line, and for its fields: they are not to grow step by step.
const TEXTS: usize = 256;
const FIELDS: usize = 20;

/// An event's message and fields. All texts lie in one buffer: a line costs three allocations, not three a field.
pub(crate) struct Fields {
    texts: String,
    message: Range<usize>,
    level: Option<u64>,
    list: Vec<Stored>,
}

struct Stored {
    name: &'static str,
    value: StoredValue,
}

enum StoredValue {
    Bool(bool),
    Integer(i64),
    Natural(u64),
    Float(f64),
    Text(Range<usize>),
}

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Integer(i64),
    Natural(u64),
    Float(f64),
    Text(&'a str),
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            texts: String::with_capacity(TEXTS),
            message: 0..0,
            level: None,
            list: Vec::with_capacity(FIELDS),
        }
    }
}

impl Fields {
    /// Fields under the message `message`, which is no secret.
    pub(crate) fn of_message(message: &str) -> Self {
        let mut fields = Self::default();
        fields.message = fields.text(message);
        fields
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.texts[self.message.clone()]
    }

    /// The level that the event itself asked for.
    pub(crate) fn level(&self) -> Option<u64> {
        self.level
    }

    pub(crate) fn set_level(&mut self, level: Option<u64>) {
        self.level = level;
    }

    /// Adds a text under a name that is known to be harmless; nothing where there is none.
    pub(crate) fn add_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            let value = StoredValue::Text(self.text(text));
            self.list.push(Stored { name, value });
        }
    }

    pub(crate) fn add_natural(&mut self, name: &'static str, number: u64) {
        let value = StoredValue::Natural(number);
        self.list.push(Stored { name, value });
    }

    pub(crate) fn add_float(&mut self, name: &'static str, number: f64) {
        let value = StoredValue::Float(number);
        self.list.push(Stored { name, value });
    }

    /// The fields by name, each name once: the last value counts.
    pub(crate) fn sorted(&mut self) -> Vec<(&'static str, Value<'_>)> {
        // Stable, so that of one name the last comes last.
        self.list.sort_by_key(|field| field.name);
        let is_overwritten = |at: usize| {
            let next = self.list.get(at + 1);
            next.is_some_and(|next| next.name == self.list[at].name)
        };
        let last = self
            .list
            .iter()
            .enumerate()
            .filter(|(at, _)| !is_overwritten(*at));
        last.map(|(_, field)| (field.name, self.value(&field.value)))
            .collect()
    }

    fn value(&self, value: &StoredValue) -> Value<'_> {
        match value {
            StoredValue::Bool(value) => Value::Bool(*value),
            StoredValue::Integer(value) => Value::Integer(*value),
            StoredValue::Natural(value) => Value::Natural(*value),
            StoredValue::Float(value) => Value::Float(*value),
            StoredValue::Text(range) => Value::Text(&self.texts[range.clone()]),
        }
    }

    /// Stores a text without its secrets.
    fn text(&mut self, text: &str) -> Range<usize> {
        let start = self.texts.len();
        self.texts.push_str(&scrub(text));
        start..self.texts.len()
    }

    /// Stores what `value` writes, without its secrets.
    fn debug(&mut self, value: &dyn fmt::Debug) -> Range<usize> {
        let start = self.texts.len();
        // Only a broken `Debug` fails, and what it wrote until then still counts.
        let _ = write!(self.texts, "{value:?}");
        if let Cow::Owned(clean) = scrub(&self.texts[start..]) {
            self.texts.replace_range(start.., &clean);
        }
        start..self.texts.len()
    }

    fn set(&mut self, name: &'static str, value: StoredValue) {
        let is_card = match value {
            StoredValue::Integer(number) => is_card_number(number),
            StoredValue::Natural(number) => number.try_into().is_ok_and(is_card_number),
            _ => false,
        };
        let value = if is_card || is_secret_name(name) {
            StoredValue::Text(self.text(REDACTED))
        } else {
            value
        };
        match (name, value) {
            ("message", StoredValue::Text(text)) => self.message = text,
            ("level", StoredValue::Natural(level)) => self.level = Some(level),
            // pino's name for errors, however the call site spelt it.
            ("error" | "err", value) => self.list.push(Stored {
                name: "err.message",
                value,
            }),
            (name, value) => {
                let name = name.trim_start_matches("r#");
                self.list.push(Stored { name, value });
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), StoredValue::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), StoredValue::Integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), StoredValue::Natural(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), StoredValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = self.text(value);
        self.set(field.name(), StoredValue::Text(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = self.debug(value);
        self.set(field.name(), StoredValue::Text(text));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let message = value.to_string();
        let text = self.text(&message);
        self.set(field.name(), StoredValue::Text(text));
        let causes = causes(value);
        if !causes.is_empty() {
            self.add_text("err.stack", Some(&chain(&message, &causes)));
        }
    }
}
