//! A lock at another machine, as the house sees it.

use crate::{
    bench::{RSA, START},
    driver::settings,
};
use doorward_ble::{
    clock::House,
    driver::ENTRY,
    keys::{Folder, Kind, PublicV2, Role},
};
use doorward_core::{
    conformance::Bench,
    driver::{Action, Came, Ctx, Done, Driver, Fault, Heard, Once, Report, Target},
};
use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    ble::{compat::PublicKey, order::Command},
    door::Capability,
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};

struct Away {
    house: Arc<Bench>,
    driver: Arc<dyn Driver>,
    keys: tempfile::TempDir,
}

/// The keys of a house whose lock has only its public half here.
fn keys_of_v2(folder: &Path, house: &Bench) {
    let keys = Folder::new(folder);
    for role in [Role::Issuer, Role::Lock("shed".parse().unwrap())] {
        keys.create(&role, Kind::V2, &House(house)).unwrap();
    }
    std::fs::remove_file(folder.join("shed_v2.secret")).unwrap();
}

fn keys_of_v1(folder: &Path) {
    let (lock, issuer) = &*RSA;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("backend_private.pem", issuer.to_pem().unwrap().as_str());
    write("backend_public.pem", &issuer.public().to_pem());
    write("shed_public.pem", &lock.public().to_pem());
}

impl Away {
    fn new() -> Self {
        Self::set_up(keys_of_v2, "elsewhere")
    }

    fn set_up(make: impl FnOnce(&Path, &Bench), runs: &str) -> Self {
        let house = Arc::new(Bench::new(Time::from_micros(i64::try_from(START).unwrap() * 1_000_000)));
        let keys = tempfile::tempdir().unwrap();
        make(keys.path(), &house);
        house.join_broker();
        Self { driver: build(keys.path(), runs), house, keys }
    }

    fn watch(&self) -> tokio::task::JoinHandle<()> {
        let (driver, house) = (Arc::clone(&self.driver), Arc::clone(&self.house));
        tokio::spawn(async move { driver.watch(house.as_ref(), Box::pin(std::future::pending())).await })
    }

    async fn open(&self) -> Result<Done, Fault> {
        let target = Target::Door { id: "shed".parse().unwrap(), external: "shed".into(), time_zone: String::new() };
        let once = Once { not_after: self.house.now().utc.plus(Duration::from_secs(30)) };
        self.driver.act(self.house.as_ref(), &target, Action::Open(once)).await
    }

    /// What is reported until the lock is back once more, which it says last.
    async fn tells(&self, events: &[Value]) -> Vec<Report> {
        let topic = |last: &str| format!("locks/shed/{last}");
        for event in events {
            let payload = event.to_string().into_bytes();
            self.house.say(Heard::Message { topic: topic("event"), payload, kept: false });
        }
        self.house.say(Heard::Connected(false));
        let mut reports = Vec::new();
        let looking = async {
            loop {
                reports.extend(self.house.reports());
                if reports.iter().any(|report| matches!(report, Report::Seen { sight, .. } if sight.online == Some(false))) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.expect("the lock is heard");
        reports
    }
}

fn build(keys: &Path, runs: &str) -> Arc<dyn Driver> {
    (ENTRY.build)(&settings(keys, &json!([{ "id": "shed", "runs": runs }]))).unwrap()
}

fn capabilities(reports: &[Report]) -> Vec<Capability> {
    let found = reports.iter().find_map(|report| if let Report::Found(found) = report { found.first() } else { None });
    found.expect("it is found").capabilities.clone()
}

fn admitted(reports: &[Report]) -> Vec<(String, Came)> {
    let one =
        |report: &Report| if let Report::Admitted(admitted) = report { Some((admitted.credential.clone(), admitted.came)) } else { None };
    reports.iter().filter_map(one).collect()
}

#[tokio::test]
async fn an_opening_is_a_signed_command_of_ten_seconds_and_its_answer_confirms_it() {
    let away = Away::new();
    let done = away.open().await.unwrap();
    let [message] = &away.house.published()[..] else { panic!("one message") };
    assert_eq!((message.topic.as_str(), message.retain), ("locks/shed/command", false));
    assert!(message.fresh_for.is_some(), "no broker gives it out late, or twice");
    let Some(PublicV2::Issuer(issuer)) = Folder::new(away.keys.path()).read().unwrap().v2.remove(&Role::Issuer).map(|key| key.public)
    else {
        panic!("no issuer")
    };
    let lock = "shed".parse().unwrap();
    let command = Command::open(&message.payload, &lock, &issuer, away.house.now().utc).unwrap();
    assert_eq!((command.action, command.not_after), (ActionWord::Open, START + 10));
    assert_eq!(done.key.as_ref(), Some(&command.id));
    assert!(Command::open(&message.payload, &"other".parse().unwrap(), &issuer, away.house.now().utc).is_err());

    away.watch();
    let answer = json!({ "id": 1, "time": START, "kind": "opened", "client_id": command.id });
    // A broker that has not seen it taken says it once more, and a command is answered once.
    let again = json!({ "id": 2, "time": START, "kind": "opened", "client_id": command.id });
    let reports = away.tells(&[answer.clone(), answer, again]).await;
    let answers: Vec<_> =
        reports.iter().filter(|report| matches!(report, Report::Answer { key, outcome: Ok(()), .. } if *key == command.id)).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(capabilities(&reports), [Capability::Open]);
}

#[tokio::test]
async fn a_lock_of_version_1_is_told_with_rsa() {
    let away = Away::set_up(|folder, _| keys_of_v1(folder), "elsewhere");
    away.open().await.unwrap();
    let [message] = &away.house.published()[..] else { panic!("one message") };
    let issuer = PublicKey::from_pem(&RSA.1.public().to_pem()).unwrap();
    assert!(Command::open(&message.payload, &"shed".parse().unwrap(), &issuer, away.house.now().utc).is_ok());
}

#[tokio::test]
async fn what_a_lock_tells_is_told_once_also_after_a_restart() {
    let mut away = Away::new();
    let watching = away.watch();
    let opened = json!({ "id": 5, "time": START, "kind": "opened", "nonce": "AAECAwQFBgc=", "rssi": -50 });
    let refused = json!({ "id": 6, "time": START, "kind": "refused", "reason": "replay", "nonce": "AAECAwQFBgc=" });
    let reports = away.tells(&[opened.clone(), refused, opened.clone(), json!({ "id": "no event" })]).await;
    assert_eq!(admitted(&reports), [("AAECAwQFBgc=".to_owned(), Came::Opened)]);
    let reasons: Vec<Reason> =
        reports.iter().filter_map(|report| if let Report::TurnedAway(turned) = report { Some(turned.reason) } else { None }).collect();
    assert_eq!(reasons, [Reason::Replay]);
    assert!(reports.iter().any(|report| matches!(report, Report::Seen { sight, .. } if sight.online == Some(true))));

    watching.abort();
    let _ = watching.await;
    away.driver = build(away.keys.path(), "elsewhere");
    away.watch();
    let anew = json!({ "id": 1, "time": START + 60, "kind": "accepted", "client_id": "a pass" });
    let reports = away.tells(&[opened, anew, json!({ "id": 2, "time": START + 61, "kind": "failed" })]).await;
    let told = [("a pass".to_owned(), Came::Unconfirmed), (String::new(), Came::Failed)];
    assert_eq!(admitted(&reports), told, "what it counts from the beginning is new, what was told is not");
}

#[tokio::test]
async fn no_lock_fills_the_history() {
    let away = Away::new();
    away.watch();
    let events: Vec<Value> = (0..2000).map(|id| json!({ "id": id, "time": START, "kind": "opened" })).collect();
    let reports = away.tells(&events).await;
    assert_eq!(admitted(&reports).len(), 600);
}

#[tokio::test]
async fn a_lock_of_the_original_system_cannot_be_opened_from_here() {
    let away = Away::set_up(|folder, _| keys_of_v1(folder), "original");
    let fault = away.open().await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::NotCapable));
    away.watch();
    tokio::task::yield_now().await;
    assert_eq!(capabilities(&away.house.reports()), []);
    assert!(away.house.published().is_empty());
}
