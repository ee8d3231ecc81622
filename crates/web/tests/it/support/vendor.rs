//! A vendor that does as the name of its lock says.

use doorward_core::{
    Secret,
    driver::{
        About, Action, Admitted, BoxFuture, Came, Credential, Ctx, Done, Driver, Entry, Fault, Field, FieldKind, Found, How, Lease,
        Mistake, Once, Presented, Push, Report, Settings, Sight, Step, Target,
    },
};
use doorward_wire::{
    door::{Capability, DoorKind, DoorState},
    grant::Means,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(super) const ENTRY: Entry = Entry { kind: "utec", about, build };

/// Its locks, with their names.
const LOCKS: [(&str, &str); 4] = [("AA:01", "front"), ("AA:02", "gate"), ("AA:03", "cellar"), ("AA:04", "attic")];

const FIELDS: &[Field] = &[
    field("access_key", FieldKind::Text, ""),
    field("secret_key", FieldKind::Secret, ""),
    field("base_url", FieldKind::Url, "https://api.example"),
    field("status_poll_seconds", FieldKind::Number, "60"),
    field("auto_refresh_enabled", FieldKind::Switch, "true"),
    field("refresh_buffer_minutes", FieldKind::Number, "5"),
];
const STEPS: &[Step] = &[step("start"), step("exchange"), step("push"), step("plants"), step("register")];

const fn step(name: &'static str) -> Step {
    Step { name, label: name, help: "" }
}

const fn field(name: &'static str, kind: FieldKind, default: &'static str) -> Field {
    Field { name, label: name, help: "", kind, default, required: false }
}

pub(super) fn settings() -> Settings {
    Settings {
        values: BTreeMap::from([("access_key".into(), json!("the-access-key"))]),
        secrets: BTreeMap::from([("secret_key".into(), Secret::from("the-secret-key"))]),
    }
}

fn about() -> About {
    About {
        kind: "utec",
        title: "Vendor",
        summary: "",
        fields: FIELDS,
        steps: STEPS,
        verify: Vec::new(),
        stale_after: Duration::from_hours(24),
        signs_in_here: false,
        calls: &[],
        only_in_file: false,
    }
}

fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    if !settings.values.contains_key("access_key") {
        return Err(vec![Mistake { key: "access_key".into(), hint: "is missing".into() }]);
    }
    let base_url = settings.values.get("base_url").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Arc::new(Vendor { about: about(), base_url, locked: Mutex::default(), moves: Mutex::default() }))
}

struct Vendor {
    about: About,
    /// The cloud that it speaks to, which decides how well it lists plants.
    base_url: String,
    locked: Mutex<BTreeMap<String, bool>>,
    moves: Mutex<Vec<String>>,
}

impl Vendor {
    async fn turn(&self, ctx: &dyn Ctx, lock: &str, locked: bool) -> Result<Done, Fault> {
        let name = LOCKS.iter().find(|(id, _)| *id == lock).map_or("", |(_, name)| name);
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name} {}", if locked { "lock" } else { "unlock" }));
        if name == "cellar" {
            ctx.sleep(Duration::from_secs(5)).await;
            return Err(Fault::timeout("The lock did not answer. Look at the door.", "scripted"));
        }
        if name == "attic" {
            return Err(Fault::refused("The cloud says no.", "scripted").status(400));
        }
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).insert(lock.into(), locked);
        let sight = (name == "front").then(|| self.sight(lock, How::Answer));
        Ok(Done { sight, raw: Some(json!({ "payload": {} })), ..Done::default() })
    }

    fn is_locked(&self, lock: &str) -> bool {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).get(lock).copied().unwrap_or(true)
    }

    fn device(&self, lock: &str) -> Value {
        let value = if self.is_locked(lock) { "Locked" } else { "Unlocked" };
        json!({ "id": lock, "states": [{ "capability": "st.lock", "name": "lockState", "value": value }] })
    }

    fn sight(&self, lock: &str, how: How) -> Sight {
        let state = if self.is_locked(lock) { DoorState::Locked } else { DoorState::Unlocked };
        Sight { state: Some(state), online: Some(true), raw: Some(self.device(lock)), ..Sight::new(how) }
    }

    /// As careless clouds do, it answers about every lock, and names another one first.
    fn answer(&self, lock: &str) -> Value {
        let others = LOCKS.iter().filter(|(id, _)| *id != lock).map(|(id, _)| self.device(id));
        let devices: Vec<Value> = others.chain([self.device(lock)]).collect();
        json!({ "header": { "name": "Query" }, "payload": { "devices": devices } })
    }

    async fn plants(&self, ctx: &dyn Ctx) -> Result<Done, Fault> {
        match self.base_url.as_str() {
            "https://late.example" => ctx.sleep(Duration::from_hours(1)).await,
            "https://odd.example" => return Ok(output(json!({ "plants": "none" }))),
            "https://away.example" => return Err(Fault::offline("The cloud is <away>.", "scripted")),
            "https://empty.example" => return Ok(output(json!({}))),
            _ => {}
        }
        let registered = self.moves.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|done| done.starts_with("register"));
        let unit = json!({ "name": "Unit <1>", "doors": ["Drive", "Garden"], "registered": registered });
        Ok(output(json!({ "plants": [
            { "id": "p-1", "name": "Villa <b>", "gateways": [unit] },
            { "id": "p-2", "name": "Cottage", "gateways": [{ "name": "Unit", "doors": [] }] },
            { "id": "p-3", "name": "Bare", "gateways": [] },
        ] })))
    }

    /// The cottage cannot be registered.
    fn register(&self, input: &str) -> Result<Done, Fault> {
        if input.contains("p-2") {
            return Err(Fault::refused("The cottage is <not> yours.", "scripted"));
        }
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).push(format!("register {input}"));
        Ok(Done::default())
    }

    async fn act_on(&self, ctx: &dyn Ctx, target: &Target, action: Action) -> Result<Done, Fault> {
        let lock = match target {
            Target::Door { external, .. } => external.as_str(),
            Target::Account => "",
        };
        match action {
            Action::Lock(_) => self.turn(ctx, lock, true).await,
            Action::Unlock(_) | Action::Open(_) => self.turn(ctx, lock, false).await,
            Action::Refresh if lock.is_empty() => {
                Ok(Done { raw: Some(json!({ "payload": { "devices": LOCKS.map(|(id, _)| self.device(id)) } })), ..Done::default() })
            }
            Action::Refresh => {
                let sight = self.sight(lock, How::Polled { requested: ctx.now().mono });
                Ok(Done { sight: Some(sight), raw: Some(self.answer(lock)), ..Done::default() })
            }
            Action::Renew(_) => {
                ctx.report(Report::Lease(lease(ctx, true)));
                Ok(Done::default())
            }
            Action::Setup { step, input } if step == "start" => {
                Ok(output(json!({ "authorize_url": "https://oauth.example/authorize?state=1", "input": input.reveal().clone() })))
            }
            Action::Setup { step, .. } if step == "push" => {
                ctx.report(Report::Push(Push { registered: true, last: None }));
                Ok(Done::default())
            }
            Action::Setup { step, .. } if step == "plants" => self.plants(ctx).await,
            Action::Setup { step, input } if step == "register" => self.register(input.reveal()),
            Action::Setup { .. } => Ok(output(
                json!({ "access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 604_800, "signed_in": true }),
            )),
            Action::Credential(Credential::Delete { .. }) => Ok(Done::default()),
            Action::Credential(Credential::Update { id, wish }) => {
                let given = wish.pin.is_some();
                let change = format!("code {id}: name {:?}, pin {given}, kind {:?}", wish.name, wish.kind);
                self.moves.lock().unwrap_or_else(PoisonError::into_inner).push(change);
                Ok(Done::default())
            }
            Action::Credential(_) => Ok(output(json!([{ "id": "1", "name": "Guest", "kind": "normal", "state": "set" }]))),
            Action::Call(name) if name == "devices" => {
                let devices = LOCKS.map(|(id, name)| json!({ "id": id, "name": name, "category": "smartlock" }));
                Ok(Done { raw: Some(json!({ "payload": { "devices": devices } })), ..Done::default() })
            }
            Action::Call(name) if name.starts_with("ring") => ring(ctx, &name),
            Action::Call(name) if name.starts_with("present") => present(ctx, &name).await,
            Action::Call(name) if name.starts_with("admit") => admit(ctx, &name),
            Action::Call(name) if name.starts_with("relay") => relay(ctx, &name).await,
            Action::EndRing { call, end } => {
                self.moves.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{call} {end}"));
                Ok(Done::default())
            }
            Action::Call(name) if name == "moves" => Ok(output(json!(*self.moves.lock().unwrap_or_else(PoisonError::into_inner)))),
            Action::Deliver(delivery) if delivery.authorization.as_ref().is_some_and(|given| given.reveal() == "Bearer right") => {
                Ok(Done::default())
            }
            Action::Call(_) | Action::Deliver(_) | Action::Discover => Err(Fault::refused("No.", "scripted")),
        }
    }
}

/// `ring front call-1`: somebody rings; `rings over call-1 cancelled`: they gave up.
fn ring(ctx: &dyn Ctx, what: &str) -> Result<Done, Fault> {
    match what.split(' ').collect::<Vec<_>>()[..] {
        ["ring", door, call] => {
            ctx.report(Report::Ring { external: external(door), call: call.into(), from: Some("Main <entrance>".into()) });
        }
        ["rings", "over", call, end] => {
            let end = end.parse().map_err(|_| Fault::refused("No.", "scripted"))?;
            ctx.report(Report::RingEnded { call: call.into(), end });
        }
        _ => return Err(Fault::refused("No.", "scripted")),
    }
    Ok(Done::default())
}

/// `present front nonce`: somebody presents a session at a lock; `present front nonce vouched`: one of another issuer;
/// `present front nonce waits`: and waits for what comes of it.
async fn present(ctx: &dyn Ctx, what: &str) -> Result<Done, Fault> {
    let words: Vec<&str> = what.split(' ').collect();
    let ["present", door, credential, ..] = words[..] else { return Err(Fault::refused("No.", "scripted")) };
    let vouched = words.contains(&"vouched");
    let presented = Presented { external: external(door), credential: credential.into(), means: Means::Ble, vouched };
    if words.contains(&"waits") {
        ctx.present(presented).await?;
    } else {
        ctx.report(Report::Presented(presented));
    }
    Ok(Done::default())
}

/// `admit front nonce`: a lock let somebody in by itself.
fn admit(ctx: &dyn Ctx, what: &str) -> Result<Done, Fault> {
    let ["admit", door, credential] = what.split(' ').collect::<Vec<_>>()[..] else { return Err(Fault::refused("No.", "scripted")) };
    let (external, credential) = (external(door), credential.to_owned());
    let about = json!({ "at": 1, "rssi": -50 });
    ctx.report(Report::Admitted(Admitted { external, credential, actor: None, means: Means::Ble, came: Came::Opened, about }));
    Ok(Done::default())
}

/// `relay front gate`: somebody was let in at one door, and that opens another one.
async fn relay(ctx: &dyn Ctx, what: &str) -> Result<Done, Fault> {
    let ["relay", from, to] = what.split(' ').collect::<Vec<_>>()[..] else { return Err(Fault::refused("No.", "scripted")) };
    let to = to.parse().map_err(|_| Fault::refused("No.", "scripted"))?;
    let once = Once { not_after: ctx.now().utc.plus(Duration::from_secs(5)) };
    ctx.open_for(&external(from), &to, once).await.map(|()| Done::default())
}

fn external(door: &str) -> String {
    LOCKS.iter().find(|(_, name)| *name == door).map_or("", |(id, _)| id).to_owned()
}

fn output(output: Value) -> Done {
    Done { output, ..Done::default() }
}

fn lease(ctx: &dyn Ctx, fresh: bool) -> Lease {
    let end = ctx.now().utc.plus(Duration::from_hours(24 * 7));
    Lease {
        id: "oauth".into(),
        kind: "oauth_token",
        not_after: Some(end),
        margin: Some(Duration::from_mins(5)),
        made: fresh.then(|| ctx.now().utc),
        fresh,
    }
}

impl Driver for Vendor {
    fn about(&self) -> &About {
        &self.about
    }

    fn act<'a>(&'a self, ctx: &'a dyn Ctx, target: &'a Target, action: Action) -> BoxFuture<'a, Result<Done, Fault>> {
        Box::pin(self.act_on(ctx, target, action))
    }

    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let capabilities = vec![Capability::Lock, Capability::Unlock, Capability::Refresh, Capability::Pin];
            let found = LOCKS.map(|(external, name)| Found {
                external: external.into(),
                name: name.into(),
                kind: DoorKind::Bolt,
                capabilities: capabilities.clone(),
                raw: Value::Null,
            });
            ctx.report(Report::Found(found.into()));
            for (external, _) in LOCKS {
                ctx.report(Report::Seen { external: external.into(), sight: self.sight(external, How::Pushed) });
            }
            ctx.report(Report::Lease(lease(ctx, false)));
            ctx.report(Report::Up);
            stop.await;
        })
    }
}
