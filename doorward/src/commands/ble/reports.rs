//! What a lock that stands alone tells its issuer: every attempt, refused ones too, in their order and none twice by number.
//!
//! The audit is the queue: how far the broker has it is noted in the store, so what happened while the broker was away, or the lock
//! was not running, is told when both are there again. Whoever hears a number twice counts it once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use doorward_core::{
    driver::{Family, Message},
    keeper::Notice,
    record::NewEvent,
};
use doorward_engine::{Handle, Line as _};
use doorward_mqtt::remote::Alone;
use doorward_store::{EventQuery, StoreError};
use doorward_wire::{
    attempt::Reason,
    ble::{
        LockId,
        order::{LockEvent, LockEventKind, Refusal},
        token::Nonce,
        topic::LockTopic,
    },
    event::{Event, EventKind},
};
use serde_json::json;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// Under which name it is noted how far the broker has them.
const CURSOR: &str = "ble reports";
/// Events that are made up for at most; older ones stay in the audit and are told to nobody.
const MOST: u32 = 10_000;
/// Bytes of events that are made up for at most.
const MOST_BYTES: u64 = 8 << 20;
/// Events that are read at once.
const PAGE: u32 = 50;
/// When something could not be read or told, it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// Bytes of a name in a report.
const MOST_NAME: usize = 64;

/// What is told, and as what.
const KINDS: [(EventKind, LockEventKind); 4] = [
    (EventKind::DoorOpened, LockEventKind::Opened),
    (EventKind::DoorUnconfirmed, LockEventKind::Accepted),
    (EventKind::DoorRefused, LockEventKind::Refused),
    (EventKind::DoorFailed, LockEventKind::Failed),
];

/// Tells for as long as the house runs.
pub(super) async fn run(house: &Handle, lock: &LockId, line: &Alone) {
    let (mut notices, mut up, mut refused) = (house.subscribe(), line.up(), false);
    loop {
        let is_up = *up.borrow_and_update();
        let told = if is_up { tell(house, lock, line, &mut refused).await } else { Ok(true) };
        if let Err(error) = &told {
            tracing::warn!(%error, "what happened could not be read for its report");
        }
        let all = matches!(told, Ok(true));
        loop {
            tokio::select! {
                notice = notices.recv() => match notice {
                    Ok(notice) if matches!(*notice, Notice::Event(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
                Ok(()) = up.changed() => break,
                () = house.clock().sleep_until(house.now().mono.plus(AGAIN)), if is_up && !all => break,
            }
        }
    }
}

/// Tells what the broker does not have yet; says whether it has all. That it refuses reports is logged once.
async fn tell(house: &Handle, lock: &LockId, line: &Alone, refused: &mut bool) -> Result<bool, StoreError> {
    let store = house.store();
    let noted = store.note(CURSOR).await?.and_then(|noted| noted.parse().ok()).unwrap_or(0);
    let mut cursor: i64 = store.backlog(noted, MOST, MOST_BYTES).await?;
    if cursor > noted {
        tracing::warn!(count = cursor - noted, "events were too many to be told when the MQTT broker came back; they are in the audit");
        let dropped = NewEvent::new(house.now().utc, EventKind::MqttEventsDropped).data(json!({ "count": cursor - noted }));
        house.record(vec![dropped]).await?;
    }
    loop {
        let events = store.events(&EventQuery { after: Some(cursor), limit: PAGE, ..EventQuery::default() }).await?;
        if events.is_empty() {
            return Ok(true);
        }
        let before = cursor;
        for event in &events {
            if let Some(report) = report(event)
                && !publish(lock, line, &report, refused).await
            {
                break;
            }
            cursor = event.id;
        }
        if cursor > before {
            store.set_note(CURSOR, &cursor.to_string()).await?;
        }
        if events.last().is_some_and(|last| last.id > cursor) {
            return Ok(false);
        }
    }
}

/// Says whether the broker has it.
async fn publish(lock: &LockId, line: &Alone, report: &LockEvent, refused: &mut bool) -> bool {
    let Ok(payload) = serde_json::to_vec(report) else { return true };
    let topic = LockTopic::Event(lock.clone()).to_string();
    let sent = line.publish(Message { topic: topic.clone(), payload, retain: false, fresh_for: None }).await;
    let is_refused = sent.as_ref().is_err_and(|fault| fault.family == Family::Refused);
    if is_refused && !*refused {
        tracing::warn!(topic, "the MQTT broker does not let the lock tell what happens: give it the right to publish there");
    }
    *refused = is_refused;
    sent.is_ok()
}

/// What is told of an event; `None` when it is no attempt, or how one begins.
fn report(event: &Event) -> Option<LockEvent> {
    // A contact may see the door open without anybody's attempt.
    let told = event.kind != EventKind::DoorOpened || event.attempt.is_some();
    let kind = KINDS.iter().find(|(kind, _)| told && *kind == event.kind)?.1;
    // Not the lock refused, but what was to open the door.
    let kind = if event.reason == Some(Reason::VendorRefused) { LockEventKind::Failed } else { kind };
    let about = &event.data["about"];
    let (by, session) = (event.actor.as_ref().map(|actor| actor.id.as_str()), about["session"].as_str());
    let name = about["client"].as_str().or(by.filter(|by| nonce(by).is_none())).filter(|name| name.len() <= MOST_NAME);
    Some(LockEvent {
        id: u64::try_from(event.id).ok()?,
        time: u64::try_from(event.time.as_micros()).unwrap_or(0) / 1_000_000,
        kind,
        reason: if kind == LockEventKind::Refused { event.reason.map(|reason| refusal(reason, event)) } else { None },
        nonce: session.or(by).and_then(nonce),
        client_id: name.map(str::to_owned),
        rssi: about["rssi"].as_i64().and_then(|rssi| i8::try_from(rssi).ok()),
    })
}

/// The nonce of a session, which is eight bytes; the id of a command is none.
fn nonce(text: &str) -> Option<Nonce> {
    let is_session = URL_SAFE.decode(text).is_ok_and(|bytes| bytes.len() == 8);
    is_session.then(|| text.parse().ok()).flatten()
}

/// The lock's own word for why it refused, which the audit has in the words of all doors.
fn refusal(reason: Reason, event: &Event) -> Refusal {
    let about = &event.data["about"];
    let (has_session, has_rssi) = (about["session"].is_string(), about["rssi"].is_i64());
    let gesture = about["how"].as_str().is_some_and(|how| how == "challenge" || how == "pass");
    match reason {
        Reason::NotEnrolled if has_session => Refusal::OtherPhone,
        Reason::NotEnrolled => Refusal::UnknownToken,
        Reason::Replay => Refusal::Replay,
        Reason::Expired => Refusal::Expired,
        Reason::Revoked => Refusal::Revoked,
        Reason::WeakSignal if has_rssi => Refusal::TooFar,
        Reason::WeakSignal => Refusal::RssiUnknown,
        Reason::NoClock => Refusal::NoTime,
        Reason::DoorMode => Refusal::TokenNotEnough,
        Reason::StaleCommand if gesture => Refusal::ChallengeOver,
        Reason::BadSignature if gesture => Refusal::WrongResponse,
        Reason::BadSignature => Refusal::Signature,
        Reason::BadRequest => Refusal::Malformed,
        Reason::StaleCommand
        | Reason::NoGrant
        | Reason::NotYet
        | Reason::OutOfHours
        | Reason::UsesExhausted
        | Reason::WrongCode
        | Reason::RateLimited
        | Reason::NeedsSecondPerson
        | Reason::Offline
        | Reason::AuditUnavailable
        | Reason::NeedsSignIn
        | Reason::VendorRefused
        | Reason::Protocol
        | Reason::OutcomeUnknown
        | Reason::Jammed
        | Reason::Superseded
        | Reason::NoEvidence
        | Reason::Contradicted
        | Reason::NotCapable
        | Reason::Busy
        | Reason::NotOwner
        | Reason::NotAuthenticated
        | Reason::ForeignOrigin => Refusal::NotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_wire::{
        Time,
        attempt::{Actor, ActorKind},
    };
    use serde_json::Value;

    fn event(kind: EventKind, actor: Option<&str>, reason: Option<Reason>, about: &Value) -> Event {
        let actor = actor.map(|id| Actor { kind: ActorKind::Device, id: id.into(), name: None });
        let (time, data) = (Time::from_seconds(1_795_352_253), json!({ "about": about }));
        Event { id: 7, time, kind, door: None, account: None, device: None, actor, reason, attempt: None, data }
    }

    fn told(event: &Event) -> Value {
        json!(report(event).unwrap())
    }

    #[test]
    fn an_attempt_is_told_in_the_words_of_locks() {
        let let_in = event(EventKind::DoorUnconfirmed, Some("AAECAwQFBgc="), Some(Reason::NoEvidence), &Value::Null);
        assert_eq!(told(&let_in), json!({ "id": 7, "time": 1_795_352_253, "kind": "accepted", "nonce": "AAECAwQFBgc=" }));
        let command = event(EventKind::DoorFailed, Some("from-the-desk"), None, &Value::Null);
        assert_eq!(told(&command), json!({ "id": 7, "time": 1_795_352_253, "kind": "failed", "client_id": "from-the-desk" }));
        let broken = event(EventKind::DoorRefused, Some("AAECAwQFBgc="), Some(Reason::VendorRefused), &Value::Null);
        assert_eq!(told(&broken)["kind"], "failed");
        let about = json!({ "how": "token", "client": "key", "rssi": -91, "session": "AAECAwQFBgc=" });
        let refused = told(&event(EventKind::DoorRefused, None, Some(Reason::WeakSignal), &about));
        assert_eq!((&refused["reason"], &refused["rssi"], &refused["client_id"]), (&json!("too_far"), &json!(-91), &json!("key")));
        let stranger = event(EventKind::DoorRefused, None, Some(Reason::NotEnrolled), &json!({ "session": null }));
        assert_eq!(told(&stranger)["reason"], "unknown_token");
        for kind in [EventKind::Started, EventKind::AttemptRequested, EventKind::DoorOffline, EventKind::DoorOpened] {
            assert_eq!(report(&event(kind, None, None, &Value::Null)), None, "{kind}");
        }
    }
}
