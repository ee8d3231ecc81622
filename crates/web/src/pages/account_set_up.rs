//! Setting an account up after its sign-in: which plants it registers at, whom it trusts, and the files of an older client.

use super::{
    account::{Extra, page, unknown, view},
    account_card::AccountCard,
    accounts::{ConfirmPage, Csrf, Said},
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::Texts,
    visitor::{Errand, Visitor},
};
use crate::{
    ApiError, ApiResult, Web,
    api::{self, params::At},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Multipart, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::scope::Scope;
use doorward_wire::account::AccountId;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A page does not wait longer than this for the vendor to list the plants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files that are taken at once.
const MOST_FILES: usize = 8;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/accounts/{id}/set-up", get(show).post(register))
        .route("/accounts/{id}/forget", get(confirm_forget).post(forget))
        .route("/accounts/{id}/trust", post(trust))
        .route("/accounts/{id}/import", post(import))
        .route("/accounts/{id}/export", post(export))
}

#[derive(Template)]
#[template(path = "account_set_up.html")]
struct SetUpPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: AccountId,
    name: String,
    card: AccountCard,
    listed: Listed,
    /// Why nothing could be listed.
    trouble: Option<String>,
    /// Why it was not registered.
    error: Option<String>,
    /// The plants that are ticked.
    chosen: Vec<String>,
}

/// What the driver lists.
#[derive(Default, Deserialize)]
struct Listed {
    #[serde(default)]
    plants: Vec<Plant>,
    /// Gateways where it is registered and that the vendor does not list.
    #[serde(default)]
    unlisted: Vec<Unlisted>,
    /// Fingerprints of the authorities that are pinned.
    #[serde(default)]
    authorities: Vec<String>,
    /// Fingerprints of others that the vendor names now.
    #[serde(default)]
    offered: Vec<String>,
}

#[derive(Deserialize)]
struct Unlisted {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Plant {
    id: String,
    name: String,
    #[serde(default)]
    gateways: Vec<Gateway>,
}

#[derive(Deserialize)]
struct Gateway {
    #[serde(default)]
    id: String,
    name: String,
    #[serde(default)]
    doors: Vec<String>,
    #[serde(default)]
    registered: bool,
}

/// A gateway that doorward uses, and whether the vendor still lists it.
struct Used<'a> {
    id: &'a str,
    /// With its home, since gateways are mostly called by their model.
    name: String,
    /// Its doors; what the vendor calls it where it lists none.
    detail: String,
    listed: bool,
}

impl<'a> Used<'a> {
    fn at(plant: &Plant, gateway: &'a Gateway) -> Self {
        let Gateway { id, name, doors, .. } = gateway;
        let detail = if doors.is_empty() { id.clone() } else { doors.join(", ") };
        Self { id, name: format!("{}, {name}", plant.name), detail, listed: true }
    }

    fn unlisted(gateway: &'a Unlisted) -> Self {
        Self { id: &gateway.id, name: gateway.name.clone(), detail: gateway.id.clone(), listed: false }
    }
}

impl Plant {
    fn registered(&self) -> bool {
        self.gateways.iter().any(|gateway| gateway.registered)
    }
}

impl SetUpPage {
    fn registered(&self) -> bool {
        self.listed.plants.iter().any(Plant::registered)
    }

    fn ticked(&self, plant: &Plant) -> bool {
        self.chosen.contains(&plant.id)
    }

    /// Gateways that doorward uses.
    fn used(&self) -> Vec<Used<'_>> {
        let plants = self.listed.plants.iter();
        let listed = plants
            .flat_map(|plant| plant.gateways.iter().filter(|gateway| gateway.registered).map(move |gateway| Used::at(plant, gateway)));
        listed.chain(self.listed.unlisted.iter().map(Used::unlisted)).collect()
    }

    fn can_register(&self) -> bool {
        self.listed.plants.iter().any(|plant| !plant.gateways.is_empty())
    }
}

/// A form that was not accepted.
#[derive(Default)]
struct Tried {
    error: Option<String>,
    chosen: Option<Vec<String>>,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Query(said): Query<Said>) -> Result<Response, Oops> {
    set_up(&web, &visitor, &id, said.done.as_deref(), Tried::default()).await
}

async fn set_up(web: &Web, visitor: &Visitor, id: &AccountId, done: Option<&str>, tried: Tried) -> Result<Response, Oops> {
    let row = api::stored(web, id).await?;
    let about = web.house().about(&row.kind).unwrap_or_else(|| unknown(&row));
    if about.steps.iter().all(|step| step.name != "register") {
        return Err(ApiError::NotFound("account with a registration and this id").into());
    }
    let (listed, trouble) = match listed(web, visitor, id).await {
        Ok(listed) => (listed, None),
        Err(trouble) => (Listed::default(), Some(trouble)),
    };
    // Whoever comes for the first time most likely wants all of them.
    let registered = listed.plants.iter().any(Plant::registered);
    let fresh = listed.plants.iter().filter(|plant| !plant.gateways.is_empty() && (!registered || plant.registered()));
    let chosen = tried.chosen.unwrap_or_else(|| fresh.map(|plant| plant.id.clone()).collect());
    let failed = tried.error.is_some();
    let scene = Scene::load(web, visitor).await;
    let account = api::view(web, &row);
    let mut page = html(&SetUpPage {
        shell: Shell::new(&scene, format!("{} · {}", scene.t.set_up, row.name), Section::Accounts).live(view(&account)).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        card: AccountCard::new(&scene, &account, true),
        name: row.name,
        listed,
        trouble,
        error: tried.error,
        chosen,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

/// Asks the vendor, which may take its time.
async fn listed(web: &Web, visitor: &Visitor, id: &AccountId) -> Result<Listed, String> {
    let t = &super::texts::EN;
    let clock = web.house().clock();
    let output = tokio::select! {
        listed = api::take_step(web, id, &visitor.caller.actor, "plants", Value::Null) => listed.map_err(|error| error.to_string())?,
        () = clock.sleep_until(clock.now().mono.plus(PATIENCE)) => return Err(t.plants_late.to_owned()),
    };
    serde_json::from_value(output).map_err(|_| t.plants_nonsense.to_owned())
}

/// A form in which a name may come more than once.
type Pairs = Vec<(String, String)>;

fn all(form: &Pairs, key: &str) -> Vec<String> {
    form.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
}

/// Registers at the ticked plants. The page shows each step while it is taken.
async fn register(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Pairs>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(all(&form, "csrf").first().map_or("", String::as_str))?;
    let chosen = all(&form, "plant");
    let outcome = if chosen.is_empty() {
        Err(super::texts::EN.plants_none_chosen.to_owned())
    } else {
        let input = json!({ "plants": &chosen, "certificate": !all(&form, "certificate").is_empty() });
        api::take_step(&web, &id, &visitor.caller.actor, "register", input).await.map_err(|error| error.to_string())
    };
    match outcome {
        Ok(_) => Ok(Redirect::to(&format!("/accounts/{id}?done=account_registered")).into_response()),
        Err(error) => set_up(&web, &visitor, &id, None, Tried { error: Some(error), chosen: Some(chosen) }).await,
    }
}

#[derive(Deserialize)]
struct OfGateway {
    gateway: String,
}

/// Asks once more.
async fn confirm_forget(
    State(web): State<Web>,
    visitor: Visitor,
    At(id): At<AccountId>,
    Query(of): Query<OfGateway>,
) -> Result<Response, Oops> {
    let row = api::stored(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.forget, Section::Accounts),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/accounts/{id}/forget"),
        title: t.forget_title.into(),
        lines: vec![format!("{} · {}", row.name, of.gateway), t.forget_text.into(), t.forget_again.into()],
        hidden: vec![("gateway", of.gateway)],
        back: format!("/accounts/{id}/set-up"),
        label: t.forget,
    }))
}

/// A gateway is not used any more.
async fn forget(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Pairs>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(all(&form, "csrf").first().map_or("", String::as_str))?;
    let input = json!({ "gateway": all(&form, "gateway").first() });
    match api::take_step(&web, &id, &visitor.caller.actor, "forget", input).await {
        Ok(_) => Ok(Redirect::to(&format!("/accounts/{id}?done=gateway_forgotten")).into_response()),
        Err(error) => set_up(&web, &visitor, &id, None, Tried { error: Some(error.to_string()), chosen: None }).await,
    }
}

/// A person compared the fingerprints that were shown.
async fn trust(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Pairs>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(all(&form, "csrf").first().map_or("", String::as_str))?;
    visitor.caller.need(&Scope::Admin)?;
    let input = json!({ "sha256": all(&form, "sha256") });
    match api::take_step(&web, &id, &visitor.caller.actor, "trust", input).await {
        Ok(_) => Ok(Redirect::to(&format!("/accounts/{id}?done=account_trusts")).into_response()),
        Err(error) => set_up(&web, &visitor, &id, None, Tried { error: Some(error.to_string()), chosen: None }).await,
    }
}

/// Takes the files of an older client, whichever they are.
async fn import(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    parts: Multipart,
) -> Result<Response, Oops> {
    let (csrf, files) = uploaded(parts).await?;
    visitor.caller.check_csrf(&csrf)?;
    match api::take_step(&web, &id, &visitor.caller.actor, "import", Value::Object(files)).await {
        Ok(_) => Ok(Redirect::to(&format!("/accounts/{id}?done=account_imported")).into_response()),
        Err(error) => page(&web, &visitor, &errand, &id, Extra { import_error: Some(error.to_string()), ..Extra::default() }).await,
    }
}

/// The form's token, and the files by their names.
async fn uploaded(mut parts: Multipart) -> ApiResult<(String, Map<String, Value>)> {
    let broken = |error: axum::extract::multipart::MultipartError| ApiError::BadRequest(error.body_text());
    let (mut csrf, mut files) = (String::new(), Map::new());
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.file_name().map(ToOwned::to_owned);
        let field = part.name().unwrap_or_default().to_owned();
        let text = String::from_utf8_lossy(&part.bytes().await.map_err(broken)?).into_owned();
        match name {
            Some(name) if !name.is_empty() => _ = files.insert(name, Value::String(text)),
            None if field == "csrf" => csrf = text,
            Some(_) | None => {}
        }
        if files.len() > MOST_FILES {
            return Err(ApiError::BadRequest(format!("there are more than {MOST_FILES} files")));
        }
    }
    Ok((csrf, files))
}

#[derive(Template)]
#[template(path = "account_export.html")]
struct ExportPage {
    shell: Shell,
    t: &'static Texts,
    files: Vec<FileView>,
    back: String,
}

/// A file that is in its own link, so that it is kept nowhere.
struct FileView {
    name: String,
    link: String,
}

/// Gives out the account's secrets for another program. Who asked is written down before.
async fn export(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    let account = api::view(&web, &api::stored(&web, &id).await?);
    let mut files: Vec<FileView> = Vec::new();
    // With several gateways, each has files of its own.
    let gateways = account.stages.iter().filter_map(|stage| stage.name.strip_prefix("registration:")).map(Some);
    let gateways: Vec<Option<&str>> = gateways.collect();
    let alone = gateways.is_empty();
    for gateway in gateways.into_iter().chain(alone.then_some(None)) {
        let input = gateway.map_or(Value::Null, |gateway| json!({ "gateway": gateway }));
        let output = api::take_step(&web, &id, &visitor.caller.actor, "export", input).await?;
        for (name, content) in output.as_object().into_iter().flatten().filter(|(_, content)| !content.is_null()) {
            let link = format!("data:application/json;base64,{}", STANDARD.encode(format!("{content:#}\n")));
            if files.iter().all(|known| known.link != link) {
                let own = gateway.filter(|_| files.iter().any(|known| known.name == *name));
                files.push(FileView { name: own.map_or_else(|| name.clone(), |gateway| format!("{gateway}-{name}")), link });
            }
        }
    }
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&ExportPage {
        shell: Shell::new(&scene, scene.t.export, Section::Accounts),
        t: scene.t,
        files,
        back: format!("/accounts/{id}"),
    }))
}
