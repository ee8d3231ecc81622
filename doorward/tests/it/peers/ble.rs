//! Locks over Bluetooth, each part a process of the real binary: an issuer, a lock that stands alone and guests, in the simulated air
//! and beside Mosquitto.

use super::{
    brokers::Mosquitto,
    mosquitto::{Listener, User},
};
use crate::{binary::command, boot::killed::until};
use doorward_ble::{
    keys::{Folder, Role, SecretV2},
    radio::Address,
};
use doorward_sim::air::{Air, Config, Place};
use doorward_wire::{
    attempt::ActionWord,
    ble::order::{self, LockEvent, LockEventKind, Refusal},
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each may do at the broker, as the guide says it.
const RIGHTS: &str = "user issuer\ntopic write locks/+/session\ntopic write locks/+/sessions/+\ntopic write locks/+/revoked\n\
                      topic read locks/+/hello\n\
                      user lock\ntopic read locks/front/session\ntopic read locks/front/sessions/+\ntopic read locks/front/revoked\n\
                      topic read locks/front/command\ntopic write locks/front/hello\ntopic write locks/front/event\n\
                      topic write relay/front\n\
                      user desk\ntopic readwrite #\n";

/// A process of the binary. Killed when it goes.
struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Process {
    fn start(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(data), arguments, environment)
    }

    fn spawn(mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        command.args(arguments).envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn says(&self, words: &str) {
        let saying = async {
            while !self.said().contains(words) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, saying).await.is_ok(), "it never said “{words}”: {}", self.said());
    }

    fn press_enter(&mut self) {
        self.types("");
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Air, a broker, and a folder for each part with the keys that belong there.
struct Scene {
    air: Air,
    broker: Mosquitto,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self::of("2", RIGHTS).await
    }

    /// One whose keys are of this version of the wire, and whose broker allows this.
    async fn of(wire: &str, rights: &str) -> Self {
        let air = Air::start(Config::default()).await.unwrap();
        let users = [("issuer", "i-secret"), ("lock", "l-secret"), ("desk", "d-secret")];
        let broker = Mosquitto::start_with_rights(&users, Some(rights), "");
        let folder = tempfile::tempdir().unwrap();
        enrol(folder.path(), wire);
        Self { air, broker, folder }
    }

    fn data(&self, whose: &str) -> PathBuf {
        self.folder.path().join(whose)
    }

    fn radio(&self) -> String {
        format!("air:{}", self.air.address())
    }

    fn url(&self, user: &str, password: &str) -> String {
        format!("mqtt://{user}:{password}@127.0.0.1:{}", self.broker.port)
    }

    fn issuer(&self, more: &[&str]) -> Process {
        let radio = self.radio();
        let arguments = [&["ble", "issuer", "--radio", &radio, "--slot", "2"], more].concat();
        Process::start(&self.data("issuer"), &arguments, &[("MQTT_BROKER", &self.url("issuer", "i-secret"))])
    }

    /// A lock in the program that is nothing else, and what opens its door.
    fn lock(&self, actuator: &[&str]) -> Process {
        let (radio, mut program) = (self.radio(), Command::new(env!("CARGO_BIN_EXE_doorward-lock")));
        program.env_remove("DOORWARD_DATA").arg("--data").arg(self.data("lock"));
        let arguments = [&["--radio", &radio, "--rssi", "-90"], actuator].concat();
        let environment = [("MQTT_BROKER", &*self.url("lock", "l-secret")), ("LOCK_ID", "front")];
        Process::spawn(program, &arguments, &environment)
    }

    fn guest(&self, more: &[&str]) -> Process {
        let radio = self.radio();
        let arguments = [&["ble", "guest", "--radio", &radio, "--lock", "front", "--client-id", "anna"], more].concat();
        Process::start(&self.data("anna"), &arguments, &[])
    }

    /// Somebody who may hear everything at the broker, and misses nothing while it is away.
    fn desk(&self) -> (User, Listener) {
        let desk = User::new("desk", "d-secret", &self.broker.port);
        let listener = desk.listen_with("locks/front/event", &["-c", "-i", "desk", "-q", "1"]);
        (desk, listener)
    }

    fn strike(&self) -> (PathBuf, PathBuf) {
        strike(self.folder.path())
    }
}

/// A folder for the issuer, the lock and a guest, each with the keys that the command line said to copy there.
pub(super) fn enrol(folder: &Path, wire: &str) {
    let issuer = folder.join("issuer");
    for role in [&["issuer"][..], &["lock", "front"], &["guest", "anna"]] {
        let made = crate::binary::run(&issuer, &[&["ble", "keys", "create"], role, &["--wire", wire]].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let (secret, public) = if wire == "1" { ("private.pem", "backend_public.pem") } else { ("v2.secret", "backend_v2.public") };
    for (whose, name) in [("lock", "front"), ("anna", "unlocker_anna")] {
        let secret = format!("{name}_{secret}");
        let (from, to) = (keys(&issuer), keys(&folder.join(whose)));
        fs::create_dir_all(&to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(from.join(public), to.join(public)).unwrap();
        fs::rename(from.join(&secret), to.join(&secret)).unwrap();
    }
}

/// A program that writes a line each time that it opens the door, and where it does.
pub(super) fn strike(folder: &Path) -> (PathBuf, PathBuf) {
    let (program, opened) = (folder.join("strike"), folder.join("opened"));
    fs::write(&program, format!("#!/bin/sh\necho \"$1 $DOORWARD_DOOR\" >> {}\n", opened.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    (program, opened)
}

fn keys(data: &Path) -> PathBuf {
    data.join("ble/keys")
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// What the lock told of those whom it knows, each once: a token may be heard before its session is.
fn reports(listener: &Listener) -> Vec<LockEvent> {
    let heard = listener.heard();
    let reports = heard.iter().filter_map(|line| line.split_once(' ')).map(|(_, report)| LockEvent::read(report.as_bytes()).unwrap());
    let mut known: Vec<_> = reports.filter(|report| report.reason != Some(Refusal::UnknownToken)).collect();
    known.dedup_by_key(|report| report.id);
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_stands_alone_opens_tells_it_later_and_takes_no_token_twice_after_kill_9() {
    let mut scene = Scene::new().await;
    let (program, opened) = scene.strike();
    let actuator = ["--command", &*program.to_string_lossy(), "--open"];
    let (_desk, events) = scene.desk();
    let thief = scene.air.eavesdrop(Place::new(3.0, 3.0, 0.0));
    let (issuer, lock) = (scene.issuer(&[]), scene.lock(&actuator));
    issuer.says("the issuer advertises").await;
    issuer.says("connected to the MQTT broker").await;
    lock.says("connected to the MQTT broker").await;

    // By a token: the guest comes near.
    let anna = scene.guest(&[]);
    anna.says("Showing token").await;
    until("the door opens", async || lines(&opened) == 1).await;
    assert_eq!(fs::read_to_string(&opened).unwrap(), "--open front\n", "all behind --command is the program's");
    events.has("accepted").await;
    anna.kill();
    let tokens: Vec<_> = thief.heard().into_iter().filter(|heard| heard.bytes.len() == 32).collect();

    // By a gesture, while the broker is away.
    let mut anna = scene.guest(&["--open"]);
    anna.says("Press Enter").await;
    scene.broker.halt();
    anna.press_enter();
    anna.says("The lock says that it opened").await;
    assert_eq!(lines(&opened), 2);

    // The lock dies, and comes back before the broker does.
    lock.kill();
    let lock = scene.lock(&actuator);
    lock.says("cannot be reached").await;
    scene.broker.run();
    until("the replay is told", async || {
        for token in &tokens {
            thief.replay(token, Place::new(0.0, 0.0, 0.0));
        }
        reports(&events).iter().any(|report| report.reason == Some(Refusal::Replay))
    })
    .await;
    let told = reports(&events);
    assert!(told.is_sorted_by_key(|report| report.id), "in their order: {told:?}");
    let [first, second, rest @ ..] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!([first.kind, second.kind], [LockEventKind::Accepted; 2]);
    assert_ne!(first.nonce, second.nonce, "each time there was a session of its own");
    let replays = rest.iter().filter(|report| report.reason == Some(Refusal::Replay) && report.nonce == first.nonce);
    assert_eq!(replays.count(), rest.len(), "the first one's tokens: {told:?}");
    assert_eq!(lines(&opened), 2, "nothing opened again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_its_issuer_opens_a_lock_that_stands_alone_once() {
    let scene = Scene::new().await;
    let (desk, events) = scene.desk();
    let relay = desk.listen("relay/front");
    let lock = scene.lock(&["--mqtt-topic", "relay/front", "--mqtt-payload", "on"]);
    lock.says("connected to the MQTT broker").await;

    let mut all = Folder::new(keys(&scene.data("issuer"))).read().unwrap();
    let Some(SecretV2::Issuer(issuer)) = all.v2.remove(&Role::Issuer).and_then(|key| key.secret) else { panic!("no issuer") };
    let now = u64::try_from(doorward_engine::Clock::now(&doorward_engine::SystemClock::new()).utc.as_micros()).unwrap() / 1_000_000;
    let order = order::Command { id: "from-the-desk".into(), action: ActionWord::Open, not_after: now + 8 };
    let order = order.issue(&"front".parse().unwrap(), &issuer).unwrap();
    for _ in 0..2 {
        assert!(desk.publish("locks/front/command", &order, &[]));
    }
    relay.hears("relay/front on").await;
    events.has("from-the-desk").await;
    // What is kept opens nothing, and is told: by then the ones before it are long done.
    assert!(desk.publish("locks/front/command", &order, &["-r"]));
    until("the kept one is refused", async || reports(&events).iter().any(|report| report.kind == LockEventKind::Refused)).await;
    assert_eq!(relay.heard(), ["relay/front on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_radio_tries_it_in_an_air_of_its_own() {
    let scene = Scene::new().await;
    let mut air = Process::start(scene.folder.path(), &["sim", "air", "--listen", "127.0.0.1:0"], &[]);
    air.says("type ").await;
    let radio = air.said().split_whitespace().find(|word| word.starts_with("air:")).unwrap().to_owned();
    air.types("");
    air.says("nobody is there yet").await;
    let issuer = Process::start(&scene.data("issuer"), &["ble", "issuer", "--radio", &radio, "--broker", "127.0.0.1:1"], &[]);
    issuer.says("the issuer advertises").await;
    let scan = || {
        let found = crate::binary::run(&scene.data("anna"), &["--json", "ble", "scan", "--radio", &radio, "--for", "1s"]);
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    assert!(scan().contains("IssuerBeacon"));
    air.types("issuer 1000");
    air.says("is 1000 m away").await;
    assert_eq!(scan(), "");
    air.types("issuer 3");
    air.says("is 3 m away").await;
    let near = scan();
    assert!(near.contains("\"rssi\":-69"), "{near}");
    air.types("unplug issuer");
    issuer.says("the adapter of the issuer is gone").await;
    for (typed, answer) in [("replay", "played again"), ("lock 3", "there is no lock"), ("what", "That is none of")] {
        air.types(typed);
        air.says(answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_is_not_enrolled_is_told_so_and_a_scan_shows_who_is_there() {
    let scene = Scene::new().await;
    let issuer_keys = keys(&scene.data("issuer"));
    fs::remove_file(issuer_keys.join("unlocker_anna_v2.public")).unwrap();
    let issuer = scene.issuer(&[]);
    issuer.says("the issuer advertises").await;
    issuer.says("connected to the MQTT broker").await;
    let radio = scene.radio();
    let scan = crate::binary::run(&scene.data("anna"), &["--json", "ble", "scan", "--radio", &radio, "--for", "2s"]);
    let found = String::from_utf8_lossy(&scan.stdout).into_owned();
    let beacon = found.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).find(|line| line["what"] == "issuer");
    let beacon = beacon.unwrap_or_else(|| panic!("{found}"));
    assert_eq!((&beacon["name"], &beacon["data"]), (&"IssuerBeacon".into(), &"ffff:0100".into()));
    assert!(beacon["address"].as_str().unwrap().parse::<Address>().is_ok());

    let arguments = ["ble", "guest", "--radio", &radio, "--lock", "front", "--client-id", "anna"];
    let asked = crate::binary::run(&scene.data("anna"), &arguments);
    let why = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(3), "{why}");
    assert!(why.contains("not_enrolled"), "{why}");
    issuer.says("no session").await;
    assert!(!issuer.said().contains("i-secret"), "a password is never shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_and_a_guest_of_version_1_are_served_as_in_the_original_and_in_clear_only_where_that_is_on() {
    let scene = Scene::of("1", RIGHTS).await;
    let (program, opened) = scene.strike();
    let (_desk, events) = scene.desk();
    let issuer = scene.issuer(&[]);
    issuer.says("the issuer advertises").await;
    issuer.says("connected to the MQTT broker").await;
    let lock = scene.lock(&["--slot", "2", "--command", &program.to_string_lossy()]);
    lock.says("connected to the MQTT broker").await;
    let anna = scene.guest(&["--slot", "2"]);
    anna.says("in version 1").await;
    until("the door opens", async || lines(&opened) == 1).await;
    anna.kill();

    let radio = scene.radio();
    let plain = ["ble", "guest", "--radio", &radio, "--lock", "front", "--slot", "2", "--plain"];
    let asked = crate::binary::run(&scene.data("nobody"), &plain);
    assert_eq!(asked.status.code(), Some(3), "off unless it is asked for: {}", String::from_utf8_lossy(&asked.stderr));
    drop(issuer);
    let issuer = scene.issuer(&["--plain"]);
    issuer.says("whoever listens to the air can open with it").await;
    issuer.says("the issuer advertises").await;
    issuer.says("connected to the MQTT broker").await;
    let nobody = Process::start(&scene.data("nobody"), &plain, &[]);
    nobody.says("whoever listens can open this door").await;
    until("the door opens", async || lines(&opened) == 2).await;
    until("both are told", async || reports(&events).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_whose_program_is_gone_says_so_and_one_that_may_not_tell_says_what_it_needs() {
    let rights = RIGHTS.replace("topic write locks/front/event\n", "");
    for (rights, may_tell) in [(RIGHTS, true), (&rights, false)] {
        let scene = Scene::of("2", rights).await;
        let (_desk, events) = scene.desk();
        let issuer = scene.issuer(&[]);
        issuer.says("the issuer advertises").await;
        issuer.says("connected to the MQTT broker").await;
        let lock = scene.lock(&["--command", "/nowhere/strike"]);
        lock.says("connected to the MQTT broker").await;
        let anna = scene.guest(&[]);
        anna.says("Showing token").await;
        if may_tell {
            until("it is told", async || reports(&events).iter().any(|report| report.kind == LockEventKind::Failed)).await;
        } else {
            lock.says("does not let the lock tell what happens").await;
        }
    }
}
