//! Request bodies, held against the documented schema itself, so that documents and rules are one.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, RwLock},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
};
use http::{StatusCode, header};
use jsonschema::{Validator, error::ValidationErrorKind};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::problem::{ApiError, FieldError};

/// A JSON body that satisfies the schema of `T`.
#[derive(Debug, Clone)]
pub struct ValidJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema + 'static> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        read(request, state).await.map(|(_, value)| Self(value))
    }
}

/// The body as it came, and the value that it stands for.
pub(crate) async fn read<S, T>(request: Request, state: &S) -> Result<(Bytes, T), ApiError>
where
    S: Send + Sync,
    T: DeserializeOwned + ToSchema + 'static,
{
    if !is_json(request.headers()) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be application/json, and Content-Type must say so",
        ));
    }
    let body = Bytes::from_request(request, state).await?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not JSON: {error}"),
        )
    })?;
    let mut errors = violations(validator::<T>()?.as_ref(), &value);
    find_null_characters("", &value, &mut errors);
    if !errors.is_empty() {
        return Err(invalid_body(errors));
    }
    // What the schema cannot say, such as a date that does not exist, serde still refuses.
    match serde_json::from_value(value) {
        Ok(value) => Ok((body, value)),
        Err(error) => Err(invalid_body(vec![FieldError {
            pointer: String::new(),
            detail: error.to_string(),
        }])),
    }
}

fn invalid_body(errors: Vec<FieldError>) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_body",
        "the body breaks the documented schema",
    )
    .with_errors(errors)
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "the body is larger than this service accepts",
            ),
            status => Self::new(status, "unreadable_body", rejection.body_text()),
        }
    }
}

fn is_json(headers: &http::HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

pub(crate) fn violations(validator: &Validator, value: &Value) -> Vec<FieldError> {
    let mut errors: Vec<_> = validator
        .iter_errors(value)
        .flat_map(|error| {
            let at = error.instance_path().to_string();
            // Masked: a wrong value may be a password, and problems end in logs of clients.
            let detail = error.masked_with("the value").to_string();
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    vec![FieldError {
                        pointer: child(&at, property.as_str().unwrap_or_default()),
                        detail: "is required".into(),
                    }]
                }
                ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                    .iter()
                    .map(|name| FieldError {
                        pointer: child(&at, name),
                        detail: "is not known".into(),
                    })
                    .collect(),
                ValidationErrorKind::Format { format } => {
                    vec![FieldError {
                        pointer: at,
                        detail: format!("is not a valid {}", name_of(format)),
                    }]
                }
                _ => vec![FieldError { pointer: at, detail }],
            }
        })
        .collect();
    errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    errors
}

/// What people call a format of JSON Schema.
fn name_of(format: &str) -> &str {
    match format {
        "email" | "idn-email" => "e-mail address",
        other => other,
    }
}

/// U+0000 is a character of JSON's strings, but PostgreSQL stores none, and where it is stored C programs end there.
fn find_null_characters(pointer: &str, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::String(text) if text.contains('\0') => errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail: "must not contain the character U+0000".into(),
        }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_null_characters(&format!("{pointer}/{index}"), item, errors);
            }
        }
        Value::Object(properties) => {
            for (name, value) in properties {
                find_null_characters(&child(pointer, name), value, errors);
            }
        }
        _ => {}
    }
}

pub(crate) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The compiled schema of `T`, compiled once in the life of the process.
fn validator<T: ToSchema + 'static>() -> Result<Arc<Validator>, ApiError> {
    static COMPILED: LazyLock<RwLock<HashMap<TypeId, Arc<Validator>>>> = LazyLock::new(RwLock::default);
    let key = TypeId::of::<T>();
    let known = COMPILED
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .get(&key)
        .cloned();
    if let Some(validator) = known {
        return Ok(validator);
    }
    let validator = Arc::new(compile::<T>().map_err(ApiError::internal)?);
    COMPILED
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .insert(key, Arc::clone(&validator));
    Ok(validator)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the schema of a request cannot be written as JSON")]
    Serialize(#[from] serde_json::Error),
    #[error("the schema of a request is invalid: {0}")]
    Invalid(#[from] jsonschema::ValidationError<'static>),
}

fn compile<T: ToSchema>() -> Result<Validator, SchemaError> {
    let mut referenced = Vec::new();
    T::schemas(&mut referenced);
    build(serde_json::to_value(T::schema())?, referenced)
}

/// Compiles a schema with those that it refers to.
pub(crate) fn build(
    mut schema: Value,
    referenced: Vec<(String, RefOr<Schema>)>,
) -> Result<Validator, SchemaError> {
    let schemas = referenced
        .into_iter()
        .map(|(name, schema)| Ok((name, serde_json::to_value(schema)?)))
        .collect::<Result<serde_json::Map<_, _>, serde_json::Error>>()?;
    schema["components"] = serde_json::json!({ "schemas": schemas });
    Ok(jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)?)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Order {
        #[schema(format = "email")]
        email: String,
        #[schema(min_length = 3)]
        secret: Option<String>,
        lines: Vec<Line>,
    }

    #[derive(Deserialize, ToSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Line {
        #[schema(minimum = 1)]
        quantity: u32,
    }

    fn pointers(value: &Value) -> Vec<String> {
        let validator = compile::<Order>().unwrap();
        violations(&validator, value)
            .into_iter()
            .map(|error| error.pointer)
            .collect()
    }

    #[test]
    fn a_good_body_passes() {
        assert_eq!(
            pointers(&json!({"email": "a@example.com", "lines": [{"quantity": 1}]})),
            Vec::<String>::new()
        );
        assert_eq!(
            pointers(&json!({"email": "a@example.com", "secret": null, "lines": []})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_wrong_part_is_pointed_at() {
        let body = json!({"email": "nobody", "lines": [{"quantity": 1}, {"quantity": 0}, {}], "a/b": 1});
        assert_eq!(
            pointers(&body),
            ["/a~1b", "/email", "/lines/1/quantity", "/lines/2/quantity"]
        );
        assert_eq!(pointers(&json!([])), [""]);
    }

    #[test]
    fn a_null_character_is_pointed_at() {
        let mut errors = Vec::new();
        let body = json!({"a": "fine", "b": ["x", {"c": "a\u{0}b"}]});
        find_null_characters("", &body, &mut errors);
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/b/1/c"]);
    }

    #[test]
    fn a_wrong_value_is_not_repeated() {
        let validator = compile::<Order>().unwrap();
        let errors = violations(
            &validator,
            &json!({"email": "a@example.com", "lines": [], "secret": "hu"}),
        );
        assert_eq!(errors.len(), 1);
        assert!(!errors[0].detail.contains("hu"), "{}", errors[0].detail);
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        let headers = |value: &'static str| {
            http::HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(value))])
        };
        assert!(is_json(&headers("application/json; charset=utf-8")));
        assert!(is_json(&headers("application/merge-patch+json")));
        assert!(!is_json(&headers("text/json")));
        assert!(!is_json(&http::HeaderMap::new()));
    }
}
