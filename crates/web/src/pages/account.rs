//! The page of one account: how it stands, its doors, its settings.

use super::{
    account_card::AccountCard,
    account_form::{self, Filled, FormView, Wrong},
    account_sign_in::{Begun, SignInView},
    accounts::{Csrf, Fields, Said, text, wrong},
    scene::{Scene, name_of},
    shell::{Flash, FlashArea, Oops, Section, Shell, fragment, html},
    texts::{Texts, state::Tone},
    visitor::{Errand, Visitor},
};
use crate::{
    ApiError, Web,
    api::{self, params::At},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::driver::{About, Action};
use doorward_store::StoredAccount;
use doorward_wire::account::{Account, AccountId, AccountState, Stage, StageState, is_signed_in};
use serde::Deserialize;
use serde_json::json;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/accounts/{id}", get(show))
        .route("/accounts/{id}/renew", post(renew))
        .route("/accounts/{id}/settings", post(change))
        .route("/accounts/{id}/push", post(push))
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: AccountId,
    card: AccountCard,
    signin: Option<SignInView>,
    set_up: Option<SetUp>,
    push: Option<PushView>,
    doors: Vec<DoorLine>,
    form: FormView,
    locked: bool,
}

/// Pushes, where the driver takes them and the account is signed in.
struct PushView {
    registered: bool,
    /// Where doorward is reached from outside.
    address: Option<String>,
    error: Option<String>,
}

/// What a driver with a registration has besides its sign-in.
struct SetUp {
    /// Something is registered; unknown while nobody is signed in.
    registered: Option<bool>,
    imports: bool,
    exports: bool,
    import_error: Option<String>,
}

impl SetUp {
    fn new(about: &About, account: &Account, import_error: Option<String>) -> Option<Self> {
        let has = |name| about.steps.iter().any(|step| step.name == name);
        let done = |stage: &Stage| stage.name.starts_with("registration") && stage.state == StageState::Done;
        let registered = account.stages.iter().any(done);
        has("register").then(|| Self {
            registered: is_signed_in(account.state, &account.stages).then_some(registered),
            imports: has("import"),
            exports: has("export") && registered,
            import_error,
        })
    }
}

struct DoorLine {
    id: String,
    name: String,
    icon: &'static str,
    word: &'static str,
    tone: Tone,
}

/// What a page of an account shows besides what is so.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) done: Option<String>,
    /// The vendor's sign-in page, and whether it is served on this machine.
    pub(super) begun: Option<Begun>,
    pub(super) sign_in_error: Option<String>,
    pub(super) import_error: Option<String>,
    pub(super) push_error: Option<String>,
    pub(super) form: Option<(Fields, Wrong)>,
}

async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Query(said): Query<Said>,
) -> Result<Response, Oops> {
    page(&web, &visitor, &errand, &id, Extra { done: said.done, ..Extra::default() }).await
}

/// The page of an account.
pub(super) async fn page(web: &Web, visitor: &Visitor, errand: &Errand, id: &AccountId, extra: Extra) -> Result<Response, Oops> {
    let row = api::stored(web, id).await?;
    let scene = Scene::load(web, visitor).await;
    let account = api::view(web, &row);
    let about = web.house().about(&row.kind).unwrap_or_else(|| unknown(&row));
    let doors = web.house().board().doors().into_iter().filter(|door| door.account.as_deref() == Some(id.as_str()));
    let doors = doors.map(|door| {
        let face = scene.t.door_state(door.state, door.kind);
        DoorLine { id: door.id.to_string(), name: door.name, icon: face.icon, word: face.word, tone: face.tone }
    });
    let form = match &extra.form {
        Some((form, wrong)) => account_form::view(&about, text(form, "_name"), &Filled::Form(form, &row.settings), wrong, false),
        None => account_form::view(&about, &row.name, &Filled::Stored(&row.settings), &Wrong::default(), false),
    };
    let failed = extra.sign_in_error.is_some() || extra.import_error.is_some() || extra.push_error.is_some() || extra.form.is_some();
    let takes_pushes = about.steps.iter().any(|step| step.name == "push") && account.state != AccountState::New;
    let push = takes_pushes.then(|| PushView {
        registered: account.push_registered,
        address: web.config().public_url.clone(),
        error: extra.push_error,
    });
    let mut page = html(&AccountPage {
        shell: Shell::new(&scene, &row.name, Section::Accounts).live(view(&account)).done(extra.done.as_deref()),
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        card: AccountCard::new(&scene, &account, true),
        signin: SignInView::new(&scene, errand, &about, &account, extra.begun, extra.sign_in_error),
        set_up: SetUp::new(&about, &account, extra.import_error),
        push,
        doors: doors.collect(),
        form,
        locked: row.managed,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

/// The live view of an account's page: it is loaded again when the account is not signed in, or out, any more as it was.
pub(super) fn view(account: &Account) -> String {
    let standing = if is_signed_in(account.state, &account.stages) { "in" } else { "out" };
    format!("account:{}:{standing}", account.id)
}

/// A driver that this program does not have any more.
pub(super) fn unknown(row: &StoredAccount) -> About {
    tracing::warn!(account = %row.id, kind = row.kind, "this program has no such driver");
    About {
        kind: "",
        title: "",
        summary: "",
        fields: &[],
        steps: &[],
        verify: Vec::new(),
        stale_after: std::time::Duration::MAX,
        signs_in_here: false,
        calls: &[],
        only_in_file: false,
    }
}

#[derive(Deserialize)]
struct RenewForm {
    csrf: String,
    lease: String,
}

async fn renew(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Form(form): Form<RenewForm>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let row = api::stored(&web, &id).await?;
    let result = web.house().call(&id, Action::Renew(form.lease)).await;
    if errand.live.is_none() {
        result?;
        return Ok(Redirect::to(&format!("/accounts/{id}?done=renewed")).into_response());
    }
    let scene = Scene::load(&web, &visitor).await;
    let flash = match result {
        Ok(_) => Flash::good(scene.t.renewed),
        Err(fault) => Flash::bad(fault.person),
    };
    let card = AccountCard::new(&scene, &api::view(&web, &row), true);
    Ok(Html(fragment(&card) + &fragment(&FlashArea { flash: Some(flash) })).into_response())
}

async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Form(form): Form<Fields>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(text(&form, "csrf"))?;
    let row = api::stored(&web, &id).await?;
    let about = web.house().about(&row.kind).ok_or(ApiError::NotFound("driver of this kind"))?;
    let settings = account_form::read(&about, &form);
    let wrong = match name_of(text(&form, "_name")) {
        Ok(name) => match web.house().update_account(&id, Some(&name), settings, &visitor.caller.actor).await {
            Ok(()) => return Ok(Redirect::to(&format!("/accounts/{id}?done=saved")).into_response()),
            Err(error) => wrong(error)?,
        },
        Err(error) => Wrong { error: Some(error.to_string()), ..Wrong::default() },
    };
    page(&web, &visitor, &errand, &id, Extra { form: Some((form, wrong)), ..Extra::default() }).await
}

/// Gives the vendor's cloud the address under which it can reach doorward.
async fn push(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Form(form): Form<Csrf>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let result = match &web.config().public_url {
        Some(url) => api::take_step(&web, &id, &visitor.caller.actor, "push", json!({ "public_url": url })).await.map(drop),
        None => Err(ApiError::Conflict(super::texts::EN.push_address_missing.into())),
    };
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/accounts/{id}?done=push_registered")).into_response()),
        Err(error) => page(&web, &visitor, &errand, &id, Extra { push_error: Some(error.to_string()), ..Extra::default() }).await,
    }
}
