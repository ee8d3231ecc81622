//! Recent log lines.

use super::{
    auth::{Known, sure},
    error::Refusal,
};
use crate::Web;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use doorward_core::scope::Scope;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) async fn show(Known(caller): Known, State(web): State<Web>) -> Result<Response, Refusal> {
    caller.need(&Scope::Config)?;
    let mut text = String::new();
    for line in web.logbook().lines() {
        let _ = writeln!(text, "{line}");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

pub(super) async fn clear(Known(caller): Known, headers: HeaderMap, State(web): State<Web>) -> Result<Json<Value>, Refusal> {
    caller.need(&Scope::Config)?;
    sure(&caller, &headers, None)?;
    web.logbook().clear();
    Ok(Json(json!({ "status": "cleared" })))
}
