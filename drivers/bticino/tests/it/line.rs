//! One connection to the simulated registrar, which reads every field and shares no line with the client.

use crate::support::{Client, GATE, cloud, until};
use doorward_bticino::sip::{
    CallEnd, Patience,
    line::{self, Line, Lost, Order},
    session::{End, Happening},
    tls::{Trust, fingerprint},
};
use doorward_core::driver::Ctx as _;
use doorward_sim::{
    Clock as _, HandClock, SystemClock,
    legrand::{self, CaShape, Challenge, Config, Dead, Fault, Faults, HeaderForm, JsonRpc, On, Qop, Refusal, RingState, Sim, Writing},
};
use std::{sync::Arc, time::Duration};

fn accepted(end: &End) -> bool {
    matches!(end, End::Accepted { .. })
}

#[tokio::test]
async fn a_gate_opens_in_one_round_trip_over_a_warm_connection() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let before = sim.counters();
    assert!(accepted(&connected.open(GATE).await));
    let after = sim.counters();
    assert_eq!((after.message - before.message, after.challenged, after.commands_accepted), (1, 1, 1), "signed ahead of the challenge");
    assert_eq!((after.sip_malformed, after.wrong_passwords, after.stale), (0, 0, 0));
}

#[tokio::test]
async fn a_thousand_openings_at_once_are_each_sent_once() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let ends: Vec<_> = (0..1000).map(|_| connected.order(GATE)).collect();
    for end in ends {
        assert!(accepted(&end.await.unwrap()));
    }
    let counters = sim.counters();
    assert_eq!((counters.commands_accepted, counters.repeated_json_ids, counters.stale), (1000, 0, 0));
}

#[tokio::test]
async fn every_way_to_write_is_understood() {
    for writing in [Writing::Whole, Writing::Halves, Writing::Bytes, Writing::Merged] {
        for header_form in [HeaderForm::Usual, HeaderForm::Compact, HeaderForm::Small, HeaderForm::Folded] {
            for (challenge, qop) in [(Challenge::Proxy, Qop::Auth), (Challenge::Www, Qop::List), (Challenge::Proxy, Qop::Absent)] {
                let sim = cloud().await;
                sim.set_faults(Faults { writing, header_form, challenge, qop, json_rpc: JsonRpc::Ok, ..Faults::default() });
                let connected = Client::new(&sim).connect().await.unwrap();
                connected.registered().await;
                assert!(accepted(&connected.open(GATE).await), "{writing:?} {header_form:?} {challenge:?} {qop:?}");
                until("the gate answered", || connected.heard(|news| matches!(news, Happening::Replied { outcome: Ok(()), .. }))).await;
                assert_eq!(sim.counters().sip_malformed, 0);
            }
        }
    }
}

#[tokio::test]
async fn the_answer_of_a_gate_belongs_to_its_command() {
    let sim = cloud().await;
    sim.set_faults(Faults { json_rpc: JsonRpc::Error, json_rpc_number_id: true, ..Faults::default() });
    let connected = Client::new(&sim).connect().await.unwrap();
    let End::Accepted { key } = connected.open(GATE).await else { panic!("not accepted") };
    until("the gate answered", || {
        connected.heard(|news| matches!(news, Happening::Replied { gate, key: known, outcome: Err(_) } if gate == GATE && *known == key))
    })
    .await;
}

/// A cloud whose time is pushed by hand, from now on: certificates live in real time.
async fn cloud_by_hand() -> (Sim, Arc<HandClock>) {
    let clock = Arc::new(HandClock::at_ms(SystemClock.now_ms()));
    let sim = legrand::start(Config { clock: Arc::clone(&clock) as _, ..Config::default() }).await.unwrap();
    (sim, clock)
}

#[tokio::test]
async fn a_gate_that_takes_its_time_still_answers_to_its_own_command() {
    let (sim, clock) = cloud_by_hand().await;
    sim.set_faults(Faults { json_rpc: JsonRpc::Ok, json_rpc_delay_ms: 60_000, ..Faults::default() });
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let End::Accepted { key: first } = connected.open(GATE).await else { panic!("not accepted") };
    clock.advance(Duration::from_secs(1));
    let End::Accepted { key: second } = connected.open("21#2").await else { panic!("not accepted") };
    assert!(!connected.heard(|news| matches!(news, Happening::Replied { .. })));
    clock.advance(Duration::from_mins(1));
    for (opened, key) in [(GATE, first), ("21#2", second)] {
        let is_it =
            |news: &Happening| matches!(news, Happening::Replied { gate, key: told, outcome: Ok(()) } if gate == opened && *told == key);
        until("it answered", || connected.heard(is_it)).await;
    }
}

#[tokio::test]
async fn a_stale_nonce_costs_one_more_round_trip() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    sim.forget_nonces();
    assert!(accepted(&connected.open(GATE).await));
    let counters = sim.counters();
    assert_eq!((counters.stale, counters.commands_accepted), (1, 1));
    sim.set_faults(Faults { stale_nonce: Some(Fault::default().on(On::Message)), ..Faults::default() });
    assert!(matches!(connected.open(GATE).await, End::Refused(refusal) if refusal.status == 407 && !refusal.wrong_password));
    assert_eq!(sim.counters().commands_accepted, 1);
}

#[tokio::test]
async fn a_registration_with_a_stale_nonce_is_tried_once_more() {
    let sim = cloud().await;
    sim.set_faults(Faults { stale_nonce: Some(Fault::default().on(On::Register).times(1)), ..Faults::default() });
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    assert_eq!((sim.counters().register, sim.counters().registered), (3, 1), "challenged, stale, taken");
    let sim = cloud().await;
    sim.set_faults(Faults { stale_nonce: Some(Fault::default().on(On::Register)), ..Faults::default() });
    let connected = Client::new(&sim).connect().await.unwrap();
    let refused = |news: &Happening| matches!(news, Happening::NotRegistered(told) if told.status == 407 && !told.wrong_password);
    until("it is given up for now", || connected.heard(refused)).await;
    assert!(accepted(&connected.open(GATE).await), "and a gate opens all the same");
    assert_eq!((sim.counters().register, sim.counters().stale), (3, 2), "no storm");
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_once() {
    let sim = cloud().await;
    for (refusal, status) in [(Refusal::ChallengeAgain, 407), (Refusal::Forbidden, 403)] {
        let mut client = Client::new(&sim);
        client.enrolment.password = "wrong".into();
        sim.set_faults(Faults { refusal, ..Faults::default() });
        let before = sim.counters();
        let connected = client.connect().await.unwrap();
        until("it is refused", || connected.heard(|news| matches!(news, Happening::NotRegistered(told) if told.status == status))).await;
        let after = sim.counters();
        assert_eq!(after.wrong_passwords - before.wrong_passwords, 1, "no lock-out storm");
        if status == 407 {
            assert!(connected.heard(|news| matches!(news, Happening::NotRegistered(told) if told.wrong_password)));
        }
    }
}

#[tokio::test]
async fn a_server_that_grants_next_to_no_time_is_not_asked_without_end() {
    let sim = legrand::start(Config { registration_max: 1, ..Config::default() }).await.unwrap();
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let before = sim.counters().register;
    connected.bench.advance(Duration::from_secs(5));
    assert!(accepted(&connected.open(GATE).await));
    assert_eq!(sim.counters().register, before, "its time is over, and it was asked a moment ago");
    connected.bench.advance(Duration::from_secs(5));
    until("it is asked again", || sim.counters().register > before).await;
}

#[tokio::test]
async fn everything_but_exactly_200_is_a_refusal() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    for status in [202, 302, 404, 486, 503, 600] {
        sim.set_faults(Faults { status: Some(Fault::with(status).on(On::Message)), ..Faults::default() });
        assert!(matches!(connected.open(GATE).await, End::Refused(told) if told.status == status), "{status}");
    }
    assert_eq!(sim.counters().commands_accepted, 0);
}

#[tokio::test]
async fn a_lost_answer_to_an_opening_never_becomes_a_second_message() {
    for dead in [Dead::Silent, Dead::Close] {
        let sim = cloud().await;
        let client = Client::new(&sim);
        let connected = client.connect().await.unwrap();
        connected.registered().await;
        sim.set_faults(Faults { dead: Some(Fault::with(dead).on(On::Message).after_effect()), ..Faults::default() });
        let end = connected.order(GATE);
        until("the command arrived", || sim.counters().message == 1).await;
        client.bench.advance(Duration::from_secs(21));
        assert!(matches!(end.await.unwrap(), End::Unanswered { key: Some(_) }));
        let lost = connected.lost().await;
        assert!(matches!(lost, Lost::Silent(_) | Lost::Closed(_)), "{lost:?}: what did not answer is not used again");
        assert_eq!((sim.counters().message, sim.counters().commands_accepted), (1, 1));
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_in_two_or_garbled_ends_the_connection_and_repeats_nothing() {
    for at in [On::Register, On::Message] {
        let once = || Some(Fault::default().on(at).after_effect());
        for faults in [Faults { half_answer: once(), ..Faults::default() }, Faults { garbage: once(), ..Faults::default() }] {
            let sim = cloud().await;
            let client = Client::new(&sim);
            if at == On::Register {
                sim.set_faults(faults.clone());
            }
            let connected = client.connect().await.unwrap();
            let mut end = None;
            if at == On::Message {
                connected.registered().await;
                sim.set_faults(faults.clone());
                end = Some(connected.order(GATE));
            }
            until("it was answered so", || sim.counters().faults == 1).await;
            // Bytes that are the beginning of nothing are waited for like any others.
            client.bench.advance(Duration::from_secs(21));
            if let Some(end) = end {
                assert!(matches!(end.await.unwrap(), End::Unanswered { key: Some(_) }), "{faults:?}");
                assert_eq!((sim.counters().message, sim.counters().commands_accepted), (1, 1), "{faults:?}");
            }
            let lost = connected.lost().await;
            assert!(matches!(lost, Lost::Closed(_) | Lost::Silent(_)), "{faults:?}: {lost:?}");
        }
    }
}

#[tokio::test]
async fn a_stale_opening_is_not_sent_again_after_a_challenge() {
    let sim = cloud().await;
    let client = Client::new(&sim);
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    sim.forget_nonces();
    sim.set_faults(Faults { slow_ms: Some(Fault::with(300).on(On::Message)), ..Faults::default() });
    let end = connected.order(GATE);
    until("the command arrived", || sim.counters().message == 1).await;
    client.bench.advance(Duration::from_secs(11));
    assert!(matches!(end.await.unwrap(), End::Stale(_)));
    assert_eq!((sim.counters().message, sim.counters().commands_accepted), (1, 0));
}

#[tokio::test]
async fn a_server_that_is_not_the_pinned_one_is_refused_with_its_fingerprint() {
    let sim = cloud().await;
    let mut client = Client::new(&sim);
    sim.set_faults(Faults { foreign_certificate: true, ..Faults::default() });
    let Err(Lost::NotTrusted(told)) = client.connect().await.map(|_| ()) else { panic!("it was trusted") };
    let fingerprint = told.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(fingerprint.len(), 95, "{told}");
    // Somebody compares the fingerprint and pins the server.
    let pin = doorward_http::parse_pin(&fingerprint).unwrap();
    client.trust = Trust::Pin(pin);
    client.connect().await.unwrap().registered().await;
    sim.set_faults(Faults { ca_shape: CaShape::OneDer, ..Faults::default() });
    assert!(matches!(client.connect().await.map(|_| ()), Err(Lost::NotTrusted(_))), "the pin holds for one server");
    assert_eq!(fingerprint.to_lowercase(), fingerprint_of(&pin));
}

fn fingerprint_of(pin: &[u8; 32]) -> String {
    pin.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_no_server() {
    let sim = cloud().await;
    let mut client = Client::new(&sim);
    // That which signs the clients' certificates must not make a client a server.
    client.trust = Trust::Authorities(vec![sim.client_ca()]);
    assert!(matches!(client.connect().await.map(|_| ()), Err(Lost::NotTrusted(_))));
    assert_ne!(fingerprint(&sim.client_ca()), fingerprint(&sim.server_ca()));
}

#[tokio::test]
async fn a_refused_certificate_is_told_from_a_lost_connection() {
    let sim = cloud().await;
    for tls12_only in [false, true] {
        for expired in [false, true] {
            let fault = Some(Fault::default().on(On::Connect));
            let (certificate_expired, certificate_refused) = if expired { (fault, None) } else { (None, fault) };
            sim.set_faults(Faults { tls12_only, certificate_expired, certificate_refused, ..Faults::default() });
            let lost = match Client::new(&sim).connect().await {
                Ok(connected) => connected.lost().await,
                Err(lost) => lost,
            };
            assert!(matches!(lost, Lost::CertificateRefused(_)), "{lost:?}");
        }
    }
    sim.set_faults(Faults::default());
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    sim.close_connections();
    assert!(matches!(connected.lost().await, Lost::Closed(_)));
}

#[tokio::test]
async fn a_forgotten_connection_is_noticed_by_its_silence() {
    let sim = cloud().await;
    let client = Client::new(&sim);
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    client.bench.advance(Duration::from_secs(46));
    until("it was pinged", || sim.counters().pings == 1).await;
    until("it sleeps again", || client.bench.next_wake().is_some()).await;
    sim.freeze_connections();
    for _ in 0..12 {
        client.bench.advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(connected.lost().await, Lost::Silent(_)));
}

#[tokio::test]
async fn a_router_that_forgets_after_two_minutes_is_reminded_in_time() {
    let (sim, clock) = cloud_by_hand().await;
    sim.set_faults(Faults { idle_forgotten_ms: Some(120_000), ..Faults::default() });
    let client = Client::new(&sim);
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    for pings in 1..=13 {
        until("it sleeps", || client.bench.next_wake().is_some()).await;
        client.bench.advance(Duration::from_secs(46));
        until("it says something", || sim.counters().pings == pings).await;
        // What it waits for next is no answer to that, which would be for ten seconds.
        let answered = client.bench.now().mono.plus(Duration::from_secs(10));
        until("it is answered", || client.bench.next_wake().is_some_and(|wake| wake > answered)).await;
        clock.advance(Duration::from_secs(46));
    }
    assert!(accepted(&connected.open(GATE).await));
    assert_eq!((sim.counters().connect, sim.registered().len()), (1, 1), "ten minutes over one connection");
}

#[tokio::test]
async fn after_a_night_asleep_an_opening_waits_for_a_new_connection() {
    let sim = cloud().await;
    let client = Client::new(&sim);
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    // The monotonic clock stands still while a machine sleeps; the other one does not.
    client.bench.set_utc(client.bench.now().utc.plus(Duration::from_hours(8)));
    let end = connected.order(GATE);
    let (lost, mut orders) = connected.task.await.unwrap();
    assert!(matches!(lost, Lost::Silent(_)), "{lost:?}");
    assert_eq!(sim.counters().message, 0, "nothing was sent on the old one");
    orders.give_up();
    assert_eq!(end.await.unwrap(), End::NotSent);
}

#[tokio::test]
async fn a_registration_is_renewed_before_it_ends() {
    let sim = cloud().await;
    let client = Client::new(&sim);
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    let before = sim.counters().registered;
    for _ in 0..12 {
        client.bench.advance(Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("it registered again", || sim.counters().registered > before).await;
    assert_eq!(sim.registered().len(), 1);
    connected.orders.send(Order::Retire).await.unwrap();
    assert_eq!(connected.lost().await, Lost::Retired);
    until("it said good-bye", || sim.registered().is_empty()).await;
}

#[tokio::test]
async fn a_bell_rings_until_it_is_cancelled() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let ring = sim.ring("20").remove(0);
    until("it rings", || {
        connected.heard(|news| matches!(news, Happening::Rings { call, name: Some(name), .. } if *call == ring && name == "Street"))
    })
    .await;
    assert!(sim.cancel(&ring));
    until("it is over", || connected.heard(|news| matches!(news, Happening::RingOver { end: CallEnd::Cancelled, .. }))).await;
    until("all was answered", || sim.ring_view(&ring).legs[0].statuses == [180, 487]).await;
    assert_eq!(sim.ring_view(&ring).legs[0].cancel_status, Some(200));
    let ring = sim.ring("20").remove(0);
    until("it rings", || sim.ring_view(&ring).legs[0].statuses == [180]).await;
    assert!(sim.answer_elsewhere(&ring));
    until("it is over", || connected.heard(|news| matches!(news, Happening::RingOver { end: CallEnd::Elsewhere, .. }))).await;
}

#[tokio::test]
async fn a_bell_that_nobody_answers_is_told_so_after_a_minute() {
    for (patience, statuses) in [(Patience::default(), [180, 480]), (Patience { rings: Duration::from_secs(2), status: 486 }, [180, 486])] {
        let sim = cloud().await;
        let mut client = Client::new(&sim);
        client.patience = patience;
        let connected = client.connect().await.unwrap();
        connected.registered().await;
        let ring = sim.ring("20").remove(0);
        until("it rings", || sim.ring_view(&ring).legs[0].statuses == [180]).await;
        until("it waits", || client.bench.next_wake().is_some()).await;
        let mut passed = Duration::ZERO;
        while passed < patience.rings {
            client.bench.advance(Duration::from_secs(2));
            passed += Duration::from_secs(2);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        until("it was told", || sim.ring_view(&ring).legs[0].statuses == statuses).await;
        assert!(connected.heard(|news| matches!(news, Happening::RingOver { end: CallEnd::Timeout, .. })));
        assert_eq!(sim.ring_view(&ring).state, RingState::Refused);
    }
}

#[tokio::test]
async fn somebody_of_the_house_ends_a_call() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    let ring = sim.ring("20").remove(0);
    until("it rings", || sim.ring_view(&ring).legs[0].statuses == [180]).await;
    connected.orders.send(Order::EndCall { call: ring.clone(), status: 486 }).await.unwrap();
    until("it was told", || sim.ring_view(&ring).legs[0].statuses == [180, 486]).await;
}

#[tokio::test]
async fn a_ring_storm_is_answered_busy() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    sim.set_faults(Faults { ring_storm: Some(Fault::with(500)), ..Faults::default() });
    let rings = sim.ring("20");
    until("all were answered", || sim.rings().iter().all(|ring| !ring.legs[0].statuses.is_empty())).await;
    assert_eq!(
        (rings.len(), connected.told.lock().unwrap().iter().filter(|news| matches!(news, Happening::Rings { .. })).count()),
        (500, 16)
    );
    assert!(accepted(&connected.open(GATE).await), "and the gate opens all the same");
}

#[tokio::test]
async fn other_requests_are_answered_as_they_should() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    for (method, status) in [("OPTIONS", 200), ("BYE", 200), ("CANCEL", 200), ("SUBSCRIBE", 405), ("NOTIFY", 405), ("MESSAGE", 200)] {
        let asked = sim.send(method, (method == "MESSAGE").then_some("hello")).remove(0);
        until(method, || sim.answers(&asked) == [status]).await;
    }
    assert!(connected.heard(|news| matches!(news, Happening::Said(body) if body == b"hello")));
    sim.send_raw(b"ACK sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\nNO SIP\r\n\r\n\r\n");
    assert!(accepted(&connected.open(GATE).await));
}

#[tokio::test]
async fn bytes_that_are_no_sip_end_the_connection() {
    let sim = cloud().await;
    let connected = Client::new(&sim).connect().await.unwrap();
    connected.registered().await;
    sim.send_raw("x".repeat(20_000).as_bytes());
    assert!(matches!(connected.lost().await, Lost::Broken(_)));
}

#[tokio::test]
async fn a_connection_that_is_not_registered_ends_when_nothing_waits_any_more() {
    let sim = cloud().await;
    let client = Client::new(&sim);
    let stream = line::connect(&*client.bench, &client.server, &client.tls()).await.unwrap();
    let (_sender, mut orders) = line::orders();
    let line =
        Line { ctx: &*client.bench, identity: client.identity(), patience: client.patience, commands: Arc::default(), registers: false };
    assert_eq!(line.run(stream, &mut orders, &mut |_| ()).await, Lost::Retired);
    assert_eq!(sim.counters().message, 0);
}
