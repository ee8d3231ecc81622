//! Passes: rights that guests hold by a link.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
    settings,
};
use crate::{
    ApiResult, Web,
    caller::Caller,
    people::{
        compile,
        passes::{self, NewWish, link, state},
        rights::Wish,
    },
};
use axum::{extract::State, http::StatusCode};
use doorward_core::Secret;
use doorward_store::{PassDoor, StoredPass};
use doorward_wire::{
    Time,
    door::DoorId,
    grant::{Actions, Doors, Means, PassDoorState, PassState, Terms},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, make)).routes(routes!(show, change, remove)).routes(routes!(revoke)).routes(routes!(show_link))
}

/// A pass, without its link.
#[derive(Serialize, ToSchema)]
struct PassView {
    /// Identifier.
    id: String,
    /// The guest's name.
    name: String,
    /// Whether it opens anything.
    state: PassState,
    /// The doors: an id, `site:<site>`, or `*` for every one.
    #[schema(value_type = Vec<String>)]
    doors: Vec<Doors>,
    /// When and how often.
    terms: Terms,
    /// How often it has opened.
    used: u32,
    /// Whether its holder must give a PIN, too.
    has_pin: bool,
    /// When it was made.
    created: Time,
    /// When its holder last looked at it, to the minute.
    seen: Option<Time>,
    /// When it last opened.
    last_used: Option<Time>,
    /// When it was taken back.
    revoked: Option<Time>,
}

/// How a pass stands at one of its doors.
#[derive(Serialize, ToSchema)]
struct AtDoor {
    /// The door.
    door: DoorId,
    /// By which means.
    means: Means,
    /// How it stands.
    state: PassDoorState,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The code that the lock keeps for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// A pass, with what became of it at each of its doors.
#[derive(Serialize, ToSchema)]
struct WholePass {
    #[serde(flatten)]
    pass: PassView,
    /// By which means it opens which door, and why not by others.
    means: Vec<AtDoor>,
}

async fn whole(web: &Web, pass: StoredPass) -> ApiResult<Json<WholePass>> {
    let row = |row: PassDoor| {
        let code = row.pin.map(|pin| pin.reveal().clone());
        AtDoor { door: row.door, means: row.means, state: row.state, detail: row.detail, code }
    };
    let means = compile::standing(web, &pass).await?.into_iter().map(row).collect();
    Ok(Json(WholePass { pass: PassView::new(pass, web.house().now().utc), means }))
}

impl PassView {
    fn new(pass: StoredPass, now: Time) -> Self {
        let state = state(&pass, now);
        let StoredPass { id, name, has_pin, made_by: _, within: _, created, seen, grant } = pass;
        let (doors, terms, used, last_used, revoked) = (grant.doors, grant.terms, grant.used, grant.last_used, grant.revoked);
        Self { id, name, state, doors, terms, used, has_pin, created, seen, last_used, revoked }
    }
}

/// Lists passes, the newest first: all of them, or those that the caller made.
#[utoipa::path(get, path = "/passes", tag = "passes", responses((status = 200, body = Items<PassView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<PassView>>> {
    let now = web.house().now().utc;
    let passes = passes::list(&web, &caller).await?;
    Ok(Json(Items::all(passes.into_iter().map(|pass| PassView::new(pass, now)).collect())))
}

/// A new pass.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// The guest's name.
    name: String,
    /// The doors: an id, `site:<site>`, or `*` for every one.
    #[schema(value_type = Vec<String>)]
    doors: Vec<Doors>,
    /// When and how often.
    #[serde(default)]
    terms: Terms,
    /// 4 to 8 digits that its holder must give, too.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pin: Option<Secret<String>>,
}

/// A pass with its link: whoever has it opens the doors.
#[derive(Serialize, ToSchema)]
struct MadePass {
    #[serde(flatten)]
    pass: PassView,
    /// To be sent to the guest, or shown as a QR code.
    link: String,
}

/// Makes a pass. Nobody gives what they do not have.
#[utoipa::path(post, path = "/passes", tag = "passes", request_body = NewBody, responses((status = 201, body = MadePass)))]
async fn make(caller: Caller, State(web): State<Web>, Json(new): Json<NewBody>) -> ApiResult<(StatusCode, Json<MadePass>)> {
    let NewBody { name, doors, terms, pin } = new;
    let (pass, secret) = passes::make(&web, &caller, NewWish { name, doors, terms, pin }).await?;
    let link = link(&settings::base_url(&web), &secret);
    Ok((StatusCode::CREATED, Json(MadePass { pass: PassView::new(pass, web.house().now().utc), link })))
}

/// Shows a pass.
#[utoipa::path(get, path = "/passes/{id}", tag = "passes", params(("id" = String, Path)), responses((status = 200, body = WholePass)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<WholePass>> {
    let pass = passes::own(&web, &caller, &id).await?;
    whole(&web, pass).await
}

/// The link of a pass.
#[derive(Serialize, ToSchema)]
struct LinkView {
    /// To be sent to the guest, or shown as a QR code.
    link: String,
}

/// Shows the link of a pass again.
#[utoipa::path(get, path = "/passes/{id}/link", tag = "passes", params(("id" = String, Path)), responses((status = 200, body = LinkView)))]
async fn show_link(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<LinkView>> {
    let pass = passes::own(&web, &caller, &id).await?;
    let secret = passes::secret_of(&web, &pass).await?;
    Ok(Json(LinkView { link: link(&settings::base_url(&web), &secret) }))
}

/// What changes of a pass; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The guest's name.
    #[serde(default)]
    name: Option<String>,
    /// The doors, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    doors: Option<Vec<Doors>>,
    /// When and how often; all of it.
    #[serde(default)]
    terms: Option<Terms>,
}

/// Changes a pass: extends it, cuts it short, gives it other doors. Its link stays.
#[utoipa::path(patch, path = "/passes/{id}", tag = "passes", params(("id" = String, Path)), request_body = Edit,
    responses((status = 200, body = PassView), (status = 409, description = "It was taken back.")))]
async fn change(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(edit): Json<Edit>) -> ApiResult<Json<PassView>> {
    let grant = passes::own(&web, &caller, &id).await?.grant;
    let wish = Wish { doors: edit.doors.unwrap_or(grant.doors), actions: Actions::Act, terms: edit.terms.unwrap_or(grant.terms) };
    let pass = passes::change(&web, &caller, &id, edit.name.as_deref(), wish).await?;
    Ok(Json(PassView::new(pass, web.house().now().utc)))
}

/// Takes a pass back, at once: also what is on its way to a door by it is not done.
#[utoipa::path(post, path = "/passes/{id}/revoke", tag = "passes", params(("id" = String, Path)), responses((status = 200, body = PassView)))]
async fn revoke(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<PassView>> {
    let pass = passes::revoke(&web, &caller, &id).await?;
    Ok(Json(PassView::new(pass, web.house().now().utc)))
}

/// Removes a pass that opens nothing any more, with the guest's name.
#[utoipa::path(delete, path = "/passes/{id}", tag = "passes", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "It still opens doors; take it back first.")))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    passes::remove(&web, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
