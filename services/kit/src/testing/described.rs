//! What a service answers, held against its API document: no test needs to ask for it.

use http::{Method, header};
use serde_json::Value;

use super::Answer;
use crate::{docs, problem::PROBLEM_JSON, service::Service};

/// The API document of a service.
#[derive(Debug)]
pub(super) struct Described(Value);

impl Described {
    pub(super) fn of<S: Service>() -> Result<Self, serde_json::Error> {
        serde_json::to_value(docs::document::<S>()).map(Self)
    }

    /// Stops the test if the document has the operation and does not list this answer, or if it is a problem whose code is
    /// not named there.
    #[track_caller]
    pub(super) fn assert_lists(&self, method: &Method, path: &str, answer: &Answer) {
        let Some(operation) = self.operation(method, path) else {
            return;
        };
        let status = answer.status.as_u16();
        let listed = self.resolve(&operation["responses"][status.to_string()]);
        assert!(
            listed.is_object(),
            "{method} {path} answered {status}, which its document does not list: {}",
            answer.text
        );
        let is_problem = answer
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == PROBLEM_JSON);
        let code = &answer.json()["code"];
        let codes = &listed["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"]["enum"];
        assert!(
            !is_problem || codes.as_array().is_some_and(|codes| codes.contains(code)),
            "{method} {path} answered {status} {code}, for which its document has: {codes}"
        );
    }

    /// The operation of a path, with its version or without.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let name = method.as_str().to_lowercase();
        let versioned = format!("/v1{path}");
        let paths = self.0["paths"].as_object()?;
        paths
            .iter()
            .filter(|(template, item)| {
                item[&name].is_object() && [path, &versioned].iter().any(|path| fits(template, path))
            })
            // A path that is spelt out comes before one with parameters.
            .min_by_key(|(template, _)| template.matches('{').count())
            .map(|(_, item)| &item[&name])
    }

    fn resolve<'a>(&'a self, answer: &'a Value) -> &'a Value {
        let reference = answer["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'));
        reference.map_or(answer, |path| self.0.pointer(path).unwrap_or(answer))
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, code: &str) -> Answer {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([kind]),
            text: json!({"code": code}).to_string(),
        }
    }

    fn described() -> Described {
        let problem = |code: &str| {
            let schema = json!({"allOf": [{}, {"properties": {"code": {"enum": [code]}}}]});
            json!({"content": {PROBLEM_JSON: {"schema": schema}}})
        };
        Described(json!({
            "paths": {"/v1/notes/{id}": {"get": {"responses": {
                "404": problem("not_found"),
                "500": {"$ref": "#/components/responses/internal"},
            }}}},
            "components": {"responses": {"internal": problem("internal")}},
        }))
    }

    #[test]
    fn what_is_listed_passes_and_so_does_what_is_no_operation() {
        described().assert_lists(&Method::GET, "/v1/notes/1", &answer(404, "not_found"));
        described().assert_lists(&Method::GET, "/notes/1", &answer(500, "internal"));
        for (method, path) in [
            (Method::POST, "/v1/notes/1"),
            (Method::GET, "/v1/notes"),
            (Method::GET, "/metrics"),
        ] {
            described().assert_lists(&method, path, &answer(418, "teapot"));
        }
    }

    #[test]
    #[should_panic(expected = "GET /v1/notes/1 answered 409, which its document does not list")]
    fn a_status_that_is_not_listed_stops_the_test() {
        described().assert_lists(&Method::GET, "/v1/notes/1", &answer(409, "conflict"));
    }

    #[test]
    #[should_panic(
        expected = "GET /notes/1 answered 500 \"away\", for which its document has: [\"internal\"]"
    )]
    fn a_code_that_is_not_listed_stops_the_test() {
        described().assert_lists(&Method::GET, "/notes/1", &answer(500, "away"));
    }
}
