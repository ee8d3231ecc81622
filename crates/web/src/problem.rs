//! Errors of the HTTP API: problem+json (RFC 9457), one enum, one match to a status.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_core::{
    driver::{Family, Fault},
    keeper::CommandError,
};
use doorward_engine::SetUpError;
use doorward_store::StoreError;
use doorward_wire::{
    Problem,
    attempt::{Attempt, Reason},
};

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request was not carried out. Each says what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Malformed or impossible.
    #[error("{0}")]
    BadRequest(String),
    /// Understood, but not acceptable: a field has a wrong value.
    #[error("{0}")]
    Unprocessable(String),
    /// No credentials, or wrong ones.
    #[error("sign in, or send a token as `Authorization: Bearer dw_…`")]
    NotAuthenticated,
    /// The credentials do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(&'static str),
    /// It collides with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The body is too large.
    #[error("the body may have at most {0} bytes")]
    TooLarge(usize),
    /// The body has another type than the route names.
    #[error("send the body as {0}")]
    WrongType(&'static str),
    /// The address takes other methods.
    #[error("this address takes other methods; the header Allow lists them")]
    WrongMethod,
    /// Too many tries.
    #[error("too many tries; wait {0} seconds")]
    RateLimited(u64),
    /// A command was refused: the attempt says why.
    #[error("{}", .0.detail.as_deref().unwrap_or("refused"))]
    Refused(Box<Attempt>),
    /// The vendor said no, is away, or answered nonsense.
    #[error("{}", .0.person)]
    Vendor(Fault),
    /// The store cannot be used.
    #[error("{}", .0.person())]
    Store(StoreError),
    /// It is begun, and tried again by itself.
    #[error("the device is known, but its user at the broker is not made yet; that is tried again by itself. {0}")]
    Pending(String),
    /// doorward is stopping.
    #[error("doorward is stopping; try again in a moment")]
    Stopping,
}

impl ApiError {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unprocessable(_) | Self::Vendor(Fault { reason: Some(Reason::BadRequest), .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotAuthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(attempt) => refusal(attempt.reason),
            Self::Pending(_) | Self::Store(_) | Self::Stopping | Self::Vendor(Fault { reason: Some(Reason::AuditUnavailable), .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Vendor(fault) => match fault.family {
                Family::Auth | Family::Refused => StatusCode::CONFLICT,
                Family::Offline | Family::Protocol => StatusCode::BAD_GATEWAY,
                Family::Timeout => StatusCode::GATEWAY_TIMEOUT,
            },
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Unprocessable(_) => "unprocessable",
            Self::NotAuthenticated => "not_authenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::TooLarge(_) => "too_large",
            Self::WrongType(_) => "wrong_type",
            Self::WrongMethod => "wrong_method",
            Self::RateLimited(_) => "rate_limited",
            Self::Refused(_) => "refused",
            Self::Vendor(_) => "vendor",
            Self::Store(_) => "store",
            Self::Pending(_) => "pending",
            Self::Stopping => "stopping",
        }
    }

    /// The body of the answer.
    pub fn problem(&self) -> Problem {
        let status = self.status();
        Problem {
            kind: format!("urn:doorward:problem:{}", self.word()),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: self.to_string(),
            reason: self.reason(),
            attempt: if let Self::Refused(attempt) = self { Some(attempt.id) } else { None },
        }
    }

    fn reason(&self) -> Option<Reason> {
        if let Self::Refused(attempt) = self {
            return attempt.reason;
        }
        if let Self::Vendor(fault) = self { fault.reason } else { None }
    }
}

/// The status of a refused command. What is not named here is a matter of rights.
fn refusal(reason: Option<Reason>) -> StatusCode {
    match reason {
        Some(Reason::AuditUnavailable) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Reason::Busy | Reason::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
        Some(Reason::StaleCommand | Reason::NotCapable) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::FORBIDDEN,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(%error, "a request failed because of the store");
        }
        let mut response = (self.status(), axum::Json(self.problem())).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Self::RateLimited(seconds) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if matches!(self, Self::NotAuthenticated) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::UnknownDoor => Self::NotFound("door with this id"),
            CommandError::TooFarAhead => Self::Unprocessable(error.to_string()),
            CommandError::Conflict => Self::Conflict(error.to_string()),
            CommandError::Stopping => Self::Stopping,
        }
    }
}

impl From<SetUpError> for ApiError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::UnknownKind(_) | SetUpError::OnlyInFile(_) | SetUpError::Mistakes(_) => Self::Unprocessable(error.to_string()),
            SetUpError::UnknownAccount => Self::NotFound("account with this id"),
            SetUpError::UnknownDoor => Self::NotFound("door with this id"),
            SetUpError::UnknownSite => Self::NotFound("site with this id"),
            SetUpError::Managed(_) | SetUpError::SiteInUse(_) => Self::Conflict(error.to_string()),
            SetUpError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::Vendor(fault)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
