//! W3C Baggage, passed on as it came in.
//!
//! OpenTelemetry's own propagator reads it and writes it anew, and what comes out is something else: it does not encode
//! `%` (`a=%2541` goes on as `a=%41`, which is `A`), ends a value at its second `=`, writes properties decoded (a comma
//! in one begins a member of its own), and keeps no order. So it is for who reads or changes baggage; as long as nobody
//! changes it, its text goes on.

use std::{
    ptr,
    sync::{Arc, LazyLock},
};

use opentelemetry::{
    Context,
    baggage::BaggageExt as _,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use opentelemetry_sdk::propagation;

/// The name of the header.
pub(crate) const BAGGAGE: &str = "baggage";

/// What must be passed on whole is this long and has so many members, and more need not be: W3C Baggage, section 3.3.2.
const MAX_BYTES: usize = 8192;
const MAX_MEMBERS: usize = 64;

/// Puts the text of the header into the context, and back into headers.
#[derive(Debug, Default)]
pub(super) struct BaggagePropagator(propagation::BaggagePropagator);

/// Baggage as it came in.
#[derive(Debug)]
struct Incoming {
    /// The value of the header, within the limits.
    text: Arc<str>,
    /// Has what was read of it.
    context: Context,
}

impl TextMapPropagator for BaggagePropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        match context.get() {
            Some(Incoming { text, context: read }) if ptr::eq(context.baggage(), read.baggage()) => {
                injector.set(BAGGAGE, text.to_string());
            }
            _ => self.0.inject_context(context, injector),
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let headers = extractor.get_all(BAGGAGE).unwrap_or_default();
        let text = within_limits(&headers);
        if text.is_empty() {
            return context.clone();
        }
        let read = self.0.extract_with_context(context, &Header(&text));
        read.with_value(Incoming {
            text: text.into(),
            context: read.clone(),
        })
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [BAGGAGE.to_owned()]);
        FieldIter::new(FIELDS.as_slice())
    }
}

/// The one header with this value.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        (name == BAGGAGE).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![BAGGAGE]
    }
}

/// The members of all `headers` one after the other, each whole, without those that are none or have no room.
fn within_limits(headers: &[&str]) -> String {
    let members = headers.iter().flat_map(|header| header.split(','));
    let members = members.map(str::trim).filter(|member| member.contains('='));
    let mut text = String::new();
    for member in members.take(MAX_MEMBERS) {
        let comma = if text.is_empty() { "" } else { "," };
        if text.len() + comma.len() + member.len() <= MAX_BYTES {
            text.push_str(comma);
            text.push_str(member);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn a_service_reads_it_and_what_it_changes_goes_on_too() {
        let propagator = BaggagePropagator::default();
        let context = propagator.extract_with_context(&Context::new(), &Header("tier=gold=1,team=%41"));
        let sent = |context: &Context| {
            let mut headers = HashMap::new();
            propagator.inject_context(context, &mut headers);
            headers.remove(BAGGAGE)
        };
        let team = context.baggage().get("team").map(|team| team.as_str().to_owned());
        assert_eq!(team.as_deref(), Some("A"));
        let inner = context.with_value("something else");
        assert_eq!(sent(&inner).as_deref(), Some("tier=gold=1,team=%41"));
        let changed = inner.with_baggage([KeyValue::new("tier", "silver")]);
        assert_eq!(sent(&changed).as_deref(), Some("tier=silver"));
        assert_eq!(sent(&inner.with_cleared_baggage()), None);
    }

    #[test]
    fn what_has_room_goes_on_and_nothing_is_cut_in_two() {
        let large = format!("a={}", "x".repeat(MAX_BYTES - 2));
        for (headers, passed_on) in [
            (&["a=%2541;p=%2C,b=c==", " d=1 "][..], "a=%2541;p=%2C,b=c==,d=1"),
            (&["", ",;,none,a=1,,"], "a=1"),
            (&[large.as_str(), "b=1"], large.as_str()),
            (&[&format!("{large}x"), "b=1"], "b=1"),
        ] {
            assert_eq!(within_limits(headers), passed_on);
        }
        let many: Vec<_> = (0..=MAX_MEMBERS).map(|member| format!("{member}=")).collect();
        assert_eq!(within_limits(&[&many.join(",")]), many[..MAX_MEMBERS].join(","));
    }
}
