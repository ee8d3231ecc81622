//! What the account does by itself.

use crate::{
    house::{FRONT, House, breathe, fine, vectors},
    recorder::{Reply, reply},
};
use doorward_core::driver::{Ctx, Report};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

fn cloud(body: &Value) -> Reply {
    if body["header"]["name"] == "Discovery" {
        reply(200, &json!({ "devices": [{ "id": FRONT, "name": "Front", "category": "LOCK" }, { "id": "lamp", "category": "LIGHT" }] }))
    } else {
        reply(200, &vectors()["query_response_example"])
    }
}

/// Watches while `scene` plays.
async fn watched(house: &House, scene: impl Future<Output = ()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watch = house.driver.watch(&*house.bench, Box::pin(async { drop(stopped.await) }));
    tokio::join!(watch, async {
        scene.await;
        stop.send(()).unwrap();
    });
}

/// Waits until the watch rests: it sleeps for longer than a request may take.
async fn settle(house: &House) {
    loop {
        breathe().await;
        let now = house.bench.now().mono;
        if house.bench.next_wake().is_some_and(|wake| wake.since(now) > Duration::from_secs(20)) {
            return;
        }
    }
}

fn asked(house: &House) -> Vec<String> {
    house.cloud.bodies().iter().map(|body| body["header"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn all_locks_are_asked_with_one_query_and_listed_every_five_minutes() {
    let house = House::signed_in(|_, body| cloud(body)).await;
    watched(&house, async {
        settle(&house).await;
        assert_eq!(asked(&house), ["Discovery", "Query"]);
        assert_eq!(house.words(), ["lease oauth fresh=false".to_owned(), "found 1".into(), format!("seen {FRONT}"), "up".into()]);
        for _ in 0..5 {
            house.bench.advance(Duration::from_mins(1));
            settle(&house).await;
        }
        assert_eq!(asked(&house)[2..], ["Query", "Query", "Query", "Query", "Discovery", "Query"]);
        assert_eq!(house.words().iter().filter(|word| *word == "up").count(), 0, "told once");
    })
    .await;
}

#[tokio::test]
async fn one_failed_poll_changes_nothing_three_do_and_the_first_success_mends_it() {
    let out = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&out);
    let house = House::signed_in(move |_, body| if flag.load(Ordering::SeqCst) { reply(503, &json!({})) } else { cloud(body) }).await;
    watched(&house, async {
        settle(&house).await;
        house.words();
        out.store(true, Ordering::SeqCst);
        for expected in [&[][..], &[], &["down Offline"], &[]] {
            house.bench.advance(Duration::from_mins(1));
            settle(&house).await;
            assert_eq!(house.words(), expected);
        }
        assert_eq!(asked(&house).len(), 6, "one question a minute, however bad it looks");
        out.store(false, Ordering::SeqCst);
        house.bench.advance(Duration::from_mins(1));
        settle(&house).await;
        assert_eq!(house.words().last().unwrap(), "up");
    })
    .await;
}

#[tokio::test]
async fn a_cloud_that_asks_to_wait_is_left_alone_that_long() {
    let house = House::signed_in(
        |number, body| if number == 1 { Reply::Answer(429, "retry-after: 240\r\n".into(), Vec::new()) } else { cloud(body) },
    )
    .await;
    watched(&house, async {
        settle(&house).await;
        for _ in 0..3 {
            house.bench.advance(Duration::from_mins(1));
            settle(&house).await;
        }
        assert_eq!(asked(&house).len(), 2);
        house.bench.advance(Duration::from_mins(1));
        settle(&house).await;
        assert!(asked(&house).len() > 2);
    })
    .await;
}

#[tokio::test]
async fn an_ended_sign_in_is_told_once_and_nothing_is_asked_until_somebody_signs_in() {
    let dead = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&dead);
    let house = House::signed_in(move |_, body| match (flag.load(Ordering::SeqCst), body.get("form").is_some()) {
        (true, true) => reply(400, &vectors()["oauth_answers"]["dead"]),
        (true, false) => reply(401, &json!({})),
        (false, _) => cloud(body),
    })
    .await;
    watched(&house, async {
        settle(&house).await;
        assert_eq!(house.words(), ["lease oauth fresh=false", "down Auth"]);
        let before = house.cloud.requests().len();
        for _ in 0..10 {
            house.bench.advance(Duration::from_mins(5));
            settle(&house).await;
        }
        assert_eq!((house.cloud.requests().len(), house.words().len()), (before, 0));
        dead.store(false, Ordering::SeqCst);
        house.setup("tokens", &json!({ "access_token": "AT4", "refresh_token": "RT4", "expires_in": 1000 })).await.unwrap();
        settle(&house).await;
        assert_eq!(house.words().last().unwrap(), "up", "without waiting for the next poll");
    })
    .await;
}

#[tokio::test]
async fn a_new_account_waits_quietly() {
    let house = House::new(fine).await;
    watched(&house, async {
        settle(&house).await;
        house.bench.advance(Duration::from_hours(1));
        settle(&house).await;
    })
    .await;
    assert!(house.cloud.requests().is_empty());
    assert!(house.words().is_empty());
}

#[tokio::test]
async fn a_lease_is_told_as_it_was_read_back() {
    let house = House::signed_in(|_, body| cloud(body)).await;
    watched(&house, settle(&house)).await;
    let Some(Report::Lease(lease)) = house.bench.reports().into_iter().next() else { panic!("no lease") };
    assert_eq!((lease.kind, lease.margin), ("oauth_token", Some(Duration::from_mins(5))));
    assert!(lease.not_after.is_some());
}
