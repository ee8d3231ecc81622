//! What every page looks like: the top bar, what needs attention, what was just done, and errors.

use super::{
    scene::Scene,
    texts::{EN, Texts, state::Tone},
    visitor::Visitor,
};
use crate::{ApiError, Web, caller::Caller};
use askama::Template;
use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use doorward_wire::grant::Role;
use std::sync::Arc;

/// The parts of the program, as the top bar shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Doors,
    /// People and passes.
    People,
    Accounts,
    Events,
    Fleet,
    Settings,
    /// None of them.
    Nowhere,
}

/// What surrounds a page.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) t: &'static Texts,
    pub(crate) title: String,
    pub(crate) section: Section,
    pub(crate) person: Option<String>,
    pub(crate) csrf: String,
    pub(crate) banners: String,
    pub(crate) flash: Option<Flash>,
    pub(crate) live: Option<String>,
    pub(crate) refreshes: Option<String>,
    /// The house has devices.
    pub(crate) fleet: bool,
    /// What the visitor may see of it.
    pub(crate) part: Part,
}

/// What somebody sees of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Everything,
    /// Their doors and what happened there, and passes that they make.
    Resident,
    /// Their doors.
    Guest,
}

impl Part {
    fn of(caller: &Caller) -> Self {
        match caller.role {
            Some(Role::Resident) => Self::Resident,
            Some(Role::Guest | Role::Service) => Self::Guest,
            Some(Role::Administrator) | None => Self::Everything,
        }
    }
}

/// A place in the navigation.
pub(crate) struct Item {
    pub(crate) href: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: &'static str,
    pub(crate) current: bool,
}

/// What was just done, or went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(crate) tone: Tone,
    pub(crate) icon: &'static str,
    pub(crate) text: String,
}

impl Flash {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { tone: "ok", icon: "check", text: text.into() }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { tone: "bad", icon: "alert", text: text.into() }
    }
}

impl Shell {
    /// A page for somebody who is signed in.
    pub(crate) fn new(scene: &Scene, title: impl Into<String>, section: Section) -> Self {
        Self {
            t: scene.t,
            title: title.into(),
            section,
            person: Some(scene.name.clone()),
            csrf: scene.csrf.clone(),
            banners: scene.banners(),
            flash: None,
            live: None,
            refreshes: None,
            fleet: section == Section::Fleet || scene.web.fleet().is_used(),
            part: Part::of(&scene.caller),
        }
    }

    /// A page for anybody.
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self {
            t: &EN,
            title: title.into(),
            section: Section::Nowhere,
            person: None,
            csrf: String::new(),
            banners: String::new(),
            flash: None,
            live: None,
            refreshes: None,
            fleet: false,
            part: Part::Guest,
        }
    }

    /// The same page, kept up to date by this view of the live stream.
    pub(crate) fn live(mut self, view: impl Into<String>) -> Self {
        self.live = Some(view.into());
        self
    }

    /// The same page, loaded again by itself where there is no script. The address is named without a fragment: going
    /// from `#attempt` to `#attempt` loads nothing.
    pub(crate) fn refreshes(mut self, refreshes: bool, address: impl Into<String>) -> Self {
        self.refreshes = refreshes.then(|| address.into());
        self
    }

    /// The same page, saying what was done. The word comes from the address, so it stands for a text of ours or for none.
    pub(crate) fn done(mut self, word: Option<&str>) -> Self {
        self.flash = word.and_then(|word| done(self.t, word)).map(Flash::good);
        self
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        let item = |section, href, icon, label| Item { href, icon, label, current: self.section == section };
        let doors = item(Section::Doors, "/doors", "door", self.t.doors);
        let events = item(Section::Events, "/events", "events", self.t.events);
        match self.part {
            Part::Everything => {}
            Part::Resident => return vec![doors, item(Section::People, "/passes", "ticket", self.t.people.passes), events],
            Part::Guest => return vec![doors],
        }
        let items = [
            doors,
            item(Section::People, "/people", "users", self.t.people.title),
            item(Section::Accounts, "/accounts", "cloud", self.t.accounts),
            item(Section::Fleet, "/fleet", "chip", self.t.fleet.title),
            events,
            item(Section::Settings, "/settings", "settings", self.t.settings),
        ];
        // A house without devices has no place for them.
        items.into_iter().filter(|item| self.fleet || item.href != "/fleet").collect()
    }
}

/// What `?done=` may say.
fn done(t: &'static Texts, word: &str) -> Option<&'static str> {
    Some(match word {
        "saved" => t.saved,
        "saved_for_start" => t.saved_for_start,
        "firmware_added" => t.fleet.firmware_added,
        "firmware_removed" => t.fleet.firmware_removed,
        "site_removed" => t.site_removed,
        "push_registered" => t.push_registered,
        "code_added" => t.code_added,
        "code_changed" => t.code_changed,
        "code_deleted" => t.code_deleted,
        "account_added" => t.account_added,
        "account_removed" => t.account_removed,
        "account_signed_in" => t.account_signed_in,
        "account_registered" => t.account_registered,
        "gateway_forgotten" => t.gateway_forgotten,
        "account_trusts" => t.account_trusts,
        "account_imported" => t.account_imported,
        "renewed" => t.renewed,
        "password" => t.password_changed,
        "person_removed" => t.person_removed,
        "person_added" => t.people.given_person,
        "group_removed" => t.people.group_removed,
        "right_given" => t.people.given,
        "right_taken" => t.people.taken_back,
        "session_ended" => t.locks.session_ended,
        "phone_forgotten" => t.locks.phone_forgotten,
        "pass_made" => t.people.pass_made,
        "pass_extended" => t.people.pass_extended,
        "pass_revoked" => t.people.pass_revoked,
        "pass_removed" => t.people.pass_removed,
        "token_gone" => t.token_gone,
        "webhook_enabled" => t.webhook_enabled,
        "webhook_disabled" => t.webhook_disabled,
        "webhook_retried" => t.webhook_retried,
        "webhook_removed" => t.webhook_removed,
        "mqtt_user_removed" => t.mqtt.user_removed,
        "tunnel_revoked" => t.tunnel.revoked,
        "logs_cleared" => t.logs_cleared,
        "signed_out" => t.signed_out,
        _ => return None,
    })
}

/// A template as a page.
pub(crate) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            Oops(ApiError::Stopping).into_response()
        }
    }
}

/// A template as a fragment of a page.
pub(crate) fn fragment(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a fragment could not be rendered");
        String::new()
    })
}

/// The place above a page that says what was done, as a fragment.
#[derive(Template)]
#[template(path = "_flash.html")]
pub(crate) struct FlashArea {
    pub(crate) flash: Option<Flash>,
}

/// Something went wrong, and is told on a page like the others.
#[derive(Debug)]
pub(crate) struct Oops(pub(crate) ApiError);

impl<E: Into<ApiError>> From<E> for Oops {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Marks an answer that [`dress`] turns into a page.
#[derive(Debug, Clone)]
struct Bare(Arc<ApiError>);

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        if let ApiError::Store(error) = &self.0 {
            tracing::error!(%error, "a page failed because of the store");
        }
        let mut response = self.0.status().into_response();
        if let ApiError::RateLimited(seconds) = &self.0 {
            response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
        }
        response.extensions_mut().insert(Bare(Arc::new(self.0)));
        response
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    shell: Shell,
    icon: &'static str,
    title: &'static str,
    text: String,
    link: Option<(&'static str, &'static str)>,
    status: u16,
}

/// Errors of pages are pages: whatever a handler or an extractor refused with is told in the usual surroundings.
pub(crate) async fn dress(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut asker = parts.clone();
    let wants_fragment = parts.headers.contains_key("x-live");
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let status = response.status();
    let html = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let bare = response.extensions_mut().remove::<Bare>();
    if !(status.is_client_error() || status.is_server_error()) || html || status == StatusCode::UNAUTHORIZED && bare.is_none() {
        return response;
    }
    let text = bare.map(|bare| EN.explain(&bare.0));
    let mut page = if wants_fragment {
        html_of(&FlashArea { flash: Some(Flash::bad(text.unwrap_or_else(|| EN.trouble_title.into()))) })
    } else {
        let shell = match Visitor::find(&mut asker, &web).await {
            Ok(Some(visitor)) => Shell::new(&Scene::load(&web, &visitor).await, EN.trouble_title, Section::Nowhere),
            Ok(None) | Err(_) => Shell::bare(EN.trouble_title),
        };
        html_of(&problem(shell, status, text))
    };
    *page.status_mut() = status;
    if let Some(wait) = response.headers().get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    page
}

fn html_of(template: &impl Template) -> Response {
    Html(fragment(template)).into_response()
}

fn problem(mut shell: Shell, status: StatusCode, text: Option<String>) -> ProblemPage {
    let link = Some(("/doors", EN.to_doors));
    let status_number = status.as_u16();
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        shell.title = EN.not_there_title.into();
        return ProblemPage {
            shell,
            icon: "question",
            title: EN.not_there_title,
            text: EN.not_there_text.into(),
            link,
            status: status_number,
        };
    }
    let text = text.unwrap_or_else(|| EN.form_old.to_owned());
    ProblemPage { shell, icon: "alert", title: EN.trouble_title, text, link, status: status_number }
}

/// What needs attention.
#[derive(Debug)]
pub(crate) struct Banner {
    pub(crate) tone: Tone,
    pub(crate) icon: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) link: Option<(String, &'static str)>,
}

/// All that needs attention, as a fragment.
#[derive(Template)]
#[template(path = "_banners.html")]
pub(crate) struct Banners {
    pub(crate) t: &'static Texts,
    pub(crate) banners: Vec<Banner>,
}
