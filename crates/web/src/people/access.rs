//! Who may open a door, and why: of one person, token or pass, or of everybody.

use crate::{ApiError, ApiResult, Web, caller};
use doorward_core::{
    policy::{self, Decision, Rights},
    scope::Scope,
    setup::DoorSetup,
};
use doorward_tunnel::scopes::Allowed;
use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    door::{Capability, DoorId},
    grant::Role,
    topic::{DoorTopic, Topic},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What one of those who might open a door may do there.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Access {
    /// What they are: `person`, `token`, `pass`, `tunnel`, `mqtt`.
    pub(crate) kind: &'static str,
    /// Identifier.
    pub(crate) id: String,
    /// The name, for people.
    pub(crate) name: String,
    /// Whether it is allowed.
    pub(crate) allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) denied: Option<Reason>,
    /// Everything that was looked at, and what it says.
    pub(crate) reasons: Vec<String>,
}

impl Access {
    fn new(kind: &'static str, id: &str, name: &str, decision: Decision) -> Self {
        let Decision { allowed, denied, reasons, permit: _ } = decision;
        Self { kind, id: id.into(), name: name.into(), allowed, denied, reasons }
    }

    /// The same, of a right that has ended by itself.
    fn ended(mut self, what: &str, until: Option<Time>, at: Time) -> Self {
        if let Some(until) = until.filter(|until| *until <= at) {
            (self.allowed, self.denied) = (false, Some(Reason::Expired));
            self.reasons.insert(0, format!("{what} ended at {until}"));
        }
        self
    }
}

/// What opens a door.
pub(crate) fn opening(can: &[Capability]) -> ActionWord {
    if can.contains(&Capability::Unlock) { ActionWord::Unlock } else { ActionWord::Open }
}

/// Whether a person, token or pass may do something at a door; `who` is an identifier, or a name that only one of them has.
pub(crate) async fn of_one(web: &Web, who: &str, door: &DoorSetup, action: ActionWord, at: Time) -> ApiResult<Access> {
    let mut known = of_everybody(web, door, action, at).await?;
    known
        .retain(|access| matches!(access.kind, "person" | "token" | "pass") && (access.id == who || access.name.eq_ignore_ascii_case(who)));
    // Of a person and what they named after themselves the person is meant.
    known.sort_by_key(|access| access.id != who);
    let exact = known.first().is_some_and(|access| access.id == who);
    let people = known.iter().filter(|access| access.kind == "person").count();
    match known.len() {
        0 => Err(ApiError::NotFound("person, token or pass with this id or name")),
        _ if exact => Ok(known.swap_remove(0)),
        1 => Ok(known.swap_remove(0)),
        _ if people == 1 => known.into_iter().find(|access| access.kind == "person").ok_or(ApiError::NotFound("person with this name")),
        _ => Err(ApiError::Unprocessable("who: several have this name; give the id".into())),
    }
}

/// Everybody and everything that could ask, whether or not they may. What has ended or was taken back is there, too, with
/// the reason.
pub(crate) async fn of_everybody(web: &Web, door: &DoorSetup, action: ActionWord, at: Time) -> ApiResult<Vec<Access>> {
    let store = web.house().store();
    let ask = |rights: &Rights| policy::decide(rights, door.place(), action, at);
    let mut all = Vec::new();
    for person in store.people().await? {
        let mut access = Access::new("person", &person.id, &person.name, ask(&store.rights_of(&person).await?));
        if super::roles::role_of(&person) == Role::Service {
            access.reasons.push("a service acts by its tokens alone".into());
        }
        all.push(access);
    }
    for row in store.tokens().await? {
        let (rights, _) = match caller::rights_of_token(web, &row.token).await {
            Err(ApiError::NotAuthenticated) => (Rights::none(), None),
            rights => rights?,
        };
        let access = Access::new("token", &row.token.id, &row.token.name, ask(&rights));
        all.push(access.ended("the token", row.expires, at));
    }
    for pass in store.passes().await? {
        let rights = store.rights_of_pass(&pass).await?;
        all.push(Access::new("pass", &pass.id, &pass.name, ask(&rights)));
    }
    for key in store.tunnel_keys().await? {
        let rights = Allowed::read(&key.scopes).map(|allowed| allowed.doors()).unwrap_or_default();
        all.push(Access::new("tunnel", &key.name, &key.name, ask(&rights)));
    }
    let topic = Topic::Door(door.id.clone(), DoorTopic::Set).to_string();
    for user in store.mqtt_users().await? {
        let doors = user.publish.allow_topic(&topic).then(|| Scope::DoorsAct(Some(door.id.clone())));
        let mut decision = ask(&Scope::rights(doors.as_slice()));
        if decision.allowed {
            decision.reasons = vec![format!("MQTT user {} may publish at {topic}", user.name)];
        }
        all.push(Access::new("mqtt", &user.name, &user.name, decision));
    }
    Ok(all)
}

/// A door as it is set up.
pub(crate) async fn door(web: &Web, id: &DoorId) -> ApiResult<DoorSetup> {
    web.house().store().door(id).await?.ok_or(ApiError::NotFound("door with this id"))
}
