//! The `OpenAPI` document: made from the same declarations as the routes.

use super::{health, hooks, v1};
use doorward_wire::Problem;
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(title = "doorward", description = "Doors and locks of a house. Errors are problem+json (RFC 9457); times are RFC 3339 in UTC."),
    components(schemas(Problem)),
    tags(
        (name = "doors", description = "Doors, and what is asked of them."),
        (name = "codes", description = "PIN codes that locks keep by themselves."),
        (name = "rings", description = "What rings at doors and what rang."),
        (name = "events", description = "What happened."),
        (name = "accounts", description = "Vendor accounts."),
        (name = "people", description = "People and tokens."),
        (name = "sites", description = "Places with a time zone."),
        (name = "notifications", description = "How people are told what they should look at."),
        (name = "webhooks", description = "Servers of others that are told what happens."),
        (name = "settings", description = "Settings."),
        (name = "system", description = "The program itself."),
    )
)]
struct Head;

/// The document, for `GET /api/v1/openapi.json` and `doorward config openapi`.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    let routes = OpenApiRouter::with_openapi(Head::openapi()).merge(v1().merge(health::routes()).merge(hooks::routes()).documented());
    let mut document = routes.into_openapi();
    let token = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).description(Some("A token: dw_…")).build());
    document.components.get_or_insert_default().security_schemes.insert("token".into(), token.into());
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
    name_operations(&mut document);
    document
}

/// Names each operation after its method and path: handlers of different subjects have the same names, operations must not.
fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let path = path.trim_start_matches("/api/v1");
        let words: Vec<&str> = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

/// The document as text, as it is checked in.
pub fn openapi_json() -> String {
    let mut text = document().to_pretty_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        "{}".into()
    });
    text.push('\n');
    text
}
