//! `doorward ble guest`: a phone on Linux.

use super::{Clock, contents, folder, radio};
use crate::{
    cli::{BleGuest, Global},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_ble::{
    guest::{Config, Enrolment, Find, Guest, GuestError, Progress},
    keys::{Contents, Kind, Mistakes, PublicV2, Role, SecretV2},
    radio::Radio,
};
use doorward_core::driver::BoxFuture;
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        LockId,
        request::Trouble,
        token::SlotLength,
        v2::{challenge::Outcome as Told, pass::MOST},
    },
};
use serde_json::json;
use std::{
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::Path,
    sync::Arc,
};

pub(super) async fn run(global: &Global, wish: BleGuest) -> Outcome {
    let clock = Clock::start();
    let enrolment = enrolment(global, &wish)?;
    let pass = wish.pass.as_deref().map(read_pass).transpose()?;
    let guest = Guest::new(config(&wish)?, enrolment);
    let radio = radio(&wish.radio, "guest", &clock).await?;
    let screen = Screen::new(global.json);
    let tell = |progress: Progress| {
        screen.show(&progress);
        // It has proved to be the one who was named.
        if let (Progress::Session(_), Some(issuer)) = (&progress, &wish.issuer)
            && let Err(mistakes) = folder(global, &wish.keys).0.meet(issuer)
        {
            output::warn(&format!("the key of the issuer cannot be kept, so it has to be named again: {mistakes}"));
        }
    };
    let asks = !wish.yes;
    let confirm = move |lock: &LockId, action: ActionWord| -> BoxFuture<'static, bool> {
        let lock = lock.clone();
        Box::pin(async move { !asks || asked(&lock, action).await })
    };
    let radio: &dyn Radio = &*radio;
    let done = match &pass {
        Some(pass) => guest.present(pass, ActionWord::Open, radio, &clock, &confirm, &tell).await,
        None if wish.open => match guest.session(radio, &clock, &tell).await {
            Ok(held) => guest.open(&held, ActionWord::Open, radio, &clock, &confirm, &tell).await,
            Err(error) => Err(error),
        },
        None => guest.run(radio, &clock, &tell).await,
    };
    screen.end();
    done.map(|()| Exit::Done).map_err(|error| failure(&error))
}

fn config(wish: &BleGuest) -> Result<Config, Failure> {
    let slot = SlotLength::new(wish.slot).map_err(|_| Failure::usage("--slot (ADVERT_INTERVAL) must be 1 to 60 seconds"))?;
    let find = Find { address: wish.address, name: Some(wish.name.clone()), manufacturer: Some(wish.manufacturer.clone()) };
    // Who names an address means that one.
    let find = if wish.address.is_some() { Find { name: None, manufacturer: None, ..find } } else { find };
    Ok(Config {
        find,
        lock_address: wish.lock_address,
        service: wish.uuids.service,
        request: wish.uuids.characteristic,
        search: wish.search,
        slot,
        client_id: wish.client_id.clone(),
        invite: wish.invite.clone(),
        ..Config::new(wish.lock.clone())
    })
}

/// The guest's key and its issuer's. One with keys of version 2 asks in no other, unless its owner says so here.
fn enrolment(global: &Global, wish: &BleGuest) -> Result<Enrolment, Failure> {
    if wish.plain {
        output::warn("asking in clear: whoever listens can open this door until the session is over");
        return Ok(Enrolment::Plain);
    }
    let own = Role::Guest(wish.client_id.clone());
    if wish.issuer.is_some() {
        make_key(global, wish, &own)?;
    }
    let mut all = contents(global, &wish.keys)?;
    let issuer = wish.issuer.or(all.v2.remove(&Role::Issuer).and_then(|key| match key.public {
        PublicV2::Issuer(issuer) => Some(issuer),
        PublicV2::Lock(_) | PublicV2::Guest(_) => None,
    }));
    let role = if has(&all, &own) { own } else { Role::Guest(None) };
    let v2 = match (all.v2.remove(&role).and_then(|key| key.secret), issuer) {
        (Some(SecretV2::Guest(key)), Some(issuer)) => Some(Enrolment::V2 { key, issuer }),
        _ => None,
    };
    let v1 = match (all.v1.remove(&role).and_then(|key| key.secret), all.v1.remove(&Role::Issuer)) {
        (Some(key), Some(issuer)) => Some(Enrolment::V1 { key, issuer: issuer.public }),
        _ => None,
    };
    let chosen = match wish.wire {
        Some(1) => v1,
        Some(_) => v2,
        None => v2.or(v1),
    };
    chosen.ok_or_else(|| {
        let failure = Failure::usage(format!("the folder has no private key of {role} beside a public one of its issuer"));
        let failure = failure.and("make it with “doorward ble keys create guest”, and copy backend_public.pem and backend_v2.public here");
        failure.and("or, with an invite, name its issuer too: --invite CODE --issuer KEY")
    })
}

/// A key for who was invited and has none.
fn make_key(global: &Global, wish: &BleGuest, own: &Role) -> Result<(), Failure> {
    let (folder, path) = folder(global, &wish.keys);
    let failed = |mistakes: Mistakes| Failure::failed(mistakes.to_string());
    let all = folder.read().map_err(failed)?;
    if has(&all, own) || has(&all, &Role::Guest(None)) {
        return Ok(());
    }
    folder.create(own, Kind::V2, &Clock::start()).map_err(failed)?;
    output::note(&format!("A key for {own} was made in {}.", path.display()));
    Ok(())
}

fn has(all: &Contents, role: &Role) -> bool {
    all.v1.contains_key(role) || all.v2.contains_key(role)
}

fn read_pass(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("the pass {} cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(cannot)?.take(MOST as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MOST { Err(Failure::usage("this file is longer than any pass")) } else { Ok(bytes) }
}

/// Waits for Enter. Where nobody can press it, nothing opens.
async fn asked(lock: &LockId, action: ActionWord) -> bool {
    output::note(&format!("\nPress Enter to {action} {lock}, or Ctrl-C to leave it."));
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next());
    matches!(line.await, Ok(Some(Ok(_))))
}

/// Where progress is shown: one line of a terminal that changes, else a line for each thing.
struct Screen {
    json: bool,
    terminal: bool,
    /// A line of the terminal is not ended yet.
    open: Arc<std::sync::atomic::AtomicBool>,
}

impl Screen {
    fn new(json: bool) -> Self {
        Self { json, terminal: !json && std::io::stdout().is_terminal(), open: Arc::default() }
    }

    fn show(&self, progress: &Progress) {
        use std::sync::atomic::Ordering::Relaxed;
        let text = words(progress);
        if self.json {
            output::line(&json!({ "progress": word(progress), "text": text }).to_string());
        } else if self.terminal {
            // From the beginning of the line, and what was there before goes.
            let _ = write!(std::io::stdout(), "\r\x1b[K{text}");
            let _ = std::io::stdout().flush();
            let stays = !matches!(progress, Progress::Advertising { .. } | Progress::Looking);
            if stays {
                output::line("");
            }
            self.open.store(!stays, Relaxed);
        } else {
            output::line(&text);
        }
    }

    fn end(&self) {
        if self.open.swap(false, std::sync::atomic::Ordering::Relaxed) {
            output::line("");
        }
    }
}

const fn word(progress: &Progress) -> &'static str {
    match progress {
        Progress::Looking => "looking",
        Progress::Found { .. } => "found",
        Progress::Passed(_) => "passed",
        Progress::Asking(_) => "asking",
        Progress::Session(_) => "session",
        Progress::Advertising { .. } => "advertising",
        Progress::AdapterGone => "adapter_gone",
        Progress::Gesture => "gesture",
        Progress::Told(_) => "told",
        Progress::Ended => "ended",
    }
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::Looking => "Looking around …".into(),
        Progress::Found { address, name } => {
            // A name is a stranger's: nothing in it may move the cursor.
            let name: String = name.iter().flat_map(|name| name.chars()).filter(|letter| !letter.is_control()).take(40).collect();
            format!("Found {address} {name}").trim_end().into()
        }
        Progress::Passed(error) => format!("Not this one: {error}"),
        Progress::Asking(version) => format!("Asking for a session, in version {version} …"),
        Progress::Session(end) => format!("There is a session until {end}."),
        Progress::Advertising { token, slot } => format!("Showing token {token} (slot {slot})"),
        Progress::AdapterGone => "The Bluetooth adapter is gone; waiting for it …".into(),
        Progress::Gesture => "The lock waits for you.".into(),
        Progress::Told(Told::Done) => "The lock says that it opened.".into(),
        Progress::Told(Told::Refused) => "The lock refused.".into(),
        Progress::Told(Told::Again) => "The lock wants to be asked again.".into(),
        Progress::Told(Told::NoTime) => "The lock does not know the time.".into(),
        Progress::Ended => "The session is over.".into(),
    }
}

fn failure(error: &GuestError) -> Failure {
    let internal = Trouble::InternalError.as_str();
    let exit = match error {
        GuestError::Radio(_) | GuestError::NotFound | GuestError::NoIssuer(_) | GuestError::NoAnswer => Exit::Unreachable,
        GuestError::Refused(word) if word == internal => Exit::Failed,
        GuestError::Refused(_) | GuestError::Lock(Told::Refused) => Exit::Refused,
        GuestError::Answer(_)
        | GuestError::Frame(_)
        | GuestError::InClear
        | GuestError::TooLong
        | GuestError::Over
        | GuestError::NeedsGesture
        | GuestError::NoGesture
        | GuestError::OtherLock(_)
        | GuestError::Declined
        | GuestError::NoPasses
        | GuestError::Unsure(_)
        | GuestError::Lock(_) => Exit::Failed,
    };
    Failure::new(exit, error.person()).and(error.to_string())
}
