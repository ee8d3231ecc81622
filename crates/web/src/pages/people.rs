//! People and groups: who is there, and in short what they may open.

use super::{
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    terms_form::Fields,
    texts::{EN, Texts},
    visitor::{Visitor, encode},
};
use crate::{
    ApiError, Web,
    people::{
        rights::{self, Wish},
        roles::{self, role_of},
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::{Group, Holder, Person, StoredGrant};
use doorward_wire::grant::{Actions, Doors, Role, Terms};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/people", get(list).post(add))
        .route("/people/groups", post(add_group))
        .route("/people/groups/{id}", post(change_group))
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    people: Vec<PersonLine>,
    groups: Vec<GroupLine>,
    roles: Vec<RoleChoice>,
    may: Vec<(String, String)>,
    name: String,
    wrong: Wrong,
}

/// A person in the list.
struct PersonLine {
    href: String,
    name: String,
    role: &'static str,
    tone: &'static str,
    note: String,
}

/// A group, with everybody as a tick.
struct GroupLine {
    id: String,
    name: String,
    note: String,
    people: Vec<(String, String, bool)>,
}

pub(super) struct RoleChoice {
    pub(super) value: Role,
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) on: bool,
}

/// What was wrong with a form of this page.
#[derive(Default)]
struct Wrong {
    person: Option<String>,
    group: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    page(&web, &visitor, said.done.as_deref(), String::new(), Wrong::default()).await
}

async fn page(web: &Web, visitor: &Visitor, done: Option<&str>, name: String, wrong: Wrong) -> Result<Response, Oops> {
    let scene = Scene::load(web, visitor).await;
    let store = web.house().store();
    let (people, groups, grants) = (store.people().await?, store.groups().await?, store.grants().await?);
    let failed = wrong.person.is_some() || wrong.group.is_some();
    let mut page = html(&PeoplePage {
        shell: Shell::new(&scene, scene.t.people.title, Section::People).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        people: people.iter().map(|person| person_line(&scene, person, &groups, &grants)).collect(),
        groups: groups.iter().map(|group| group_line(&scene, group, &people, &grants)).collect(),
        roles: role_choices(scene.t, Role::Resident),
        may: may(&scene),
        name,
        wrong,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

fn person_line(scene: &Scene, person: &Person, groups: &[Group], grants: &[StoredGrant]) -> PersonLine {
    let role = role_of(person);
    let own = |grant: &&StoredGrant| match &grant.holder {
        Holder::Person(id) => *id == person.id,
        Holder::Group(id) => groups.iter().any(|group| group.id == *id && group.members.contains(&person.id)),
        Holder::Pass(_) => false,
    };
    let opens = opens(scene, grants.iter().filter(own));
    PersonLine {
        href: format!("/people/{}", encode(&person.id)),
        name: if person.id == scene.me { scene.t.name_and_you(&person.name) } else { person.name.clone() },
        role: scene.t.role(role).0,
        tone: if role == Role::Administrator { "busy" } else { "calm" },
        note: if role == Role::Administrator { scene.t.people.every_door.into() } else { opens },
    }
}

/// What rights open together, in a line.
fn opens<'a>(scene: &Scene, grants: impl Iterator<Item = &'a StoredGrant>) -> String {
    let mut doors: Vec<Doors> =
        grants.filter(|grant| !grant.grant("").is_over(scene.now)).flat_map(|grant| grant.doors.iter().cloned()).collect();
    doors.sort_unstable();
    doors.dedup();
    if doors.is_empty() {
        return scene.t.people.nothing_yet.into();
    }
    if doors.contains(&Doors::All) {
        doors = vec![Doors::All];
    }
    scene.t.doors_named(&doors, |one| doors_name(scene, one))
}

/// Doors as people call them.
pub(super) fn doors_name(scene: &Scene, doors: &Doors) -> String {
    match doors {
        Doors::All => scene.t.people.every_door.into(),
        Doors::Site(site) => format!("{} {}", scene.t.people.every_door_of, scene.site_name(site)),
        Doors::One(id) => scene.web.house().board().door(id).map_or_else(|| id.to_string(), |door| door.name),
    }
}

fn group_line(scene: &Scene, group: &Group, people: &[Person], grants: &[StoredGrant]) -> GroupLine {
    let own = |grant: &&StoredGrant| matches!(&grant.holder, Holder::Group(id) if *id == group.id);
    GroupLine {
        id: group.id.clone(),
        name: group.name.clone(),
        note: opens(scene, grants.iter().filter(own)),
        people: people.iter().map(|person| (person.id.clone(), person.name.clone(), group.members.contains(&person.id))).collect(),
    }
}

pub(super) fn role_choices(t: &'static Texts, chosen: Role) -> Vec<RoleChoice> {
    let choice = |role: &Role| {
        let (name, help) = t.role(*role);
        RoleChoice { value: *role, name, help, on: *role == chosen }
    };
    Role::ALL.iter().map(choice).collect()
}

/// What a new person or group may open from the beginning.
fn may(scene: &Scene) -> Vec<(String, String)> {
    let mut may = vec![(String::new(), scene.t.people.nothing_yet.to_owned())];
    let sites = scene.sites().iter().filter(|_| scene.sites().len() > 1).map(|site| Doors::Site(site.id.clone()));
    let doors = scene.doors().into_iter().map(|door| Doors::One(door.id));
    may.extend([Doors::All].into_iter().chain(sites).chain(doors).map(|doors| (doors.to_string(), doors_name(scene, &doors))));
    may
}

#[derive(Deserialize)]
struct NewPerson {
    csrf: String,
    name: String,
    role: Role,
    #[serde(default)]
    may: String,
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<NewPerson>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let person = match roles::add(&web, &visitor.caller, &form.name, form.role).await {
        Ok(person) => person,
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => {
            let wrong = Wrong { person: Some(EN.explain(&error)), ..Wrong::default() };
            return page(&web, &visitor, None, form.name, wrong).await;
        }
        Err(error) => return Err(error.into()),
    };
    give_at_once(&web, &visitor, Holder::Person(person.id.clone()), &form.may).await?;
    Ok(Redirect::to(&format!("/people/{}?done=person_added", encode(&person.id))).into_response())
}

async fn give_at_once(web: &Web, visitor: &Visitor, holder: Holder, may: &str) -> Result<(), Oops> {
    if let Ok(doors) = may.parse::<Doors>() {
        let wish = Wish { doors: vec![doors], actions: Actions::Act, terms: Terms::default() };
        rights::give(web, &visitor.caller, holder, wish).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct NewGroup {
    csrf: String,
    name: String,
    #[serde(default)]
    may: String,
}

async fn add_group(State(web): State<Web>, visitor: Visitor, Form(form): Form<NewGroup>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    match rights::add_group(&web, &visitor.caller, &form.name).await {
        Ok(group) => {
            give_at_once(&web, &visitor, Holder::Group(group.id), &form.may).await?;
            Ok(Redirect::to("/people?done=saved#groups").into_response())
        }
        Err(error @ ApiError::Unprocessable(_)) => {
            page(&web, &visitor, None, String::new(), Wrong { group: Some(EN.explain(&error)), ..Wrong::default() }).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn change_group(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<Fields>,
) -> Result<Response, Oops> {
    let text = |key: &str| form.get(key).map_or("", String::as_str);
    visitor.caller.check_csrf(text("csrf"))?;
    if form.contains_key("remove") {
        rights::remove_group(&web, &visitor.caller, &id).await?;
        return Ok(Redirect::to("/people?done=group_removed#groups").into_response());
    }
    let members = form.keys().filter_map(|key| key.strip_prefix("member:")).map(ToOwned::to_owned).collect();
    match rights::change_group(&web, &visitor.caller, &id, Some(text("name")), Some(members)).await {
        Ok(_) => Ok(Redirect::to("/people?done=saved#groups").into_response()),
        Err(error @ ApiError::Unprocessable(_)) => {
            page(&web, &visitor, None, String::new(), Wrong { group: Some(EN.explain(&error)), ..Wrong::default() }).await
        }
        Err(error) => Err(error.into()),
    }
}
