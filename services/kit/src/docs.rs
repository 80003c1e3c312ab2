//! The API documents: an OpenAPI 3.1 document per service, and Swagger UI over one or several of them.

mod answers;
mod examples;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::{AppendHeaders, IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use tokio::sync::OnceCell;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::{
    auth::BEARER,
    parameters,
    problem::{ApiError, FieldError, Problem},
    service::Service,
};

use self::answers::Ground;

pub use self::answers::problem;

/// Path of a service's own document.
pub const DOCUMENT_PATH: &str = "/api-docs.json";

/// Swagger UI writes styles and images inline; scripts it loads from here only.
const UI_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// The routes of a service. A route can only enter with its description, so router and document agree,
/// and is given only what its description allows in path and query.
#[derive(Clone)]
pub struct Routes<S> {
    v1: OpenApiRouter<S>,
    root: OpenApiRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            v1: OpenApiRouter::new(),
            root: OpenApiRouter::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds a route below `/v1`, by `routes!(handler)`; the same path without `/v1` is an alias that the
    /// document does not mention.
    #[must_use]
    pub fn v1(mut self, route: UtoipaMethodRouter<S>) -> Self {
        self.v1 = self.v1.routes(parameters::guard(route));
        self
    }

    /// Adds a route outside of any version, such as `/.well-known/…`.
    #[must_use]
    pub fn root(mut self, route: UtoipaMethodRouter<S>) -> Self {
        self.root = self.root.routes(parameters::guard(route));
        self
    }

    /// The routes without what describes them.
    pub(crate) fn into_router(self) -> Router<S> {
        let (v1, root) = (Router::from(self.v1), Router::from(self.root));
        Router::new().nest("/v1", v1.clone()).merge(root).merge(v1)
    }

    /// What describes the routes.
    fn into_document(self) -> OpenApi {
        let routes = OpenApiRouter::new().nest("/v1", self.v1).merge(self.root);
        routes.into_openapi()
    }
}

/// The document of `S`.
pub fn document<S: Service>() -> OpenApi {
    let described = S::routes().into_document();
    let info = InfoBuilder::new()
        .title(S::TITLE)
        .version(S::VERSION)
        .description(Some(S::DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let mut document = OpenApiBuilder::new()
        .info(info)
        .paths(described.paths)
        .components(described.components)
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in [
        (Problem::name(), Problem::schema()),
        (FieldError::name(), FieldError::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access_token of POST /v1/signin of the auth service"))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    answers::complete(&mut document, Ground::of::<S>());
    examples::complete(&mut document);
    document
}

/// A document that the UI offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentLink {
    /// Name in the UI's list.
    pub name: String,
    /// Where the document is, relative to `/api-docs/`, so that it also works below a gateway's prefix.
    pub url: String,
}

/// The service's own document and the UI over it and `others`.
pub(crate) fn routes<S: Service>(others: Vec<DocumentLink>) -> Router {
    let own = DocumentLink {
        name: S::NAME.to_owned(),
        url: format!("..{DOCUMENT_PATH}"),
    };
    Router::new()
        .route(DOCUMENT_PATH, get(serve::<S>))
        .with_state(Arc::default())
        .merge(ui([own].into_iter().chain(others)))
}

/// The document, made when it is first asked for: most processes are never asked, and as a structure it takes megabytes.
async fn serve<S: Service>(State(text): State<Arc<OnceCell<Bytes>>>) -> Result<impl IntoResponse, ApiError> {
    let text = text
        .get_or_try_init(async || serde_json::to_vec(&document::<S>()).map(Bytes::from))
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text.clone()))
}

fn ui(links: impl IntoIterator<Item = DocumentLink>) -> Router {
    let script = initializer(&links.into_iter().collect::<Vec<_>>());
    let script_headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    Router::new()
        // Relative, so that the browser stays below the prefix it came by.
        .route(
            "/api-docs",
            get(|| async { (StatusCode::SEE_OTHER, [(header::LOCATION, "api-docs/")]) }),
        )
        .route("/api-docs/", get(|| async { asset("index.html") }))
        .route(
            "/api-docs/swagger-initializer.js",
            get(move || async move { (script_headers, script.clone()) }),
        )
        .route(
            "/api-docs/{*file}",
            get(|Path(file): Path<String>| async move { asset(&file) }),
        )
}

/// The script that Swagger UI's own page loads to be told what to show.
fn initializer(links: &[DocumentLink]) -> String {
    let options = serde_json::json!({
        "urls": links.iter().map(|link| serde_json::json!({"name": link.name, "url": link.url})).collect::<Vec<_>>(),
        "dom_id": "#swagger-ui",
        "deepLinking": true,
        "tryItOutEnabled": true,
        "persistAuthorization": true,
        "displayRequestDuration": true,
        "layout": "StandaloneLayout",
    });
    format!(
        "window.onload = () => {{\n  window.ui = SwaggerUIBundle({{\n    ...{options},\n    \
         presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],\n  }});\n}};\n"
    )
}

fn asset(path: &str) -> Response {
    match utoipa_swagger_ui::serve(path, Arc::default()) {
        Ok(Some(file)) => {
            let encoding = file
                .gzpipped
                .then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
            let kind = [(header::CONTENT_TYPE, file.content_type)];
            let policy = [(header::CONTENT_SECURITY_POLICY, UI_POLICY)];
            (kind, policy, encoding.map(AppendHeaders), file.bytes.into_owned()).into_response()
        }
        Ok(None) => ApiError::not_found(format!("the API documents have no file {path}")).into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}
