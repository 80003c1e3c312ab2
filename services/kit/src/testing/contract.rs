//! What every endpoint of every service must do, taken from the API document: a new route cannot be
//! forgotten.

use http::Method;
use serde_json::{Value, json};

use super::{Answer, Running, Setup};
use crate::{docs, idempotency, service::Service, token::SigningKey};

/// Stops the test unless `committed` is the document of `S`, and every field in it has an example.
#[track_caller]
pub fn assert_committed<S: Service>(committed: &str) {
    let generated = docs::document::<S>().to_pretty_json().unwrap_or_default() + "\n";
    assert!(
        generated == committed,
        "services/{0}/openapi.json is not the document of the code; bring it up to date by\n  \
         cargo run -p {1} -- openapi > services/{0}/openapi.json",
        S::NAME,
        S::BINARY,
    );
    let document = serde_json::from_str(committed).unwrap_or_default();
    assert_eq!(
        without_example(&document),
        [""; 0],
        "these fields have no example"
    );
}

/// The fields of the schemas of a document that nothing shows a value of.
fn without_example(document: &Value) -> Vec<String> {
    let schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    schemas
        .flat_map(|(name, schema)| fields(schema).map(move |(field, schema)| (name, field, schema)))
        .filter(|(_, _, schema)| !shows_a_value(document, schema))
        .map(|(name, field, _)| format!("{name}.{field}"))
        .collect()
}

/// The fields of a schema, and of those that it is put together of.
fn fields(schema: &Value) -> Box<dyn Iterator<Item = (&String, &Value)> + '_> {
    let own = schema["properties"].as_object().into_iter().flatten();
    Box::new(own.chain(parts(schema).flat_map(fields)))
}

fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["allOf", "oneOf", "anyOf"].map(|name| schema[name].as_array());
    lists
        .into_iter()
        .flatten()
        .flatten()
        .filter(|part| part["type"] != "null")
}

fn shows_a_value(document: &Value, schema: &Value) -> bool {
    let schema = resolve(document, schema);
    // The fields of an object are looked at one by one.
    let shown = ["example", "enum", "const", "properties"]
        .iter()
        .any(|key| schema.get(key).is_some());
    let mut parts = parts(schema).chain(schema.get("items")).peekable();
    shown || parts.peek().is_some() && parts.all(|part| shows_a_value(document, part))
}

/// Stops the test unless each documented operation refuses what it must refuse, and the documents are
/// served. `token` is a good one.
pub async fn assert_contract<S: Service>(service: &Running, token: &str) -> Setup<()> {
    let document = serde_json::to_value(docs::document::<S>())?;
    let served = service.get(docs::DOCUMENT_PATH, "").await?;
    assert_eq!(served.json(), document, "{} is the document", docs::DOCUMENT_PATH);
    let page = service.get("/api-docs/", "").await?;
    assert!(
        page.text.contains("swagger-ui") && page.status == 200,
        "{}",
        page.text
    );
    let script = service.get("/api-docs/swagger-initializer.js", "").await?;
    assert!(script.text.contains("../api-docs.json"), "{}", script.text);
    assert_eq!(
        service.get("/api-docs", "").await?.headers["location"],
        "api-docs/"
    );
    service
        .get("/no/such/route", "")
        .await?
        .assert_problem(404, "unknown_route");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(service.get(path, "").await?.status, 200, "{path}");
    }
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    assert!(!paths.is_empty());
    for (template, item) in paths {
        let path = template.replace("{id}", "cnv_unknown");
        service
            .send(service.request(Method::TRACE, &path, ""))
            .await?
            .assert_problem(405, "method_not_allowed");
        for (method, operation) in item.as_object().cloned().unwrap_or_default() {
            let method: Method = method.to_uppercase().parse()?;
            assert_guarded(service, &method, &path, &operation).await?;
            assert_body_checked(service, &method, &path, &operation, token).await?;
            assert_fields_checked(service, &method, &path, &document, &operation, token).await?;
            assert_parameters_checked(service, &method, &template, &operation, token).await?;
            assert_alias(service, &method, &path).await?;
        }
    }
    Ok(())
}

/// Operations with a security requirement answer 401 without a good token.
async fn assert_guarded(service: &Running, method: &Method, path: &str, operation: &Value) -> Setup<()> {
    if operation["security"].is_null() {
        return Ok(());
    }
    let call = async |token: &str| service.send(service.request(method.clone(), path, token)).await;
    let anonymous = call("").await?;
    anonymous.assert_problem(401, "missing_token");
    assert_eq!(
        anonymous.headers["www-authenticate"],
        r#"Bearer realm="tracewell""#
    );
    call("forged").await?.assert_problem(401, "invalid_token");
    let stranger = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?;
    let forged = stranger.sign(&crate::token::Claims::new("usr_1", crate::clock::now()))?;
    call(&forged).await?.assert_problem(401, "invalid_token");
    let basic = service
        .request(method.clone(), path, "")
        .basic_auth("a", Some("b"));
    service.send(basic).await?.assert_problem(401, "missing_token");
    Ok(())
}

/// Operations with a body refuse every kind of wrong one.
async fn assert_body_checked(
    service: &Running,
    method: &Method,
    path: &str,
    operation: &Value,
    token: &str,
) -> Setup<()> {
    if operation["requestBody"].is_null() {
        return Ok(());
    }
    let call = async |kind: &str, body: String| {
        let request = service
            .request(method.clone(), path, token)
            .header("content-type", kind)
            .body(body);
        service.send(request).await
    };
    call("text/plain", "{}".into())
        .await?
        .assert_problem(415, "unsupported_media_type");
    call("application/json", "{".into())
        .await?
        .assert_problem(400, "malformed_json");
    call("application/json", json!("x".repeat(1 << 20)).to_string())
        .await?
        .assert_problem(413, "body_too_large");
    let list = call("application/json", "[]".into()).await?;
    list.assert_problem(422, "invalid_body");
    assert_eq!(list.pointers(), [""]);
    let unknown = call("application/json", json!({"no_such_property": 1}).to_string()).await?;
    unknown.assert_problem(422, "invalid_body");
    assert!(
        unknown.pointers().contains(&"/no_such_property".to_owned()),
        "{}",
        unknown.text
    );
    Ok(())
}

/// Each field of a body is pointed at when it is of a wrong type, and when it is missing and must not be.
async fn assert_fields_checked(
    service: &Running,
    method: &Method,
    path: &str,
    document: &Value,
    operation: &Value,
    token: &str,
) -> Setup<()> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let schema = resolve(document, schema);
    let pointers = async |body: &Value| {
        let request = service.request(method.clone(), path, token).json(body);
        let refused = service.send(request).await?;
        refused.assert_problem(422, "invalid_body");
        Setup::Ok(refused.pointers())
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let wrong = if resolve(document, property)["type"] == "array" {
            json!({})
        } else {
            json!([])
        };
        let found = pointers(&json!({name.as_str(): wrong})).await?;
        let pointer = format!("/{name}");
        assert!(
            found.contains(&pointer),
            "{method} {path}: {found:?} has no {pointer}"
        );
    }
    let required = schema["required"].as_array().into_iter().flatten();
    let required: Vec<_> = required
        .filter_map(Value::as_str)
        .map(|name| format!("/{name}"))
        .collect();
    if !required.is_empty() {
        let found = pointers(&json!({})).await?;
        assert!(
            required.iter().all(|pointer| found.contains(pointer)),
            "{method} {path}: {found:?} lacks some of {required:?}"
        );
    }
    Ok(())
}

/// Each bound of each parameter holds: what is one beyond it is pointed at, what is at it is not; and so are parameters of
/// the query that the document does not name.
async fn assert_parameters_checked(
    service: &Running,
    method: &Method,
    template: &str,
    operation: &Value,
    token: &str,
) -> Setup<()> {
    let ask = async |place: &str, name: &str, value: &str| {
        let id = if place == "path" { value } else { "cnv_unknown" };
        let request = service.request(method.clone(), &template.replace("{id}", id), token);
        service
            .send(match place {
                "query" => request.query(&[(name, value)]),
                "header" => request.header(name, value),
                _ => request,
            })
            .await
    };
    let is_refused = |answer: &Answer, place: &str, name: &str| {
        let code = match place {
            "header" => format!("invalid_{}", name.to_lowercase().replace('-', "_")),
            _ => format!("invalid_{place}"),
        };
        let refused = answer.status == 400 && answer.json()["code"] == code.as_str();
        assert!(
            !refused || answer.pointers() == [format!("/{name}")],
            "{method} {template}: {}",
            answer.text
        );
        refused
    };
    let unknown = ask("query", "no_such_parameter", "1").await?;
    unknown.assert_problem(400, "invalid_query");
    assert!(is_refused(&unknown, "query", "no_such_parameter"));
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let text = |key: &str| parameter[key].as_str().unwrap_or_default();
        let (place, name) = (text("in"), text("name"));
        for (value, is_good) in values_around_bounds(&parameter["schema"]) {
            let answer = ask(place, name, &value).await?;
            assert_eq!(
                is_refused(&answer, place, name),
                !is_good,
                "{method} {template}, {name}={value}: {}",
                answer.text
            );
        }
    }
    Ok(())
}

/// Values at each bound of a parameter's schema and one beyond it, and whether they are allowed.
#[track_caller]
fn values_around_bounds(schema: &Value) -> Vec<(String, bool)> {
    let keywords = schema.as_object().into_iter().flatten();
    keywords
        .flat_map(|(keyword, bound)| {
            let number = bound.as_i64().unwrap_or_default();
            let letters = |count: i64| "x".repeat(usize::try_from(count).unwrap_or_default());
            match (keyword.as_str(), bound.as_str()) {
                ("type", Some("integer")) => vec![("x".into(), false), (String::new(), false)],
                ("minimum", _) => vec![(number.to_string(), true), ((number - 1).to_string(), false)],
                ("maximum", _) => vec![(number.to_string(), true), ((number + 1).to_string(), false)],
                ("maxLength", _) => vec![(letters(number), true), (letters(number + 1), false)],
                ("pattern", Some(idempotency::PATTERN)) => vec![
                    (letters(255), true),
                    (letters(256), false),
                    (format!("\"{}\"", letters(255)), true),
                    (format!("\"{}\"", letters(256)), false),
                    ("a b".into(), false),
                    (String::new(), false),
                ],
                rest => {
                    let is_no_bound = matches!(
                        rest,
                        ("type", Some("string")) | ("format", Some("int32" | "int64"))
                    );
                    assert!(
                        is_no_bound,
                        "this test does not know how to break {keyword}: {bound}"
                    );
                    Vec::new()
                }
            }
        })
        .collect()
}

/// What a schema refers to.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    reference
        .and_then(|path| document.pointer(path))
        .unwrap_or(schema)
}

/// The path without its version leads to the same operation.
async fn assert_alias(service: &Running, method: &Method, path: &str) -> Setup<()> {
    let Some(alias) = path.strip_prefix("/v1") else {
        return Ok(());
    };
    let status = async |path: &str| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            service
                .send(service.request(method.clone(), path, ""))
                .await?
                .status,
        )
    };
    assert_eq!(status(alias).await?, status(path).await?, "{method} {alias}");
    Ok(())
}
