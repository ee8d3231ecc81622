//! Bodies as the original's clients and its page send them: JSON, or forms.

use super::error::Refusal;
use crate::{
    ApiError, Web,
    api::json::{self, is_json},
};
use axum::{
    Form,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, header},
};
use serde_json::{Map, Value};

/// Fields of a form.
const FIELDS: usize = 64;

/// A body that must be a JSON object.
pub(super) async fn json(request: Request, web: &Web) -> Result<Value, Refusal> {
    if !is_json(request.headers()) {
        return Err(ApiError::WrongType("application/json").into());
    }
    let bytes = json::body(request, web).await?;
    Ok(json::parse(&bytes)?)
}

/// What was sent, and whether any page could have made a browser send it.
pub(super) struct Sent {
    pub(super) fields: Map<String, Value>,
    pub(super) by_form: bool,
    pub(super) csrf: Option<String>,
}

/// Reads JSON, a form, or nothing at all.
pub(super) async fn read(request: Request, web: &Web) -> Result<Sent, Refusal> {
    let headers = request.headers();
    if is_json(headers) {
        let bytes = json::body(request, web).await?;
        if bytes.is_empty() {
            return Ok(Sent { fields: Map::new(), by_form: true, csrf: None });
        }
        return Ok(Sent { fields: json::parse(&bytes)?, by_form: false, csrf: None });
    }
    let kind = content_type(headers);
    let mut fields = match kind.as_str() {
        "multipart/form-data" => multipart(request, web).await?,
        "application/x-www-form-urlencoded" => {
            let Form(pairs) =
                Form::<Vec<(String, String)>>::from_request(request, web).await.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
            pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
        }
        "" => {
            let bytes = json::body(request, web).await?;
            if !bytes.is_empty() {
                return Err(ApiError::WrongType("application/json or multipart/form-data").into());
            }
            Map::new()
        }
        _ => return Err(ApiError::WrongType("application/json or multipart/form-data").into()),
    };
    let csrf = fields.remove("csrf").and_then(|value| value.as_str().map(ToOwned::to_owned));
    Ok(Sent { fields, by_form: true, csrf })
}

async fn multipart(request: Request, web: &Web) -> Result<Map<String, Value>, Refusal> {
    let broken = |detail: String| Refusal::bad(format!("the form cannot be read: {detail}"));
    let mut parts = Multipart::from_request(request, web).await.map_err(|rejection| broken(rejection.body_text()))?;
    let mut fields = Map::new();
    while let Some(part) = parts.next_field().await.map_err(|error| Refusal::new(error.status(), error.body_text()))? {
        let Some(name) = part.name().map(ToOwned::to_owned) else { continue };
        let bytes = part.bytes().await.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        fields.insert(name, Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        if fields.len() > FIELDS {
            return Err(broken(format!("it has more than {FIELDS} fields")));
        }
    }
    Ok(fields)
}

fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The identifier in `{"id": …}` or in a bare text.
pub(super) fn id(value: &Value) -> Option<String> {
    text(value.get("id").unwrap_or(value))
}

/// A text, or a number as text, that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}
