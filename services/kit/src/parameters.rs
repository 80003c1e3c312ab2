//! Parameters of the path and of the query, held against the documented schemas before a handler sees the request, so that
//! documents and rules are one. What the document does not name is refused, as in a body.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Query, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    middleware::{self, Next},
    response::Response,
};
use http::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use utoipa::openapi::{
    RefOr, Required, Schema,
    path::{Operation, Parameter, ParameterIn, PathItem},
};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::{
    json::{self, SchemaError},
    problem::{ApiError, FieldError},
};

/// The route, refusing what breaks its description.
pub(crate) fn guard<S: Clone + Send + Sync + 'static>(route: UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S> {
    let (schemas, paths, methods) = route;
    let referenced: Arc<[_]> = schemas.as_slice().into();
    let rules: HashMap<_, _> = paths
        .paths
        .values()
        .flat_map(operations)
        .map(|(method, operation)| (method, Rules::of(operation, &referenced)))
        .collect();
    let methods = methods.route_layer(middleware::from_fn_with_state(Arc::new(rules), check));
    (schemas, paths, methods)
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        // It is answered as GET is.
        (Method::HEAD, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

async fn check(
    State(rules): State<Arc<HashMap<Method, Rules>>>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(rules) = rules.get(request.method()) {
        let path = path?;
        let given = path.iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        rules.path.check(given.collect()).await?;
        let Query(given) = Query::try_from_uri(request.uri())?;
        rules.query.check(given).await?;
    }
    Ok(next.run(request).await)
}

/// What an operation takes besides its body.
struct Rules {
    path: Place,
    query: Place,
}

impl Rules {
    fn of(operation: &Operation, referenced: &Arc<[(String, RefOr<Schema>)]>) -> Self {
        let place = |place: ParameterIn, code, detail| {
            let parameters = operation
                .parameters
                .iter()
                .flatten()
                .filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == place => Some(parameter.clone()),
                    _ => None,
                });
            Place::new(code, detail, parameters.collect(), referenced)
        };
        Self {
            path: place(
                ParameterIn::Path,
                "invalid_path",
                "the path breaks the documented schema",
            ),
            query: place(
                ParameterIn::Query,
                "invalid_query",
                "the query breaks the documented schema",
            ),
        }
    }
}

/// The parameters of one place of the request.
struct Place {
    code: &'static str,
    detail: &'static str,
    parameters: Vec<Parameter>,
    /// What the parameters' schemas refer to.
    referenced: Arc<[(String, RefOr<Schema>)]>,
    /// At the first request that gives any or lacks one.
    compiled: OnceCell<Compiled>,
}

/// The parameters as one object, and what it must be.
struct Compiled {
    schema: Value,
    validator: Validator,
}

impl Place {
    fn new(
        code: &'static str,
        detail: &'static str,
        parameters: Vec<Parameter>,
        referenced: &Arc<[(String, RefOr<Schema>)]>,
    ) -> Self {
        // Hardly one refers to anything, and a route's schemas, with those of its answers, take many times its own size.
        let referenced = if parameters.iter().any(refers) {
            referenced.clone()
        } else {
            Arc::default()
        };
        Self {
            code,
            detail,
            parameters,
            referenced,
            compiled: OnceCell::new(),
        }
    }

    async fn check(&self, given: Vec<(String, String)>) -> Result<(), ApiError> {
        if given.is_empty() && !self.parameters.iter().any(is_required) {
            return Ok(());
        }
        let compiled = self
            .compiled
            .get_or_try_init(async || self.compile())
            .await
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let mut values = Map::new();
        let mut errors = Vec::new();
        for (name, text) in given {
            let value = typed(&compiled.schema["properties"][&name], text);
            let pointer = json::child("", &name);
            if values.insert(name, value).is_some() {
                errors.push(FieldError {
                    pointer,
                    detail: "is given more than once".into(),
                });
            }
        }
        errors.extend(json::violations(&compiled.validator, &Value::Object(values)));
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::BAD_REQUEST, self.code, self.detail).with_errors(errors))
    }

    fn compile(&self) -> Result<Compiled, SchemaError> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in &self.parameters {
            properties.insert(parameter.name.clone(), serde_json::to_value(&parameter.schema)?);
            if is_required(parameter) {
                required.push(parameter.name.as_str());
            }
        }
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        Ok(Compiled {
            validator: json::build(schema.clone(), self.referenced.to_vec())?,
            schema,
        })
    }
}

fn is_required(parameter: &Parameter) -> bool {
    parameter.required == Required::True
}

/// Whether the parameter's schema refers to another. One that cannot be written refers to nothing: it is told of when it is
/// compiled.
fn refers(parameter: &Parameter) -> bool {
    serde_json::to_string(&parameter.schema).is_ok_and(|schema| schema.contains(r#""$ref""#))
}

/// What a text in a URL stands for where the schema wants no text. What is of another type stays a text, and is refused.
fn typed(schema: &Value, text: String) -> Value {
    let parsed = match schema["type"].as_str() {
        // Within 64 bits, which is what a handler has for it.
        Some("integer") => text.parse::<i64>().map(Value::from).ok(),
        Some("number") => text.parse::<f64>().map(Value::from).ok(),
        Some("boolean") => text.parse::<bool>().map(Value::from).ok(),
        _ => None,
    };
    parsed.unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;
    use utoipa::{
        ToSchema,
        openapi::{
            KnownFormat, ObjectBuilder, PathsBuilder, Ref, SchemaFormat,
            path::{HttpMethod, OperationBuilder, ParameterBuilder},
            schema::Type,
        },
    };

    use super::*;

    /// Refers to another schema, as a parameter may.
    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Order {
        Up,
        Down,
    }

    fn parameter(
        name: &str,
        place: ParameterIn,
        required: Required,
        schema: impl Into<RefOr<Schema>>,
    ) -> Parameter {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .schema(Some(schema))
            .build()
    }

    fn number() -> ObjectBuilder {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .maximum(Some(200))
    }

    /// A route that takes everything, and answers with what it was given.
    fn route() -> axum::Router {
        let id = ObjectBuilder::new().schema_type(Type::String).max_length(Some(3));
        let flag = ObjectBuilder::new().schema_type(Type::Boolean);
        let operation = OperationBuilder::new()
            .parameter(parameter("id", ParameterIn::Path, Required::True, id))
            .parameter(parameter("limit", ParameterIn::Query, Required::True, number()))
            .parameter(parameter("all", ParameterIn::Query, Required::False, flag))
            .parameter(parameter(
                "order",
                ParameterIn::Query,
                Required::False,
                Ref::from_schema_name(Order::name()),
            ));
        let paths = PathsBuilder::new()
            .path("/x/{id}", PathItem::new(HttpMethod::Get, operation))
            .build();
        let mut schemas = vec![(
            Order::name().into_owned(),
            <Order as utoipa::PartialSchema>::schema(),
        )];
        Order::schemas(&mut schemas);
        let (_, _, methods) = guard((schemas, paths, get(|| async { "fine" })));
        axum::Router::new().route("/x/{id}", methods)
    }

    /// Status, code and pointers of the answer.
    async fn ask(target: &str) -> (u16, Value, Vec<Value>) {
        let request = Request::get(target).body(Body::empty()).unwrap();
        let answer = route().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let pointers = errors.iter().map(|error| error["pointer"].clone()).collect();
        (status, body["code"].clone(), pointers)
    }

    #[tokio::test]
    async fn what_the_document_allows_passes() {
        for target in ["/x/abc?limit=1", "/x/%C3%A4bc?limit=200&all=true&order=up"] {
            assert_eq!(ask(target).await.0, 200, "{target}");
        }
    }

    #[tokio::test]
    async fn a_schema_is_compiled_for_what_is_given_or_missing_alone() {
        let place = |parameters| Place::new("code", "detail", parameters, &Arc::default());
        let limit = |required| parameter("limit", ParameterIn::Query, required, number());
        let given = || vec![("limit".to_owned(), "1".to_owned())];
        for (parameters, given, is_fine, is_compiled) in [
            (vec![], vec![], true, false),
            (vec![], given(), false, true),
            (vec![limit(Required::False)], vec![], true, false),
            (vec![limit(Required::False)], given(), true, true),
            (vec![limit(Required::True)], vec![], false, true),
        ] {
            let place = place(parameters);
            assert_eq!(place.check(given).await.is_ok(), is_fine);
            assert_eq!(place.compiled.initialized(), is_compiled);
        }
    }

    #[tokio::test]
    async fn what_breaks_the_document_is_pointed_at() {
        let cases = [
            ("/x/abcd?limit=1", "invalid_path", "/id"),
            ("/x/%FF?limit=1", "invalid_path", ""),
            ("/x/a", "invalid_query", "/limit"),
            ("/x/a?limit=0", "invalid_query", "/limit"),
            ("/x/a?limit=201", "invalid_query", "/limit"),
            ("/x/a?limit=", "invalid_query", "/limit"),
            ("/x/a?limit=1.5", "invalid_query", "/limit"),
            ("/x/a?limit=99999999999999999999", "invalid_query", "/limit"),
            ("/x/a?limit=1&limit=2", "invalid_query", "/limit"),
            ("/x/a?limit=1&all=yes", "invalid_query", "/all"),
            ("/x/a?limit=1&order=sideways", "invalid_query", "/order"),
            ("/x/a?limit=1&of%2Fset=1", "invalid_query", "/of~1set"),
        ];
        for (target, code, pointer) in cases {
            let expected: Vec<Value> = [pointer]
                .into_iter()
                .filter(|it| !it.is_empty())
                .map(Value::from)
                .collect();
            assert_eq!(ask(target).await, (400, code.into(), expected), "{target}");
        }
    }
}
