//! Accounts: how each stands with its vendor, signing it in, and its settings.

use super::{
    account_card::AccountCard,
    account_form::{self, Filled, FormView, Wrong},
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
use doorward_engine::SetUpError;
use doorward_store::StoredAccount;
use doorward_wire::account::{AccountId, AccountState};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/accounts", get(list))
        .route("/accounts/new", get(choose).post(add))
        .route("/accounts/{id}", get(show))
        .route("/accounts/{id}/renew", post(renew))
        .route("/accounts/{id}/settings", post(change))
        .route("/accounts/{id}/sign-in", post(start))
        .route("/accounts/{id}/sign-in/finish", post(finish))
        .route("/accounts/{id}/push", post(push))
        .route("/accounts/{id}/remove", get(confirm).post(remove))
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    shell: Shell,
    t: &'static Texts,
    cards: Vec<AccountCard>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let accounts = web.house().store().accounts().await?;
    Ok(html(&AccountsPage {
        shell: Shell::new(&scene, scene.t.accounts, Section::Accounts).live("accounts").done(said.done.as_deref()),
        t: scene.t,
        cards: accounts.iter().map(|row| AccountCard::new(&scene, &api::view(&web, row), false)).collect(),
    }))
}

#[derive(Template)]
#[template(path = "account_new.html")]
struct NewPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    form: Option<FormView>,
    kinds: Vec<Kind>,
}

struct Kind {
    value: &'static str,
    label: &'static str,
    help: &'static str,
}

#[derive(Deserialize)]
struct Choose {
    kind: Option<String>,
}

async fn choose(State(web): State<Web>, visitor: Visitor, Query(choose): Query<Choose>) -> Response {
    let scene = Scene::load(&web, &visitor).await;
    // Where there is only one kind, there is nothing to choose.
    let mut kinds = api::offered(&web);
    let about = match choose.kind {
        Some(kind) => kinds.into_iter().find(|about| about.kind == kind),
        None => kinds.pop().filter(|_| kinds.is_empty()),
    };
    let form = about.map(|about| account_form::view(&about, "", &Filled::Nothing, &Wrong::default(), true));
    new_page(&scene, form)
}

fn new_page(scene: &Scene, form: Option<FormView>) -> Response {
    html(&NewPage {
        shell: Shell::new(scene, scene.t.add_account, Section::Accounts),
        t: scene.t,
        csrf: scene.csrf.clone(),
        form,
        kinds: api::offered(&scene.web)
            .into_iter()
            .map(|about| Kind { value: about.kind, label: about.title, help: about.summary })
            .collect(),
    })
}

type Fields = HashMap<String, String>;

fn text<'a>(form: &'a Fields, key: &str) -> &'a str {
    form.get(key).map_or("", String::as_str)
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(text(&form, "csrf"))?;
    let kind = text(&form, "_kind");
    let about = web.house().about(kind).ok_or(ApiError::NotFound("driver of this kind"))?;
    let settings = account_form::read(&about, &form);
    let wrong = match name_of(text(&form, "_name")) {
        Ok(name) => match web.house().add_account(kind, &name, settings, &visitor.caller.actor).await {
            Ok(id) => return Ok(Redirect::to(&format!("/accounts/{id}?done=account_added#sign-in")).into_response()),
            Err(error) => wrong(error)?,
        },
        Err(error) => Wrong { error: Some(error.to_string()), ..Wrong::default() },
    };
    let scene = Scene::load(&web, &visitor).await;
    let nothing = doorward_core::driver::Settings::default();
    let view = account_form::view(&about, text(&form, "_name"), &Filled::Form(&form, &nothing), &wrong, true);
    let mut page = new_page(&scene, Some(view));
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page)
}

/// What a person can mend in the form; everything else is an error page.
fn wrong(error: SetUpError) -> Result<Wrong, ApiError> {
    match error {
        SetUpError::Mistakes(mistakes) => Ok(Wrong { error: None, mistakes }),
        SetUpError::Managed(_) => Ok(Wrong { error: Some(error.to_string()), ..Wrong::default() }),
        SetUpError::UnknownKind(_)
        | SetUpError::OnlyInFile(_)
        | SetUpError::UnknownAccount
        | SetUpError::UnknownDoor
        | SetUpError::UnknownSite
        | SetUpError::SiteInUse(_)
        | SetUpError::Store(_) => Err(error.into()),
    }
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
    push: Option<PushView>,
    doors: Vec<DoorLine>,
    form: FormView,
    locked: bool,
}

struct SignInView {
    title: &'static str,
    text: &'static str,
    start_label: String,
    open_label: String,
    url: Option<String>,
    waiting: bool,
    urgent: bool,
    open: bool,
    error: Option<String>,
}

/// Pushes, where the driver takes them and the account is signed in.
struct PushView {
    registered: bool,
    /// Where doorward is reached from outside.
    address: Option<String>,
    error: Option<String>,
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
struct Extra {
    done: Option<String>,
    url: Option<String>,
    sign_in_error: Option<String>,
    push_error: Option<String>,
    form: Option<(Fields, Wrong)>,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Query(said): Query<Said>) -> Result<Response, Oops> {
    page(&web, &visitor, &id, Extra { done: said.done, ..Extra::default() }).await
}

async fn page(web: &Web, visitor: &Visitor, id: &AccountId, extra: Extra) -> Result<Response, Oops> {
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
    let failed = extra.sign_in_error.is_some() || extra.push_error.is_some() || extra.form.is_some();
    let takes_pushes = about.steps.iter().any(|step| step.name == "push") && account.state != AccountState::New;
    let push = takes_pushes.then(|| PushView {
        registered: account.push_registered,
        address: web.config().public_url.clone(),
        error: extra.push_error,
    });
    let mut page = html(&AccountPage {
        shell: Shell::new(&scene, &row.name, Section::Accounts).live(format!("account:{id}")).done(extra.done.as_deref()),
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        card: AccountCard::new(&scene, &account, true),
        signin: sign_in_view(&scene, &about, account.state, extra.url, extra.sign_in_error),
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

/// A driver that this program does not have any more.
fn unknown(row: &StoredAccount) -> About {
    tracing::warn!(account = %row.id, kind = row.kind, "this program has no such driver");
    About {
        kind: "",
        title: "",
        summary: "",
        fields: &[],
        steps: &[],
        verify: Vec::new(),
        stale_after: std::time::Duration::MAX,
        calls: &[],
        only_in_file: false,
    }
}

fn sign_in_view(scene: &Scene, about: &About, state: AccountState, url: Option<String>, error: Option<String>) -> Option<SignInView> {
    let t = scene.t;
    let step = |name| about.steps.iter().find(|step| step.name == name);
    let (start, _) = (step("start")?, step("exchange")?);
    let urgent = matches!(state, AccountState::New | AccountState::NeedsSignIn);
    let vendor = scene.vendor_of(about.kind);
    Some(SignInView {
        title: if urgent { t.sign_in_title } else { t.sign_in_again_title },
        text: if urgent { t.sign_in_text } else { t.sign_in_again_text },
        start_label: if error.is_some() { t.start_again.into() } else { start.label.into() },
        open_label: t.open_vendor(&vendor),
        waiting: url.is_some(),
        open: urgent || url.is_some() || error.is_some(),
        url,
        urgent,
        error,
    })
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

async fn change(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Fields>) -> Result<Response, Oops> {
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
    page(&web, &visitor, &id, Extra { form: Some((form, wrong)), ..Extra::default() }).await
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

/// The vendor's page is good for minutes and holds keys, so it is shown in the answer and kept nowhere.
async fn start(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let extra = match api::take_step(&web, &id, "start", json!({})).await {
        Ok(output) => match output["authorize_url"].as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
            Some(url) => Extra { url: Some(url.to_owned()), ..Extra::default() },
            None => Extra { sign_in_error: Some(super::texts::EN.no_authorize_url.into()), ..Extra::default() },
        },
        Err(error) => Extra { sign_in_error: Some(error.to_string()), ..Extra::default() },
    };
    page(&web, &visitor, &id, extra).await
}

#[derive(Deserialize)]
struct Pasted {
    csrf: String,
    pasted: String,
}

async fn finish(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Pasted>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    match api::take_step(&web, &id, "exchange", json!({ "callback_url": form.pasted.trim() })).await {
        Ok(_) => Ok(Redirect::to(&format!("/accounts/{id}?done=account_signed_in")).into_response()),
        Err(error) => page(&web, &visitor, &id, Extra { sign_in_error: Some(error.to_string()), ..Extra::default() }).await,
    }
}

/// Gives the vendor's cloud the address under which it can reach doorward.
async fn push(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let result = match &web.config().public_url {
        Some(url) => api::take_step(&web, &id, "push", json!({ "public_url": url })).await.map(drop),
        None => Err(ApiError::Conflict(super::texts::EN.push_address_missing.into())),
    };
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/accounts/{id}?done=push_registered")).into_response()),
        Err(error) => page(&web, &visitor, &id, Extra { push_error: Some(error.to_string()), ..Extra::default() }).await,
    }
}

/// Asks once more before something is gone.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) shell: Shell,
    pub(super) t: &'static Texts,
    pub(super) csrf: String,
    pub(super) action: String,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) back: String,
    pub(super) label: &'static str,
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>) -> Result<Response, Oops> {
    let row = api::stored(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.remove_account, Section::Accounts),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/accounts/{id}/remove"),
        title: t.remove_account_of(&row.name),
        lines: vec![t.remove_account_doors(api::view(&web, &row).doors), t.remove_account_text.into()],
        hidden: Vec::new(),
        back: format!("/accounts/{id}"),
        label: t.remove_account,
    }))
}

async fn remove(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().remove_account(&id, &visitor.caller.actor).await?;
    Ok(Redirect::to("/accounts?done=account_removed"))
}
