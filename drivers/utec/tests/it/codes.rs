//! PIN codes, against the simulated cloud.

use crate::house::{FRONT, bench, build, settings};
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Action, Credential, Driver, Family, Fault, Target},
};
use doorward_sim::utec::{self, Config, LockSpec, LockUser, On, Sim};
use doorward_wire::code::{Code, CodeKind, CodeSchedule, CodeState, CodeWish};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

struct Home {
    sim: Sim,
    bench: Arc<Bench>,
    driver: Arc<dyn Driver>,
    clock: Arc<doorward_sim::HandClock>,
}

async fn home() -> Home {
    let clock = Arc::new(doorward_sim::HandClock::new());
    let mut spec = LockSpec::new(FRONT, "Front door");
    spec.users = vec![LockUser::new(1000, "Alice", 2468)];
    let sim = utec::start(Config { locks: vec![spec], clock: clock.clone(), ..Config::default() }).await.unwrap();
    let mut settings = settings(&sim.base_url());
    settings.values.insert("access_key".into(), json!("sim-access-key"));
    settings.secrets.insert("secret_key".into(), "sim-secret-key".into());
    let driver = build(&settings);
    let bench = bench();
    let tokens = sim.grant();
    let input = json!({ "access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_in": tokens.expires_in });
    let step = Action::Setup { step: "tokens".into(), input: Secret::new(input.to_string()) };
    driver.act(&*bench, &Target::Account, step).await.unwrap();
    Home { sim, bench, driver, clock }
}

impl Home {
    async fn ask(&self, zone: &str, what: Credential) -> Result<Value, Fault> {
        let door = Target::Door { id: "front".parse().unwrap(), external: FRONT.into(), time_zone: zone.into() };
        self.driver.act(&*self.bench, &door, Action::Credential(what)).await.map(|done| done.output)
    }

    async fn list(&self) -> Vec<Code> {
        serde_json::from_value(self.ask("Europe/Berlin", Credential::List).await.unwrap()).unwrap()
    }

    async fn add(&self, wish: CodeWish) -> Result<Code, Fault> {
        let output = self.ask("Europe/Berlin", Credential::Add(wish)).await?;
        Ok(serde_json::from_value(output["code"].clone()).unwrap())
    }
}

fn wish(name: &str, pin: &str) -> CodeWish {
    CodeWish { name: Some(name.into()), pin: Some(pin.into()), kind: None, schedule: None }
}

fn schedule() -> CodeSchedule {
    CodeSchedule {
        from: Some("2026-11-23T15:00".into()),
        until: Some("2026-11-30T11:00".into()),
        weekdays: vec!["mon".into(), "Sun".into()],
        hours: Some("08:00-18:00".into()),
        uses: Some(3),
    }
}

#[tokio::test]
async fn a_code_is_added_changed_and_removed_and_says_where_it_stands() {
    let home = home().await;
    assert_eq!(
        home.list().await,
        [Code { id: "1000".into(), name: "Alice".into(), kind: CodeKind::Normal, state: CodeState::Set, schedule: None }]
    );

    let added = home.add(CodeWish { schedule: Some(schedule()), ..wish("Guest", "1357") }).await.unwrap();
    assert_eq!((added.id.as_str(), added.kind, added.state), ("1001", CodeKind::Temporary, CodeState::Setting));
    home.clock.advance(Duration::from_secs(5));
    let listed = home.list().await;
    assert_eq!((listed[1].state, listed[1].schedule.as_ref()), (CodeState::Set, Some(&schedule())), "the schedule is remembered");

    let change = CodeWish { name: Some("Visitor".into()), pin: None, kind: None, schedule: None };
    let output = home.ask("", Credential::Update { id: "1001".into(), wish: change }).await.unwrap();
    assert_eq!((&output["code"]["name"], &output["code"]["state"]), (&json!("Visitor"), &json!("setting")));

    let output = home.ask("", Credential::Delete { id: "1001".into() }).await.unwrap();
    assert_eq!(output["code"]["state"], "removing");
    assert_eq!(home.list().await[1].state, CodeState::Removing, "the lock still lists it");
    // Again is not an error, and asks nothing.
    home.ask("", Credential::Delete { id: "1001".into() }).await.unwrap();
    home.clock.advance(Duration::from_secs(5));
    assert_eq!(home.list().await.len(), 1);
    assert_eq!(home.sim.counters().malformed, 0);
}

#[tokio::test]
async fn what_the_lock_is_sent_is_in_its_own_words_and_time() {
    use crate::{
        house::{House, door},
        recorder::reply,
    };
    let house = House::signed_in(|_, _| reply(200, &json!({ "payload": { "devices": [{ "id": FRONT, "users": [] }] } }))).await;
    house
        .act(&door(FRONT), Action::Credential(Credential::Add(CodeWish { schedule: Some(schedule()), ..wish(" Guest ", "1357") })))
        .await
        .unwrap();
    let expected = json!({
        "id": FRONT,
        "command": { "capability": "st.lockUser", "name": "add", "arguments": { "user": {
            "name": "Guest", "type": 2, "password": 1357,
            "daterange": ["2026-11-23 15:00", "2026-11-30 11:00"], "weeks": [0, 1], "timerange": ["08:00", "18:00"], "limit": 3,
        } } },
    });
    assert_eq!(house.cloud.bodies()[0]["payload"]["devices"][0], expected);
    // Seven in the morning in UTC is eight in Berlin.
    let from_now = CodeSchedule { from: None, weekdays: Vec::new(), hours: None, uses: None, ..schedule() };
    house
        .act(&door(FRONT), Action::Credential(Credential::Add(CodeWish { schedule: Some(from_now), ..wish("Guest", "1357") })))
        .await
        .unwrap();
    let user = &house.cloud.bodies()[2]["payload"]["devices"][0]["command"]["arguments"]["user"];
    assert_eq!(user["daterange"][0], "2026-11-23 08:00");
    assert_eq!(
        (&user["weeks"], &user["timerange"], &user["limit"]),
        (&json!([0, 1, 2, 3, 4, 5, 6]), &json!(["00:00", "23:59"]), &json!(0))
    );
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_before_anything_is_sent() {
    let home = home().await;
    let when = |change: fn(&mut CodeSchedule)| {
        let mut schedule = schedule();
        change(&mut schedule);
        CodeWish { schedule: Some(schedule), ..wish("Guest", "1357") }
    };
    let wrong = [
        wish("Guest", "0357"),
        wish("Guest", "135"),
        wish("Guest", "123456789"),
        wish("Guest", "12a4"),
        wish("Guest", "١٢٣٤"),
        wish("", "1357"),
        wish(&"x".repeat(33), "1357"),
        CodeWish { pin: None, ..wish("Guest", "1357") },
        CodeWish { kind: Some(CodeKind::Temporary), ..wish("Guest", "1357") },
        CodeWish { kind: Some(CodeKind::Admin), schedule: Some(schedule()), ..wish("Guest", "1357") },
        when(|schedule| schedule.until = Some("2026-11-22T15:00".into())),
        when(|schedule| schedule.until = Some("2026-11-23T14:00".into())),
        when(|schedule| schedule.from = Some("2026-11-23T15:00Z".into())),
        when(|schedule| schedule.from = Some("2026-11-23T15:00+01:00".into())),
        when(|schedule| schedule.from = Some("tomorrow".into())),
        when(|schedule| schedule.weekdays = vec!["someday".into()]),
        when(|schedule| schedule.hours = Some("22:00-06:00".into())),
        when(|schedule| schedule.hours = Some("8-18".into())),
        when(|schedule| schedule.uses = Some(0)),
    ];
    for wish in wrong {
        let shown = format!("{wish:?}");
        let fault = home.add(wish).await.unwrap_err();
        assert_eq!(fault.family, Family::Refused, "{shown}");
        assert!(!fault.person.contains("1357"));
    }
    let scheduled = || CodeWish { schedule: Some(schedule()), ..wish("Guest", "1357") };
    for zone in ["", "Nowhere/At_all", "Etc/Unknown"] {
        let fault = home.ask(zone, Credential::Add(scheduled())).await.unwrap_err();
        assert!(fault.person.contains("time zone"), "{}", fault.person);
    }
    assert_eq!(home.sim.counters().users, 0);
    let nothing = CodeWish { name: None, pin: None, kind: None, schedule: None };
    home.ask("", Credential::Update { id: "1000".into(), wish: nothing }).await.unwrap_err();
    let fault = home.ask("", Credential::Delete { id: "77".into() }).await.unwrap_err();
    assert_eq!(fault.status, Some(404));
}

#[tokio::test]
async fn the_accounts_own_zone_comes_before_the_sites() {
    let home = home().await;
    let mut settings = settings(&home.sim.base_url());
    settings.values.insert("time_zone".into(), json!("Asia/Tokyo"));
    build(&settings);
    settings.values.insert("time_zone".into(), json!("Etc/Unknown"));
    assert!((doorward_utec::ENTRY.build)(&settings).is_err());
}

#[tokio::test]
async fn a_code_that_may_have_been_added_is_not_added_again() {
    let home = home().await;
    home.sim.set_faults(utec::Faults { server_error: Some(utec::Fault::with(502).on(On::Users)), ..utec::Faults::default() });
    let fault = home.add(wish("Guest", "1357")).await.unwrap_err();
    assert_eq!(fault.family, Family::Timeout);
    assert_eq!(home.sim.counters().users, 1);
}
