//! The kinds of accounts that this program knows, for pages and programs that build forms.

use super::{
    Items,
    json::Json,
    routes::{Routes, routes},
};
use crate::{ApiResult, Web, caller::Caller};
use axum::extract::State;
use doorward_core::{
    driver::{About, FieldKind},
    scope::Scope,
};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list))
}

/// A driver: what an account of this kind needs.
#[expect(clippy::struct_field_names, reason = "`kind` is the word of the API")]
#[derive(Serialize, ToSchema)]
struct Kind {
    /// The word in configuration and API.
    kind: &'static str,
    /// The vendor's name, as people know it.
    title: &'static str,
    /// One sentence about it.
    summary: &'static str,
    /// Settings of an account.
    fields: Vec<FieldView>,
    /// Steps of sign-in and set-up, in their order.
    steps: Vec<StepView>,
    /// The vendor's own calls that support may make.
    calls: &'static [&'static str],
}

/// One setting of an account.
#[derive(Serialize, ToSchema)]
struct FieldView {
    /// The key in configuration and API.
    name: &'static str,
    /// What people read beside the input.
    label: &'static str,
    /// What it is for and where to find it.
    help: &'static str,
    /// `text`, `secret`, `url`, `number` or `switch`.
    kind: &'static str,
    /// The value when nothing is set, as text.
    default: &'static str,
    /// An account does not work without it.
    required: bool,
}

/// One step of sign-in or set-up.
#[derive(Serialize, ToSchema)]
struct StepView {
    /// The word in the API.
    name: &'static str,
    /// What people read on the button.
    label: &'static str,
    /// What happens and what is needed.
    help: &'static str,
}

/// Lists the kinds of accounts.
#[utoipa::path(get, path = "/kinds", tag = "accounts", responses((status = 200, body = Items<Kind>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<Kind>>> {
    caller.need(&Scope::Accounts)?;
    Ok(Json(Items::all(offered(&web).iter().map(view).collect())))
}

/// The kinds of accounts that can be added here.
pub(crate) fn offered(web: &Web) -> Vec<About> {
    web.house().kinds().iter().map(|entry| (entry.about)()).filter(|about| !about.only_in_file).collect()
}

fn view(about: &About) -> Kind {
    let field = |field: &doorward_core::driver::Field| FieldView {
        name: field.name,
        label: field.label,
        help: field.help,
        kind: match field.kind {
            FieldKind::Text => "text",
            FieldKind::Secret => "secret",
            FieldKind::Url => "url",
            FieldKind::Number => "number",
            FieldKind::Switch => "switch",
        },
        default: field.default,
        required: field.required,
    };
    let step = |step: &doorward_core::driver::Step| StepView { name: step.name, label: step.label, help: step.help };
    Kind {
        kind: about.kind,
        title: about.title,
        summary: about.summary,
        fields: about.fields.iter().map(field).collect(),
        steps: about.steps.iter().map(step).collect(),
        calls: about.calls,
    }
}
