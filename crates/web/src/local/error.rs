//! Errors as the original writes them: `{"detail": …}`.

use crate::ApiError;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use doorward_core::driver::{Family, Fault};
use serde_json::json;

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn gateway(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, detail)
    }

    pub(super) fn wrong_method() -> Self {
        ApiError::WrongMethod.into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "detail": self.detail }))).into_response()
    }
}

impl From<Fault> for Refusal {
    /// The cloud's own status where it had one; a token that is not taken is 401, whatever the cloud wrapped it in.
    fn from(fault: Fault) -> Self {
        let own = fault.status.filter(|status| (400..=599).contains(status)).and_then(|status| StatusCode::from_u16(status).ok());
        let status = match fault.family {
            Family::Auth => StatusCode::UNAUTHORIZED,
            Family::Refused => own.unwrap_or(StatusCode::BAD_GATEWAY),
            Family::Offline | Family::Protocol | Family::Timeout => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, fault.person)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        if let ApiError::Vendor(fault) = error {
            return fault.into();
        }
        if let ApiError::Store(error) = &error {
            tracing::error!(%error, "a request failed because of the store");
        }
        Self::new(error.status(), error.to_string())
    }
}
