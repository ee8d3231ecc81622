//! Passes become what each lock keeps: codes are set where the lock holds all that a pass says, changed with it, and taken
//! away with it.
//!
//! 1. [`wanted`] says what each lock should keep, from the passes that open doors now and the doors as they are.
//! 2. What is written differs from that: it is noted, and is due at once.
//! 3. What is due is done, one lock after the other; what fails is tried again later, more and more seldom.
//!
//! A code that may or may not have been made is looked for by its name before another one is made: the name is the pass's own.

use super::passes::state;
use crate::{ApiResult, Web};
use doorward_core::{
    Secret,
    driver::{Credential, Family, Fault},
    keeper::Notice,
    pass::{Asks, Plan, Radio, plan, wish},
    record::NewEvent,
};
use doorward_store::{PassDoor, StoreError, StoredPass};
use doorward_wire::{
    Time,
    attempt::{Actor, ActorKind},
    code::{Code, CodeSchedule, CodeState},
    door::DoorId,
    event::EventKind,
    grant::{Means, PassDoorState, PassState},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// How often all is looked at anyhow: passes end, and another copy of doorward may have changed some.
const LOOK: Duration = Duration::from_mins(1);
/// How long until a lock that was told something is asked what it made of it.
const SOON: Duration = Duration::from_secs(20);
/// The longest wait after tries that failed.
const SELDOM: Duration = Duration::from_mins(30);

/// Keeps the locks up to date until it is told to stop.
pub async fn run(web: Web, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut notices = web.house().subscribe();
    loop {
        if let Err(error) = round(&web).await {
            tracing::warn!(%error, "passes could not be looked at");
        }
        let look = web.house().clock().sleep_until(web.house().now().mono.plus(LOOK));
        let mut look = std::pin::pin!(look);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = &mut look => break,
                notice = notices.recv() => match notice {
                    Ok(notice) if concerns(&notice) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

fn concerns(notice: &Notice) -> bool {
    let Notice::Event(event) = notice else { return false };
    let of_pass = matches!(event.kind, EventKind::PassCreated | EventKind::PassChanged | EventKind::PassRevoked);
    of_pass || matches!(event.kind, EventKind::DoorAdded | EventKind::DoorRemoved | EventKind::SettingsChanged | EventKind::DoorOnline)
}

/// Looks at everything once, and does what is due.
pub(crate) async fn round(web: &Web) -> Result<(), StoreError> {
    let now = web.house().now().utc;
    let wanted = wanted(web, now).await?;
    let mut rows: BTreeMap<(String, DoorId), PassDoor> = BTreeMap::new();
    for row in web.house().store().pass_doors(None).await? {
        rows.insert((row.pass.clone(), row.door.clone()), row);
    }
    for (key, plan) in &wanted {
        let row = rows.remove(key).unwrap_or_else(|| fresh(key, now));
        keep(web, row, plan, now).await?;
    }
    for (_, row) in rows {
        take_away(web, row, now).await?;
    }
    Ok(())
}

/// How a pass stands at its doors, for those who made it and for its holder.
pub(crate) async fn standing(web: &Web, pass: &StoredPass) -> ApiResult<Vec<PassDoor>> {
    let now = web.house().now().utc;
    let written = web.house().store().pass_doors(Some(&pass.id)).await?;
    let mut all = Vec::new();
    for (door, means, plan) in plans(web, pass, now).await? {
        let key = (pass.id.clone(), door);
        let row = written.iter().find(|row| row.door == key.1 && row.means == means);
        let mut row = row.cloned().unwrap_or_else(|| PassDoor { means, ..fresh(&key, now) });
        match plan {
            Plan::Opens => row.state = PassDoorState::Set,
            Plan::Code(_) => {}
            Plan::Cannot(why) => (row.state, row.detail, row.pin) = (PassDoorState::Cannot, Some(why.into()), None),
        }
        all.push(row);
    }
    Ok(all)
}

/// What becomes of a pass at each of its doors.
async fn plans(web: &Web, pass: &StoredPass, now: Time) -> Result<Vec<(DoorId, Means, Plan)>, StoreError> {
    let rights = web.house().store().rights_of_pass(pass).await?;
    let asks = Asks { borrowed: pass.within.is_some(), pin: pass.has_pin };
    let mut all = Vec::new();
    for door in web.house().store().doors().await? {
        if rights.sees(&door.id, &door.site, now) {
            let lock = web.bluetooth().and_then(|bluetooth| bluetooth.lock(&door.id)).map(|lock| Radio { asks: lock.asks });
            let plans = plan(&door, &pass.grant.terms, asks, lock);
            all.extend(plans.into_iter().map(|(means, plan)| (door.id.clone(), means, plan)));
        }
    }
    Ok(all)
}

/// The codes that locks should keep.
async fn wanted(web: &Web, now: Time) -> Result<BTreeMap<(String, DoorId), CodeSchedule>, StoreError> {
    let mut wanted = BTreeMap::new();
    for pass in web.house().store().passes().await? {
        if !matches!(state(&pass, now), PassState::Active | PassState::NotYet) {
            continue;
        }
        for (door, means, plan) in plans(web, &pass, now).await? {
            if let (Means::Pin, Plan::Code(schedule)) = (means, plan) {
                wanted.insert((pass.id.clone(), door), schedule);
            }
        }
    }
    Ok(wanted)
}

fn fresh((pass, door): &(String, DoorId), now: Time) -> PassDoor {
    PassDoor {
        pass: pass.clone(),
        door: door.clone(),
        means: Means::Pin,
        state: PassDoorState::Setting,
        detail: None,
        external: None,
        pin: None,
        wish: String::new(),
        tries: 0,
        next: Some(now),
        changed: now,
    }
}

/// Brings a lock to keep a code for this time.
async fn keep(web: &Web, mut row: PassDoor, schedule: &CodeSchedule, now: Time) -> Result<(), StoreError> {
    let wished = serde_json::to_string(schedule).unwrap_or_default();
    if row.wish != wished || row.state == PassDoorState::Removing {
        (row.state, row.next, row.tries, row.detail) = (PassDoorState::Setting, Some(now), 0, None);
    }
    if row.next.is_none_or(|next| next > now) {
        return Ok(());
    }
    if row.pin.is_none() {
        row.pin = Some(Secret::new(digits(web)));
    }
    // The digits are written before the lock has them: otherwise nobody would know them.
    web.house().store().put_pass_door(&row).await?;
    match set(web, &mut row, schedule, &wished).await {
        Ok(true) => {
            (row.state, row.next, row.tries, row.detail, row.wish) = (PassDoorState::Set, None, 0, None, wished);
            tell(web, &row, true).await?;
        }
        Ok(false) => {
            (row.state, row.next, row.wish) = (PassDoorState::Setting, Some(now.plus(SOON)), wished);
        }
        Err(fault) => failed(&mut row, &fault, now),
    }
    row.changed = now;
    web.house().store().put_pass_door(&row).await
}

/// Sets a code or changes its time; `true` once the lock has it.
async fn set(web: &Web, row: &mut PassDoor, schedule: &CodeSchedule, wished: &str) -> Result<bool, Fault> {
    let known = find(web, row).await?;
    if let Some(code) = known {
        row.external = Some(code.id.clone()).filter(|id| !id.is_empty());
        if row.wish == wished {
            return Ok(code.state == CodeState::Set);
        }
        let Some(id) = row.external.clone() else { return Ok(false) };
        let change = Credential::Update { id, wish: wish(None, None, schedule.clone()) };
        change_codes(web, row, change).await?;
        return Ok(false);
    }
    let pin = row.pin.as_ref().map(|pin| pin.reveal().clone());
    let add = Credential::Add(wish(Some(name(row)), pin, schedule.clone()));
    change_codes(web, row, add).await?;
    Ok(false)
}

/// Takes what a lock keeps away again.
async fn take_away(web: &Web, mut row: PassDoor, now: Time) -> Result<(), StoreError> {
    let store = web.house().store();
    if row.state == PassDoorState::Cannot && row.external.is_none() || web.house().board().door(&row.door).is_none() {
        return store.remove_pass_door(&row).await;
    }
    if row.state != PassDoorState::Removing {
        (row.state, row.next, row.tries) = (PassDoorState::Removing, Some(now), 0);
    }
    if row.next.is_some_and(|next| next > now) {
        return Ok(());
    }
    store.put_pass_door(&row).await?;
    let gone = async {
        let Some(code) = find(web, &row).await? else { return Ok(true) };
        if code.state != CodeState::Removing && !code.id.is_empty() {
            change_codes(web, &row, Credential::Delete { id: code.id }).await?;
        }
        Ok(false)
    };
    match gone.await {
        Ok(true) => {
            tell(web, &row, false).await?;
            return store.remove_pass_door(&row).await;
        }
        Ok(false) => row.next = Some(now.plus(SOON)),
        Err(fault) => {
            failed(&mut row, &fault, now);
            row.state = PassDoorState::Removing;
            // What still opens a door is tried to be taken away for ever.
            row.next = row.next.or(Some(now.plus(SELDOM)));
        }
    }
    row.changed = now;
    store.put_pass_door(&row).await
}

/// Notes why something did not go, and when it is tried again.
fn failed(row: &mut PassDoor, fault: &Fault, now: Time) {
    tracing::info!(pass = row.pass, door = %row.door, fault = fault.log, "a code of a pass could not be set or taken away");
    row.detail = Some(fault.person.clone());
    let wait = SOON.saturating_mul(1 << row.tries.min(10)).min(SELDOM);
    row.tries += 1;
    match fault.family {
        Family::Refused => (row.state, row.next) = (PassDoorState::Cannot, None),
        Family::Auth | Family::Offline | Family::Protocol | Family::Timeout => row.next = Some(now.plus(wait)),
    }
}

/// What the lock lists under the name of the pass.
async fn find(web: &Web, row: &PassDoor) -> Result<Option<Code>, Fault> {
    let done = web.house().codes(&row.door, &actor(), Credential::List).await?;
    let listed: Vec<Code> =
        serde_json::from_value(done.output).map_err(|error| Fault::protocol("The lock did not list its codes.", error.to_string()))?;
    let name = name(row);
    Ok(listed.into_iter().find(|code| row.external.as_deref().is_some_and(|id| id == code.id) || code.name == name))
}

async fn change_codes(web: &Web, row: &PassDoor, what: Credential) -> Result<(), Fault> {
    web.house().codes(&row.door, &actor(), what).await.map(drop)
}

/// What the lock and its vendor call it: nobody's name.
fn name(row: &PassDoor) -> String {
    format!("Pass {}", row.pass.get(..8).unwrap_or(&row.pass))
}

/// Six digits, the first of which is no zero: locks of some vendors take none.
fn digits(web: &Web) -> String {
    let mut bytes = [0; 8];
    web.house().clock().fill(&mut bytes);
    // 2⁶⁴ is so much larger that no number is noticeably likelier than another.
    (100_000 + u64::from_le_bytes(bytes) % 900_000).to_string()
}

fn actor() -> Actor {
    Actor { kind: ActorKind::System, id: "pass".into(), name: None }
}

async fn tell(web: &Web, row: &PassDoor, set: bool) -> Result<(), StoreError> {
    let event = NewEvent::new(web.house().now().utc, EventKind::PassSet).door(&row.door).actor(&actor());
    web.house().record(vec![event.data(json!({ "pass": row.pass, "set": set }))]).await.map(drop)
}
