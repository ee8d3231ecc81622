//! Webhooks and what is on its way to them.

use crate::house::{House, at, contains, event, gate, home, tell, write};
use doorward_core::{Secret, record::Record};
use doorward_store::{AddedWebhook, NextDelivery, Store, StoreError, TryEnd, Webhook, WebhookStanding};
use doorward_wire::{
    event::EventKind,
    webhook::{DeliveryState, DisabledWhy, WebhookId, WebhookState},
};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

pub(crate) fn webhook(id: &str) -> Webhook {
    Webhook {
        id: id.parse().unwrap(),
        name: "Home \"ü\"".into(),
        url: "https://hooks.example/in?room=1".into(),
        kinds: Some(vec![EventKind::DoorRing, EventKind::DoorOpened]),
        doors: vec![gate()],
        allow_private: false,
        disabled: None,
        previous_until: None,
        seen: 0,
        created: at(1),
    }
}

fn id(text: &str) -> WebhookId {
    text.parse().unwrap()
}

pub(crate) async fn added(store: &Store, webhook: &Webhook) -> Secret<String> {
    match store.add_webhook(webhook).await.unwrap() {
        AddedWebhook::Added(secret) => secret,
        other @ (AddedWebhook::Taken | AddedWebhook::TooMany) => panic!("{other:?}"),
    }
}

/// A webhook for which so many events are queued.
async fn queued(store: &Store, name: &str, events: i64) -> WebhookId {
    added(store, &webhook(name)).await;
    tell(store, usize::try_from(events).unwrap()).await;
    let wanted: Vec<i64> = (1..=events).collect();
    assert!(store.queue_deliveries(&id(name), 0, events, &wanted, at(10)).await.unwrap());
    id(name)
}

async fn next(store: &Store, id: &WebhookId, seconds: u64) -> NextDelivery {
    store.next_delivery(id, at(seconds), at(seconds).plus(Duration::from_hours(10))).await.unwrap()
}

async fn due(store: &Store, id: &WebhookId, seconds: u64) -> (String, i64) {
    match next(store, id, seconds).await {
        NextDelivery::Due(delivery) => (delivery.message, delivery.event),
        other @ (NextDelivery::At(_) | NextDelivery::Nothing) => panic!("{other:?}"),
    }
}

fn delivered() -> TryEnd {
    TryEnd { state: DeliveryState::Delivered, status: Some(204), error: None, next: None }
}

fn failed() -> TryEnd {
    TryEnd { state: DeliveryState::Failed, status: None, error: Some("no connection".into()), next: None }
}

fn again(seconds: u64) -> TryEnd {
    TryEnd { state: DeliveryState::Pending, status: Some(500), error: Some("answered 500".into()), next: Some(at(seconds)) }
}

pub(crate) async fn a_webhook_is_added_changed_and_removed(house: &House) {
    let store = house.open().await;
    let mut ours = webhook("home");
    let secret = added(&store, &ours).await;
    assert!(secret.reveal().starts_with("whsec_") && secret.reveal().len() == 50, "256 bits");
    assert!(matches!(store.add_webhook(&ours).await.unwrap(), AddedWebhook::Taken));
    let every = Webhook { kinds: None, doors: Vec::new(), allow_private: true, seen: 7, created: at(2), ..webhook("every") };
    assert_ne!(added(&store, &every).await, secret);
    assert_eq!(store.webhooks().await.unwrap(), [ours.clone(), every.clone()]);
    assert_eq!(store.webhook(&id("every")).await.unwrap(), Some(every));
    assert_eq!(store.webhook(&id("nobody")).await.unwrap(), None);

    ours = Webhook { name: "Away".into(), url: "http://127.0.0.1:1/".into(), kinds: None, doors: vec![], allow_private: true, ..ours };
    assert!(store.update_webhook(&ours).await.unwrap() && !store.update_webhook(&webhook("nobody")).await.unwrap());
    assert_eq!(store.webhook(&ours.id).await.unwrap(), Some(ours.clone()));
    assert_eq!(store.webhook_secrets(&ours.id, at(1)).await.unwrap(), [secret]);
    assert!(store.remove_webhook(&ours.id).await.unwrap() && !store.remove_webhook(&ours.id).await.unwrap());
    assert_eq!(store.webhook_secrets(&ours.id, at(1)).await.unwrap(), []);
}

pub(crate) async fn a_house_has_at_most_fifty_webhooks(house: &House) {
    let store = house.open().await;
    for number in 0..50 {
        added(&store, &webhook(&format!("number_{number}"))).await;
    }
    assert!(matches!(store.add_webhook(&webhook("one_more")).await.unwrap(), AddedWebhook::TooMany));
    assert!(store.remove_webhook(&id("number_7")).await.unwrap());
    added(&store, &webhook("one_more")).await;
}

pub(crate) async fn a_secret_is_sealed_and_the_one_before_signs_along_for_a_day(house: &House) {
    let store = house.open().await;
    let first = added(&store, &webhook("home")).await;
    let (second, until) = store.rotate_webhook(&id("home"), at(100)).await.unwrap().unwrap();
    assert_eq!(until, at(100 + DAY));
    assert_eq!(store.webhook_secrets(&id("home"), at(99 + DAY)).await.unwrap(), [second.clone(), first.clone()], "the newest first");
    assert_eq!(store.webhook_secrets(&id("home"), until).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.webhook(&id("home")).await.unwrap().unwrap().previous_until, Some(until));
    assert!(store.rotate_webhook(&id("nobody"), at(100)).await.unwrap().is_none());

    for secret in [&first, &second] {
        let (all, bare) = (house.at_rest().await, secret.reveal().trim_start_matches("whsec_"));
        assert!(contains(&all, b"hooks.example"), "this looks in the right place");
        assert!(!contains(&all, bare.as_bytes()));
    }
    assert_eq!(store.purge_webhook_secrets(at(99 + DAY)).await.unwrap(), 0);
    assert_eq!(store.purge_webhook_secrets(until).await.unwrap(), 1);
    assert_eq!(store.webhook(&id("home")).await.unwrap().unwrap().previous_until, None);

    added(&store, &webhook("other")).await;
    house.sql("UPDATE webhooks SET sealed = (SELECT sealed FROM webhooks WHERE id = 'home') WHERE id = 'other'").await;
    let error = store.webhook_secrets(&id("other"), at(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "a sealed secret cannot be moved: {error:?}");
}

pub(crate) async fn a_webhook_wants_what_it_names_and_nothing_of_itself(house: &House) {
    let store = house.open().await;
    let about = |kind: EventKind, door: bool, webhook: &str| {
        let event = event(kind).data(serde_json::json!({ "webhook": webhook }));
        if door { event } else { doorward_core::record::NewEvent { door: None, ..event } }
    };
    let events = vec![
        about(EventKind::DoorRing, true, ""),
        about(EventKind::DoorRing, false, ""),
        about(EventKind::DoorLocked, true, ""),
        about(EventKind::WebhookChanged, false, "home"),
        about(EventKind::WebhookDisabled, false, "home"),
    ];
    let written = write(&store, Record::Events { events, told: None }).await.events;
    let wanted = |webhook: &Webhook| -> Vec<i64> { written.iter().filter(|event| webhook.wants(event)).map(|event| event.id).collect() };
    let ours = webhook("home");
    assert_eq!(wanted(&ours), [1]);
    assert_eq!(wanted(&Webhook { doors: Vec::new(), ..ours.clone() }), [1, 2]);
    assert_eq!(wanted(&Webhook { kinds: None, ..ours.clone() }), [1, 3]);
    assert_eq!(wanted(&Webhook { kinds: None, doors: Vec::new(), ..ours.clone() }), [1, 2, 3, 5]);
    assert_eq!(wanted(&Webhook { kinds: None, doors: Vec::new(), ..webhook("other") }), [1, 2, 3, 4, 5]);

    added(&store, &ours).await;
    house.sql("UPDATE webhooks SET kinds_json = '[\"door.of_tomorrow\"]'").await;
    let older = store.webhook(&ours.id).await.unwrap().unwrap();
    assert_eq!(wanted(&older), [] as [i64; 0], "a kind that is not known does not stand for every kind");
}

pub(crate) async fn events_are_queued_once_and_sent_in_their_order(house: &House) {
    let store = house.open().await;
    let home = queued(&store, "home", 3).await;
    assert_eq!(store.webhook(&home).await.unwrap().unwrap().seen, 3);
    assert!(!store.queue_deliveries(&home, 2, 3, &[3], at(10)).await.unwrap(), "it was moved on");
    assert!(!store.queue_deliveries(&id("nobody"), 0, 3, &[3], at(10)).await.unwrap());
    assert!(store.queue_deliveries(&home, 5, 9, &[], at(10)).await.unwrap(), "past events that it does not want");
    assert_eq!(store.pending_deliveries(&home).await.unwrap(), 3);

    let (first, event) = due(&store, &home, 10).await;
    assert!(event == 1 && first.starts_with("msg_") && first.len() == 36, "{first}");
    assert!(store.claim_delivery(&first, 0, at(10), at(40)).await.unwrap());
    assert!(!store.claim_delivery(&first, 0, at(10), at(40)).await.unwrap(), "one try is counted once");
    let (second, event) = due(&store, &home, 10).await;
    assert_eq!(event, 2, "others go on");
    assert_eq!(due(&store, &home, 40).await, (first.clone(), 1), "whoever claimed it did not come back");
    assert!(store.claim_delivery(&first, 1, at(40), at(70)).await.unwrap());
    assert!(!store.end_try(&first, 1, &delivered(), at(41)).await.unwrap(), "that try is not the one that counts");
    assert!(store.end_try(&first, 2, &again(45), at(41)).await.unwrap());

    for (message, attempts) in [(&second, 0), (&due_after(&store, &home, &second).await, 0)] {
        assert!(store.claim_delivery(message, attempts, at(41), at(71)).await.unwrap());
        assert!(store.end_try(message, attempts + 1, &delivered(), at(42)).await.unwrap());
    }
    assert_eq!(next(&store, &home, 42).await, NextDelivery::At(at(45)));
    assert_eq!(due(&store, &home, 45).await.0, first);
    let hour_earlier = store.next_delivery(&home, at(0), at(44)).await.unwrap();
    assert!(matches!(hour_earlier, NextDelivery::Due(_)), "a clock that was set back holds nothing up: {hour_earlier:?}");
    assert!(store.claim_delivery(&first, 2, at(45), at(75)).await.unwrap());
    assert!(store.end_try(&first, 3, &delivered(), at(46)).await.unwrap());
    assert_eq!(next(&store, &home, 99).await, NextDelivery::Nothing);

    let listed = store.deliveries(&home, None, 2).await.unwrap();
    assert_eq!(listed.iter().map(|delivery| delivery.event).collect::<Vec<_>>(), [3, 2], "the newest first");
    let oldest = store.deliveries(&home, Some(2), 9).await.unwrap().remove(0);
    assert_eq!((oldest.attempts, oldest.status, oldest.error.as_deref(), oldest.next), (3, Some(204), None, None));
    assert_eq!((oldest.created, oldest.tried, oldest.finished), (at(10), Some(at(45)), Some(at(46))));
    assert_eq!((oldest.kind, oldest.door.as_ref()), (Some(EventKind::DoorRing), Some(&gate())));
    assert_eq!(store.delivery(&home, &first).await.unwrap(), Some(oldest));
    assert_eq!(store.delivery(&id("nobody"), &first).await.unwrap(), None);
    assert_eq!(store.event(2).await.unwrap().unwrap().account.as_deref(), Some(self::home().as_str()));
    assert_eq!(store.event(99).await.unwrap(), None);
}

/// What is due once this message is out of the way.
async fn due_after(store: &Store, id: &WebhookId, message: &str) -> String {
    let all = store.deliveries(id, None, 10).await.unwrap();
    let event = all.iter().find(|delivery| delivery.message == message).unwrap().event;
    all.into_iter().find(|delivery| delivery.event == event + 1).unwrap().message
}

pub(crate) async fn what_was_given_up_is_tried_again_by_hand_alone(house: &House) {
    let store = house.open().await;
    let home = queued(&store, "home", 1).await;
    let (message, _) = due(&store, &home, 10).await;
    let standing = async || store.webhook_standings().await.unwrap().get(&home).copied().unwrap();
    assert_eq!((standing().await.pending, standing().await.state()), (1, WebhookState::Waiting));
    store.claim_delivery(&message, 0, at(10), at(40)).await.unwrap();
    store.end_try(&message, 1, &again(15), at(11)).await.unwrap();
    assert_eq!(standing().await.state(), WebhookState::Retrying);
    store.claim_delivery(&message, 1, at(15), at(45)).await.unwrap();
    store.end_try(&message, 2, &failed(), at(16)).await.unwrap();
    assert_eq!(standing().await, WebhookStanding { pending: 0, retrying: 0, delivered: None, failed: Some(at(16)) });
    assert_eq!(standing().await.state(), WebhookState::Failing);
    assert_eq!(next(&store, &home, 99_999).await, NextDelivery::Nothing);

    assert!(store.retry_delivery(&home, &message, at(50)).await.unwrap());
    assert!(!store.retry_delivery(&home, "msg_unknown", at(50)).await.unwrap());
    assert!(!store.retry_delivery(&id("other"), &message, at(50)).await.unwrap());
    assert_eq!(due(&store, &home, 50).await.0, message, "the same message");
    store.claim_delivery(&message, 2, at(50), at(80)).await.unwrap();
    store.end_try(&message, 3, &delivered(), at(51)).await.unwrap();
    assert_eq!(standing().await.state(), WebhookState::Working);
    let delivery = store.delivery(&home, &message).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts, delivery.error), (DeliveryState::Delivered, 3, None));
    assert!(store.webhook_standings().await.unwrap().len() == 1, "a webhook without deliveries is left out");
}

pub(crate) async fn a_disabled_webhook_gives_up_what_is_on_its_way_and_begins_anew(house: &House) {
    let store = house.open().await;
    let home = queued(&store, "home", 3).await;
    let (message, _) = due(&store, &home, 10).await;
    store.claim_delivery(&message, 0, at(10), at(40)).await.unwrap();
    assert!(!store.enable_webhook(&home).await.unwrap(), "it is enabled");
    assert_eq!(store.disable_webhook(&home, DisabledWhy::Gone, at(11)).await.unwrap(), Some(3));
    assert_eq!(store.disable_webhook(&home, DisabledWhy::Person, at(11)).await.unwrap(), None);
    assert_eq!(store.webhook(&home).await.unwrap().unwrap().disabled, Some(DisabledWhy::Gone));
    assert_eq!(next(&store, &home, 99_999).await, NextDelivery::Nothing);
    assert!(!store.queue_deliveries(&home, 3, 4, &[], at(12)).await.unwrap());
    assert!(!store.end_try(&message, 1, &again(15), at(12)).await.unwrap(), "it is not tried again");
    assert!(store.end_try(&message, 1, &delivered(), at(12)).await.unwrap(), "but what was taken was taken");

    tell(&store, 5).await;
    assert!(store.enable_webhook(&home).await.unwrap());
    let enabled = store.webhook(&home).await.unwrap().unwrap();
    assert_eq!((enabled.disabled, enabled.seen), (None, 8), "what happened meanwhile is not sent");
    assert!(store.remove_webhook(&home).await.unwrap());
    assert_eq!(store.deliveries(&home, None, 10).await.unwrap(), []);
}

pub(crate) async fn only_the_newest_thousand_finished_deliveries_are_kept(house: &House) {
    let store = house.open().await;
    let home = queued(&store, "home", 1200).await;
    queued_for_another(&store).await;
    assert_eq!(store.pending_deliveries(&home).await.unwrap(), 1200, "what waits is not thrown away");
    house.sql("UPDATE webhook_deliveries SET state = 'delivered', finished_at = 1 WHERE seq <> 3").await;
    assert!(store.queue_deliveries(&home, 1200, 1201, &[], at(20)).await.unwrap());
    let kept = store.deliveries(&home, None, 2000).await.unwrap();
    assert_eq!(kept.len(), 1001);
    assert_eq!(kept.iter().rev().take(2).map(|delivery| delivery.event).collect::<Vec<_>>(), [3, 201], "and one that waits");
    assert_eq!(store.deliveries(&id("other"), None, 10).await.unwrap().len(), 2, "each webhook has its own");

    // An event that is not kept any more is still counted.
    house.sql("DELETE FROM events WHERE seq = 1200").await;
    let newest = store.deliveries(&home, None, 1).await.unwrap().remove(0);
    assert_eq!((newest.event, newest.kind, newest.door), (1200, None, None));
}

async fn queued_for_another(store: &Store) {
    added(store, &webhook("other")).await;
    assert!(store.queue_deliveries(&id("other"), 0, 2, &[1, 2], at(10)).await.unwrap());
}
