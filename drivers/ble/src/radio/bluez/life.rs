//! Adapters that come and go.

use super::{
    Clock, Settings,
    link::Link,
    names::{self, ADAPTER, BLUEZ, OBJECTS, PROPERTIES},
    trouble::is_unknown,
};
use crate::{
    dbus::{Bus, BusError, Inbox, Patience, Value},
    radio::{Down, RadioError, Standing, StateWatch},
};
use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};
use tokio::{sync::watch, time::sleep};

/// Adapters that are tried when none is named.
const MOST_ADAPTERS: usize = 8;

/// What outlives a generation.
pub(super) struct Life {
    settings: Settings,
    clock: Clock,
    standing: watch::Sender<Standing>,
    link: Mutex<Option<Arc<Link>>>,
    /// Connections of others are counted through all generations.
    peers: Arc<AtomicU64>,
}

impl Life {
    pub(super) fn new(settings: Settings, clock: Clock) -> Self {
        let trouble = Some(RadioError::Down(Down::Looking, "since the start".into()));
        let standing = watch::Sender::new(Standing { generation: 0, trouble });
        Self { settings, clock, standing, link: Mutex::default(), peers: Arc::default() }
    }

    pub(super) fn state(&self) -> StateWatch {
        StateWatch::new(self.standing.subscribe())
    }

    /// The generation that is, or why there is none.
    pub(super) fn link(&self) -> Result<Arc<Link>, RadioError> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
        link.ok_or_else(|| self.standing.borrow().trouble.clone().unwrap_or_else(|| RadioError::Gone("just now".into())))
    }

    fn set(&self, link: Option<Arc<Link>>) -> Option<Arc<Link>> {
        std::mem::replace(&mut *self.link.lock().unwrap_or_else(PoisonError::into_inner), link)
    }

    fn up(&self, link: &Arc<Link>) {
        self.set(Some(Arc::clone(link)));
        self.standing.send_modify(|standing| *standing = Standing { generation: standing.generation + 1, trouble: None });
        tracing::info!(adapter = link.adapter, "Bluetooth is there");
    }

    /// Tells why there is no adapter, and then ends what was started on it.
    fn down(&self, why: RadioError) {
        let link = self.set(None);
        self.standing.send_if_modified(|standing| {
            let news = standing.trouble.as_ref() != Some(&why);
            // What a person can do something about.
            if news && matches!(why, RadioError::Down(..)) {
                tracing::warn!(%why, "no Bluetooth");
            }
            standing.trouble = Some(why);
            news
        });
        if let Some(link) = link {
            link.end();
        }
    }
}

/// Ends what was started also when the task is not run any more.
struct Ends(Arc<Life>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.down(RadioError::Gone("the radio is not used any more".into()));
    }
}

/// Runs until it is dropped.
pub(super) async fn run(life: Arc<Life>) {
    let ends = Ends(life);
    let life = &ends.0;
    let waits = life.settings.waits;
    let mut wait = waits.retry;
    loop {
        let before = life.standing.borrow().generation;
        let why = session(life).await;
        life.down(why);
        wait = if life.standing.borrow().generation == before { (wait * 2).min(waits.look) } else { waits.retry };
        sleep(wait).await;
    }
}

/// One connection to the bus, at most one generation, and why it is over.
async fn session(life: &Life) -> RadioError {
    let patience = Patience { call: life.settings.waits.call, signals: life.settings.signals, ..Patience::default() };
    let connected = match &life.settings.bus {
        Some(address) => Bus::connect(address, BLUEZ, patience).await,
        None => Bus::system(BLUEZ, patience).await,
    };
    let (bus, mut inbox) = match connected {
        Ok(connected) => connected,
        Err(error) => return why(error),
    };
    let over = match wait_up(life, &bus, &mut inbox).await {
        Ok((adapter, owner)) => {
            let link = Link::new(bus.clone(), adapter, life.settings.waits, Arc::clone(&life.clock), Arc::clone(&life.peers));
            let link = Arc::new(link);
            life.up(&link);
            link.run(&mut inbox, &owner).await
        }
        Err(error) => error,
    };
    life.down(over.clone());
    bus.close();
    over
}

/// Waits until there is an adapter that can be used: its path, and who drives it.
async fn wait_up(life: &Life, bus: &Bus, inbox: &mut Inbox) -> Result<(String, String), RadioError> {
    for rule in [
        format!("type='signal',sender='{BLUEZ}',interface='{OBJECTS}'"),
        format!("type='signal',sender='{BLUEZ}',interface='{PROPERTIES}',path_namespace='/org/bluez'"),
    ] {
        bus.listen(&rule).await.map_err(why)?;
    }
    loop {
        let owner = bus.owner();
        let trouble = match &owner {
            None => RadioError::Down(Down::NoDaemon, format!("nobody has the name {BLUEZ}")),
            Some(owner) => match find(life, bus).await {
                Ok(Ok(adapter)) => return Ok((adapter, owner.clone())),
                Ok(Err(trouble)) => trouble,
                Err(error) => why(error),
            },
        };
        if bus.is_over() {
            return Err(why(BusError::Lost));
        }
        life.down(trouble);
        tokio::select! {
            _ = bus.owner_changed(owner.as_deref()) => {}
            () = news(inbox) => {}
            () = sleep(life.settings.waits.look) => {}
        }
    }
}

/// Waits until something is told of an adapter.
async fn news(inbox: &mut Inbox) {
    while let Some(message) = inbox.next().await {
        let adapter = |value: &Value| value.as_text() == Some(ADAPTER) || value.at(ADAPTER).is_some();
        if message.body.iter().any(adapter) {
            return;
        }
    }
}

/// Looks for an adapter that is switched on.
///
/// Adapters are asked one by one: the list of all objects has every device that is near, and whoever is near can make it long.
async fn find(life: &Life, bus: &Bus) -> Result<Result<String, RadioError>, BusError> {
    let names = match &life.settings.adapter {
        Some(name) => vec![name.clone()],
        None => (0..MOST_ADAPTERS).map(|number| format!("hci{number}")).collect(),
    };
    let mut trouble = RadioError::Down(Down::NoAdapter, format!("none of {}", names.join(", ")));
    for name in names {
        let Some(path) = names::adapter(&name) else { continue };
        match bus.call(BLUEZ, &path, PROPERTIES, "GetAll", vec![Value::text(ADAPTER)]).await {
            Ok(answer) => match answer.body.first().and_then(|all| all.at("Powered")).and_then(Value::as_bool) {
                Some(true) => return Ok(Ok(path)),
                _ => trouble = RadioError::Down(Down::NotPowered, format!("{name} is off")),
            },
            Err(error) if error.name().is_some_and(is_unknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Err(trouble))
}

/// Why there is no adapter: what asks for one has nobody else to wait for.
fn why(error: BusError) -> RadioError {
    match error {
        BusError::Lost => RadioError::Down(Down::NoBus, error.to_string()),
        BusError::Late(_) => RadioError::Down(Down::NoDaemon, error.to_string()),
        BusError::Absent(_) | BusError::NotAllowed(_) | BusError::Refused { .. } | BusError::TooLong(_) | BusError::Malformed(_) => {
            error.into()
        }
    }
}
