//! The header: how it is read, and how it is documented.

use std::fmt;

use http::{HeaderMap, HeaderName, StatusCode};
use utoipa::{
    IntoParams,
    openapi::{
        Header, HeaderBuilder, ObjectBuilder, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::Type,
    },
};

use crate::problem::{ApiError, FieldError};

/// Name of the header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The name as it is written.
const NAME: &str = "Idempotency-Key";

/// What the header may be, for the API documents: the key as it is, or as a string of RFC 8941.
pub const PATTERN: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;

const MAX_LENGTH: usize = 255;

/// A name that a client gives a request, so that its repeats are known. Kept out of logs: who has it can ask for the answer,
/// although only as the same user.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key that a request carries, if any.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value.as_bytes()).map(Some).ok_or_else(invalid),
            (Some(_), Some(_)) => Err(invalid()),
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let key = match text.strip_prefix('"') {
            Some(rest) => unquoted(rest)?,
            None => text.to_owned(),
        };
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        (is_visible && (1..=MAX_LENGTH).contains(&key.len())).then_some(Self(key))
    }

    /// The key itself, for the database.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// What a string of RFC 8941 stands for, of which only the opening quote has been read.
fn unquoted(rest: &str) -> Option<String> {
    let mut characters = rest.strip_suffix('"')?.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(
                characters
                    .next()
                    .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            ),
            _ => text.push(character),
        }
    }
    Some(text)
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(***)")
    }
}

fn invalid() -> ApiError {
    let detail = "the header Idempotency-Key must be given once, as 1 to 255 visible ASCII characters without spaces, \
                  either as they are or as a quoted string (RFC 8941)";
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail).with_errors(vec![FieldError {
        pointer: format!("/{NAME}"),
        detail: "is not 1 to 255 visible ASCII characters".into(),
    }])
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "A name of the client's own making for this request, such as a UUID \
                           (draft-ietf-httpapi-idempotency-key-header): 1 to 255 visible ASCII characters, as they are or \
                           as a quoted string. Sent again with the same key within a day, the request has no second \
                           effect and gets the first answer. A request that failed is tried again.";
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(PATTERN));
        // No example: everybody would try it out, each with another request.
        let parameter = ParameterBuilder::new()
            .name(NAME)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

/// Whether a parameter of an operation is the header.
pub(crate) fn is_key(parameter: &Parameter) -> bool {
    parameter.parameter_in == ParameterIn::Header && parameter.name == NAME
}

/// Name and description of the header that marks the answer to a repeat.
pub(crate) fn replayed() -> (String, Header) {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["true"]));
    let header = HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(
            "There if this was answered before, to a request with the same key",
        ))
        .build();
    ("Idempotency-Replayed".into(), header)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use jsonschema::Validator;
    use proptest::{prelude::*, string::string_regex};
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Option<String> {
        IdempotencyKey::parse(text.as_bytes()).map(|key| key.0)
    }

    fn documented() -> Validator {
        jsonschema::validator_for(&json!({"type": "string", "pattern": PATTERN})).unwrap()
    }

    proptest! {
        #[test]
        fn a_key_is_the_same_bare_and_quoted(key in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', r"\\").replace('"', r#"\""#));
            prop_assert_eq!(parse(&quoted), Some(key.clone()));
            // What begins as a string is one.
            prop_assume!(!key.starts_with('"'));
            prop_assert_eq!(parse(&key), Some(key));
        }

        #[test]
        fn what_is_read_is_what_is_documented(
            text in prop_oneof![
                string_regex(r#"["\\a]{0,6}"#).unwrap(),
                string_regex(r#""?[ -~é]{0,8}"?"#).unwrap(),
                string_regex(r#""?[!-~]{250,260}"?"#).unwrap(),
            ]
        ) {
            prop_assert_eq!(parse(&text).is_some(), documented().is_valid(&json!(text)), "{}", text);
        }

        #[test]
        fn no_bytes_end_the_process(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let key = IdempotencyKey::parse(&bytes);
            prop_assert!(key.is_none_or(|key| key.0.len() <= MAX_LENGTH));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(256);
        for text in [
            "", "\"", "\"\"", "a b", "\"a b\"", "\"a", "\"a\"b\"", r#""a\"#, r#""a\""#, r#""\a""#, "ä", &long,
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_header_is_read_once_and_never_shown() {
        let headers = |values: &[&'static str]| {
            values
                .iter()
                .map(|value| (HEADER, HeaderValue::from_static(value)))
                .collect::<HeaderMap>()
        };
        assert_eq!(IdempotencyKey::of(&headers(&[])).unwrap(), None);
        let key = IdempotencyKey::of(&headers(&["secret"])).unwrap();
        assert_eq!(format!("{key:?}"), "Some(IdempotencyKey(***))");
        let twice = IdempotencyKey::of(&headers(&["one", "two"])).unwrap_err();
        assert_eq!(
            (twice.status(), twice.code()),
            (StatusCode::BAD_REQUEST, "invalid_idempotency_key")
        );
    }
}
