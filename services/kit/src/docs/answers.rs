//! The problems that operations have in common, derived from what each of them takes and from what its service stands on:
//! nobody writes them down, so nobody forgets them, and none is promised that cannot come.

use std::collections::BTreeMap;

use http::Method;
use utoipa::{
    ToSchema as _,
    openapi::{
        AllOfBuilder, Components, ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response,
        ResponseBuilder, Schema,
        path::{Operation, Parameter, ParameterIn, PathItem},
        schema::Type,
    },
};

use crate::{
    idempotency,
    problem::{PROBLEM_JSON, Problem},
    service::Service,
};

/// Codes by the status that they come with.
type Codes = BTreeMap<u16, Vec<&'static str>>;

/// What a service stands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    database: bool,
    cookies: bool,
    /// The keys of tokens, and whatever else an operation asks on behalf of its caller.
    upstreams: bool,
}

impl Ground {
    pub(super) fn of<S: Service>() -> Self {
        Self {
            database: S::MIGRATIONS.is_some(),
            cookies: S::COOKIES,
            // Who trusts a key of its own when it runs alone has others' fetched when it does not.
            upstreams: S::TRUSTS_OWN_KEY,
        }
    }

    /// What can go wrong with an operation whatever it does.
    fn codes(self, method: &Method, operation: &Operation) -> Codes {
        let takes_path = takes(operation, |it| it.parameter_in == ParameterIn::Path);
        let is_guarded = operation.security.is_some();
        let rules: [(bool, &[(u16, &'static str)]); 8] = [
            (
                true,
                &[
                    (400, "null_character"),
                    (400, "invalid_query"),
                    (500, "internal"),
                    (503, "overloaded"),
                    (504, "timeout"),
                ],
            ),
            (
                operation.request_body.is_some(),
                &[
                    (400, "malformed_json"),
                    (400, "unreadable_body"),
                    (413, "body_too_large"),
                    (415, "unsupported_media_type"),
                    (422, "invalid_body"),
                ],
            ),
            (takes_path, &[(400, "invalid_path")]),
            (
                takes(operation, idempotency::is_key),
                &[
                    (400, "invalid_idempotency_key"),
                    (409, "request_in_progress"),
                    (422, "idempotency_key_reused"),
                ],
            ),
            (
                is_guarded,
                &[
                    (401, "missing_token"),
                    (401, "invalid_token"),
                    (401, "token_expired"),
                ],
            ),
            (
                is_guarded && self.upstreams,
                &[(502, "upstream_failed"), (503, "upstream_unavailable")],
            ),
            (self.database, &[(503, "database_busy"), (503, "database_away")]),
            (self.cookies && method != Method::GET, &[(403, "cross_origin")]),
        ];
        let mut codes = Codes::new();
        for (status, code) in rules
            .into_iter()
            .filter(|(holds, _)| *holds)
            .flat_map(|(_, rule)| rule)
        {
            codes.entry(*status).or_default().push(code);
        }
        codes
    }
}

fn takes(operation: &Operation, is_meant: impl Fn(&Parameter) -> bool) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| matches!(parameter, RefOr::T(it) if is_meant(it)))
}

/// Adds to every operation what can go wrong with it besides what its handler says: to the description of a status that
/// is there, else by reference to an answer of the components. The codes that a description names become those that the
/// schema allows. Where a repeat gets the first answer again, that has the header which says so.
pub(super) fn complete(document: &mut OpenApi, ground: Ground) {
    let components = document.components.get_or_insert_with(Components::new);
    for (method, operation) in document.paths.paths.values_mut().flat_map(operations) {
        for (status, codes) in ground.codes(&method, operation) {
            match operation.responses.responses.get_mut(&status.to_string()) {
                Some(RefOr::T(answer)) => append(answer, &codes),
                Some(RefOr::Ref(_)) => {}
                None => {
                    let name = codes.join(".");
                    let answer = Ref::from_response_name(&name).into();
                    operation.responses.responses.insert(status.to_string(), answer);
                    components
                        .responses
                        .entry(name)
                        .or_insert_with(|| RefOr::T(problem(&quoted(&codes))));
                }
            }
        }
        operation.responses.responses.values_mut().for_each(close_codes);
        if takes(operation, idempotency::is_key) {
            let successes = operation
                .responses
                .responses
                .range_mut("200".to_owned().."300".to_owned());
            successes.for_each(|(_, answer)| add_replayed(answer));
        }
    }
    components.responses.values_mut().for_each(close_codes);
}

/// Lets an answer have the header of those to repeats.
fn add_replayed(answer: &mut RefOr<Response>) {
    if let RefOr::T(answer) = answer {
        let (name, header) = idempotency::replayed();
        answer.headers.insert(name, RefOr::T(header));
    }
}

/// Lets a problem have the codes alone that the answer's description names, in backquotes.
fn close_codes(answer: &mut RefOr<Response>) {
    let RefOr::T(answer) = answer else { return };
    let Some(RefOr::T(content)) = answer.content.get_mut(PROBLEM_JSON) else {
        return;
    };
    let codes: Vec<_> = answer.description.split('`').skip(1).step_by(2).collect();
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes));
    let problem = AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(ObjectBuilder::new().property("code", code));
    content.schema = Some(Schema::from(problem).into());
}

/// The answer of a problem.
pub fn problem(description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .build()
}

fn append(answer: &mut Response, codes: &[&'static str]) {
    let is_new = |code: &&&'static str| !answer.description.contains(&format!("`{code}`"));
    let new: Vec<_> = codes.iter().filter(is_new).copied().collect();
    if !new.is_empty() {
        answer.description = format!("{}; or {}", answer.description, quoted(&new));
    }
}

/// "`a`, `b` or `c`".
fn quoted(codes: &[&str]) -> String {
    let quoted: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::{
        IntoParams as _,
        openapi::{
            OpenApiBuilder, PathsBuilder,
            path::{HttpMethod, OperationBuilder, ParameterBuilder},
            request_body::RequestBody,
            security::SecurityRequirement,
        },
    };

    use super::*;
    use crate::idempotency::IdempotencyKey;

    const EVERYTHING: Ground = Ground {
        database: true,
        cookies: true,
        upstreams: true,
    };

    /// The answers of an operation by status: what is said of it, or what it refers to.
    fn answers(ground: Ground, method: HttpMethod, operation: OperationBuilder) -> Value {
        let item = PathItem::new(method, operation);
        let mut document = OpenApiBuilder::new()
            .paths(PathsBuilder::new().path("/x", item).build())
            .build();
        complete(&mut document, ground);
        let document = serde_json::to_value(document).unwrap();
        let (_, operation) = document["paths"]["/x"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        let told = operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(status, answer)| {
                let path = answer["$ref"]
                    .as_str()
                    .unwrap_or_default()
                    .trim_start_matches('#');
                let answer = document
                    .pointer(path)
                    .filter(|_| !path.is_empty())
                    .unwrap_or(answer);
                assert_eq!(
                    answer["content"].as_object().unwrap().keys().next().unwrap(),
                    PROBLEM_JSON
                );
                let description = answer["description"].as_str().unwrap();
                let codes =
                    answer["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"]["enum"]
                        .as_array();
                for code in codes.unwrap() {
                    assert!(
                        description.contains(&format!("`{}`", code.as_str().unwrap())),
                        "{answer}"
                    );
                }
                assert_eq!(
                    description.matches('`').count(),
                    2 * codes.unwrap().len(),
                    "{answer}"
                );
                (status.clone(), description.into())
            });
        Value::Object(told.collect())
    }

    #[test]
    fn an_operation_that_takes_nothing_promises_little() {
        let nothing = Ground {
            database: false,
            cookies: false,
            upstreams: false,
        };
        assert_eq!(
            answers(nothing, HttpMethod::Post, OperationBuilder::new()),
            json!({"400": "`null_character` or `invalid_query`", "500": "`internal`", "503": "`overloaded`", "504": "`timeout`"})
        );
    }

    #[test]
    fn what_may_come_again_can_be_answered_again() {
        let key = IdempotencyKey::into_params(|| None).remove(0);
        let success = ResponseBuilder::new().description("made").build();
        let operation = OperationBuilder::new().parameter(key).response("201", success);
        let mut document = OpenApiBuilder::new()
            .paths(
                PathsBuilder::new()
                    .path("/x", PathItem::new(HttpMethod::Post, operation))
                    .build(),
            )
            .build();
        complete(&mut document, EVERYTHING);
        let document = serde_json::to_value(document).unwrap();
        let answers = &document["paths"]["/x"]["post"]["responses"];
        let marked: Vec<_> = answers
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, answer)| answer["headers"]["Idempotency-Replayed"].is_object())
            .map(|(status, _)| status.as_str())
            .collect();
        assert_eq!(marked, ["201"]);
        for (status, code) in [
            ("400", "invalid_idempotency_key"),
            ("409", "request_in_progress"),
            ("422", "idempotency_key_reused"),
        ] {
            let reference = answers[status]["$ref"].as_str().unwrap();
            assert!(reference.contains(code), "{reference}");
        }
    }

    #[test]
    fn what_an_operation_takes_can_be_wrong_and_what_the_service_stands_on_can_be_away() {
        let parameter = |place| ParameterBuilder::new().name("p").parameter_in(place);
        let operation = || {
            OperationBuilder::new()
                .request_body(Some(RequestBody::new()))
                .parameter(parameter(ParameterIn::Path))
                .parameter(parameter(ParameterIn::Query))
                .security(SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []))
                .response("403", problem("`wrong_code`"))
                .response("401", problem("`invalid_token` and no other"))
        };
        let expected = json!({
            "400": "`null_character`, `invalid_query`, `malformed_json`, `unreadable_body` or `invalid_path`",
            "401": "`invalid_token` and no other; or `missing_token` or `token_expired`",
            "403": "`wrong_code`; or `cross_origin`",
            "413": "`body_too_large`",
            "415": "`unsupported_media_type`",
            "422": "`invalid_body`",
            "500": "`internal`",
            "502": "`upstream_failed`",
            "503": "`overloaded`, `upstream_unavailable`, `database_busy` or `database_away`",
            "504": "`timeout`",
        });
        assert_eq!(answers(EVERYTHING, HttpMethod::Post, operation()), expected);
        let read = answers(EVERYTHING, HttpMethod::Get, operation());
        assert_eq!(
            read["403"], "`wrong_code`",
            "a page of another site cannot read the answer"
        );
    }
}
