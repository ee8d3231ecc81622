//! What stands in the address: path and query, refused as problems like everything else.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    extract::{FromRequestParts, Path, Query as AxumQuery, rejection::QueryRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use std::{error::Error as _, time::Duration};

/// The header in which a session proves that a request without a body comes from its own page.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// An identifier in the path. What cannot be one names nothing.
#[derive(Debug, Clone)]
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for At<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> ApiResult<Self> {
        let Path(id) = Path::from_request_parts(parts, web).await.map_err(|_| ApiError::NotFound("such thing here"))?;
        Ok(Self(id))
    }
}

/// The query of the address.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Web> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> ApiResult<Self> {
        let query = AxumQuery::from_request_parts(parts, web).await;
        // What is wrong with which key, without what axum says around it.
        let said = |rejection: QueryRejection| rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
        let AxumQuery(query) = query.map_err(|rejection| ApiError::BadRequest(said(rejection)))?;
        Ok(Self(query))
    }
}

/// A caller who changes something without sending a body: a session must bring its CSRF token in `X-CSRF-Token`.
#[derive(Debug, Clone)]
pub struct Sure(pub Caller);

impl FromRequestParts<Web> for Sure {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> ApiResult<Self> {
        let caller = <Caller as FromRequestParts<Web>>::from_request_parts(parts, web).await?;
        let given = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        caller.check_csrf(given)?;
        Ok(Self(caller))
    }
}

/// A span of time as people write it: `10s`, `500ms`, `1m`; a bare number is seconds. `None` when it is none.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::span;
    use std::time::Duration;

    #[test]
    fn a_span_of_time_is_read_as_people_write_it() {
        assert_eq!(span("10s"), Some(Duration::from_secs(10)));
        assert_eq!(span("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(span("1m"), Some(Duration::from_mins(1)));
        assert_eq!(span("7"), Some(Duration::from_secs(7)));
        for wrong in ["", "s", "-1s", "1.5s", "10 s", "1h", "99999999999999999999s"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
