//! W3C Baggage, passed on as it came in.
//!
//! OpenTelemetry's own propagator reads it and writes it anew, and what comes out is something else: it does not encode
//! `%` (`a=%2541` goes on as `a=%41`, which is `A`), ends a value at its second `=`, writes properties decoded (a comma
//! in one begins a member of its own), and keeps no order. Nothing here changes baggage, so its text goes on.

use std::sync::{Arc, LazyLock};

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};

/// The name of the header.
pub(crate) const BAGGAGE: &str = "baggage";

/// What must be passed on whole is this long and has so many members, and more need not be: W3C Baggage, section 3.3.2.
const MAX_BYTES: usize = 8192;
const MAX_MEMBERS: usize = 64;

/// Puts the text of the header into the context, and back into headers.
#[derive(Debug)]
pub(super) struct BaggagePropagator;

/// The value of the header, within the limits.
#[derive(Debug)]
struct Baggage(Arc<str>);

impl TextMapPropagator for BaggagePropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        if let Some(Baggage(text)) = context.get() {
            injector.set(BAGGAGE, text.to_string());
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let headers = extractor.get_all(BAGGAGE).unwrap_or_default();
        let text = within_limits(&headers);
        if text.is_empty() {
            context.clone()
        } else {
            context.with_value(Baggage(text.into()))
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [BAGGAGE.to_owned()]);
        FieldIter::new(FIELDS.as_slice())
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
    use super::*;

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
