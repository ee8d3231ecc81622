//! JSON bodies: read strictly, and refused in words that help.

use crate::{ApiError, guard};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

/// A JSON body, as a request or an answer. As a request it must be declared as JSON: a form of a foreign page cannot do
/// that without asking first.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::WrongType("application/json"));
        }
        let bytes = body(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The whole body, within the limit of its route.
pub(crate) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge(guard::BODY),
        _ => ApiError::BadRequest("the body ended too early; send it again".into()),
    })
}

/// Reads JSON. Nesting is bounded by `serde_json` itself (128 levels).
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::BadRequest("the body is empty; send a JSON object".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        explain(error.inner(), &path)
    })?;
    deserializer.end().map_err(|error| explain(&error, "."))?;
    Ok(value)
}

fn explain(error: &serde_json::Error, path: &str) -> ApiError {
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            let (line, column) = (error.line(), error.column());
            ApiError::BadRequest(format!("the body is not JSON: line {line}, column {column}: {}; mend it there", bare(error)))
        }
        Category::Data if path == "." => ApiError::Unprocessable(bare(error)),
        Category::Data => ApiError::Unprocessable(format!("{path}: {}", bare(error))),
    }
}

/// The message without its position, which counts for syntax alone.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]).to_owned()
}

/// Whether a body is declared as `application/json`, or as a type that is written in JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::{ApiError, parse};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(rename = "count")]
        _count: u32,
    }

    #[test]
    fn a_body_that_is_not_json_is_told_where() {
        let Err(ApiError::BadRequest(detail)) = parse::<Body>(b"{\n \"count\": }") else { panic!("must be refused") };
        assert!(detail.contains("line 2"), "{detail}");
        for wrong in [&b""[..], b"  ", b"{", b"{\"count\":1} x", b"\xff\xfe"] {
            assert!(matches!(parse::<Body>(wrong), Err(ApiError::BadRequest(_))));
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let Err(ApiError::Unprocessable(detail)) = parse::<Body>(br#"{"count":"many"}"#) else { panic!("must be refused") };
        assert!(detail.starts_with("count: "), "{detail}");
        let Err(ApiError::Unprocessable(detail)) = parse::<Body>(br#"{"count":1,"colour":2}"#) else { panic!("must be refused") };
        assert!(detail.contains("colour"), "{detail}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(matches!(parse::<serde_json::Value>(deep.as_bytes()), Err(ApiError::BadRequest(_))));
    }
}
