//! Everything that the simulated cloud knows, behind one lock, and kept on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::Config;
use super::authority::{self, Authority};
use super::book::Book;
use super::faults::{Faults, On};
use super::journal::{Counters, Journal, Line, LogId};
use super::openers::{Opener, Works};
use super::passage::Plan;
use super::registry::Registry;
use super::sip::exchange::Exchange;
use super::spec::{GatewaySpec, PanelSpec, Person, PlantSpec};
use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk;

/// The name of the file in the folder of the configuration.
const FILE: &str = "legrand.json";

/// The cloud.
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    /// Signs the certificates of clients.
    pub(crate) client_authority: Authority,
    /// Signs that of the registrar.
    pub(crate) server_authority: Authority,
    /// The one that comes after it; made anew at each start.
    pub(crate) next_authority: Authority,
    ports: (u16, u16),
    state: Mutex<State>,
    /// Something happened after which the next deadline may be another one.
    pub(crate) changed: Notify,
    /// What the contacts say, by the id of the opener.
    pub(crate) contacts: watch::Sender<BTreeMap<String, bool>>,
    stopped: watch::Sender<bool>,
    file: Option<PathBuf>,
    /// The version of the state that is on disk. Held while writing, so that writers do not overtake.
    on_disk: Mutex<u64>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) book: Book,
    pub(crate) registry: Registry,
    plants: Vec<PlantSpec>,
    deleted_plants: BTreeSet<String>,
    pub(crate) openers: Vec<Opener>,
    pub(crate) exchange: Exchange,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) journal: Journal,
    version: u64,
    contacts_moved: bool,
}

/// What is kept across restarts.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) port: u16,
    pub(crate) sip_port: u16,
    pub(crate) client_authority: authority::Saved,
    pub(crate) server_authority: authority::Saved,
    dice: Dice,
    book: Book,
    registry: Registry,
    deleted_plants: BTreeSet<String>,
    openers: Vec<(String, String, Works)>,
}

impl Saved {
    pub(crate) fn load(folder: &Path) -> io::Result<Option<Self>> {
        disk::load(&folder.join(FILE))
    }
}

impl World {
    /// 9999-12-31T23:59:59Z, the last moment that an HTTP date can name.
    pub(crate) const LAST_DATE_MS: u64 = 253_402_300_799_000;

    /// Builds the world and writes it down once, so that an unwritable folder is found at the start.
    pub(crate) fn new(config: Config, ports: (u16, u16), saved: Option<Saved>) -> io::Result<Self> {
        let client_authority = Authority::new("Sim Client CA", saved.as_ref().map(|saved| &saved.client_authority))?;
        let server_authority = Authority::new("Sim Server CA", saved.as_ref().map(|saved| &saved.server_authority))?;
        let state = State::new(config.seed, config.plants.clone(), saved);
        let world = Self {
            clock: Arc::clone(&config.clock),
            client_authority,
            server_authority,
            next_authority: Authority::new("Sim Server CA 2", None)?,
            ports,
            contacts: watch::Sender::new(state.contacts()),
            state: Mutex::new(state),
            changed: Notify::new(),
            stopped: watch::Sender::new(false),
            file: config.dir.as_ref().map(|folder| folder.join(FILE)),
            config,
            on_disk: Mutex::new(0),
        };
        world.save()?;
        Ok(world)
    }

    /// Changes the state, after everything that was due has happened. The change is on disk when this returns.
    pub(crate) fn edit<R>(&self, change: impl FnOnce(&mut State, u64) -> R) -> R {
        let result = self.change(|state, now| {
            state.version += 1;
            change(state, now)
        });
        if let Err(error) = self.save() {
            tracing::error!(%error, "the simulator cannot write its state");
        }
        result
    }

    /// Changes what is not kept across restarts, and what may be due another time.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State, u64) -> R) -> R {
        let result = self.look(change);
        self.changed.notify_one();
        result
    }

    /// Looks at the state, or changes what is not kept across restarts.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State, u64) -> R) -> R {
        let mut state = self.lock();
        let now = self.clock.now_ms();
        state.settle(now);
        let result = look(&mut state, now);
        if std::mem::take(&mut state.contacts_moved) {
            self.contacts.send_replace(state.contacts());
        }
        result
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        self.look(|state, _| count(&mut state.counters));
    }

    pub(crate) fn faults(&self) -> Faults {
        self.look(|state, _| state.faults.clone())
    }

    /// Counts a request at `at` and says what will happen to it.
    pub(crate) fn plan(&self, at: On, refresh: bool) -> Plan {
        self.look(|state, now| {
            state.counters.arrived(at);
            let plan = if refresh { state.faults.plan_refresh(now) } else { state.faults.plan(at, now) };
            state.counters.faults += u64::from(plan.faulty());
            plan
        })
    }

    /// Notes that a request has come.
    pub(crate) fn log(&self, method: &str, path: &str) -> LogId {
        self.look(|state, now| state.journal.note(now, method, path))
    }

    /// Notes how a request was answered.
    pub(crate) fn log_status(&self, id: LogId, status: u16) {
        self.look(|state, _| state.journal.status(id, status));
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.look(|state, _| state.journal.lines())
    }

    /// The person with this object id.
    pub(crate) fn person(&self, oid: &str) -> Option<&Person> {
        self.config.people.iter().find(|person| person.oid == oid)
    }

    /// The SIP domain of a gateway.
    pub(crate) fn domain(&self, gateway: &str) -> String {
        format!("{gateway}.{}", self.config.sip_domain)
    }

    /// Changes at the end of the simulator.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Runs something beside everything else, until it ends or the simulator does.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.stopped();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut on_disk = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, saved) = {
            let state = self.lock();
            if state.version <= *on_disk {
                return Ok(());
            }
            let works = |opener: &Opener| (opener.gateway.clone(), opener.spec.id.clone(), opener.works.clone());
            let saved = Saved {
                port: self.ports.0,
                sip_port: self.ports.1,
                client_authority: self.client_authority.saved(),
                server_authority: self.server_authority.saved(),
                dice: state.dice.clone(),
                book: state.book.clone(),
                registry: state.registry.clone(),
                deleted_plants: state.deleted_plants.clone(),
                openers: state.openers.iter().map(works).collect(),
            };
            (state.version, saved)
        };
        disk::save(file, &saved)?;
        *on_disk = version;
        Ok(())
    }
}

impl State {
    fn new(seed: u64, plants: Vec<PlantSpec>, saved: Option<Saved>) -> Self {
        let gateways = plants.iter().flat_map(|plant| &plant.gateways);
        let hung = |gateway: &GatewaySpec| {
            let id = gateway.id.clone();
            gateway.openers.clone().into_iter().map(move |spec| Opener::new(spec, id.clone()))
        };
        let mut state = Self {
            dice: Dice::new(seed),
            book: Book::default(),
            registry: Registry::default(),
            openers: gateways.flat_map(hung).collect(),
            plants,
            deleted_plants: BTreeSet::new(),
            exchange: Exchange::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            journal: Journal::default(),
            version: 1,
            contacts_moved: false,
        };
        if let Some(saved) = saved {
            state.dice = saved.dice;
            state.book = saved.book;
            state.registry = saved.registry;
            state.deleted_plants = saved.deleted_plants;
            for (gateway, id, works) in saved.openers {
                if let Some(opener) = state.openers.iter_mut().find(|opener| opener.gateway == gateway && opener.spec.id == id) {
                    opener.works = works;
                }
            }
        }
        state
    }

    /// The plants that are still there.
    pub(crate) fn plants(&self) -> impl Iterator<Item = &PlantSpec> {
        self.plants.iter().filter(|plant| !self.deleted_plants.contains(&plant.id))
    }

    /// A gateway that is still there, with its plant.
    pub(crate) fn gateway(&self, id: &str) -> Option<(&PlantSpec, &GatewaySpec)> {
        self.plants().find_map(|plant| Some((plant, plant.gateways.iter().find(|gateway| gateway.id == id)?)))
    }

    /// A panel that is still there, with its gateway.
    pub(crate) fn panel(&self, id: &str) -> Option<(&GatewaySpec, &PanelSpec)> {
        let gateways = self.plants().flat_map(|plant| &plant.gateways);
        gateways.into_iter().find_map(|gateway| Some((gateway, gateway.panels.iter().find(|panel| panel.id == id)?)))
    }

    /// Deletes a plant at the vendor, or brings it back. False when there is no such plant.
    pub(crate) fn delete_plant(&mut self, id: &str, deleted: bool) -> bool {
        if deleted {
            self.deleted_plants.insert(id.to_owned());
        } else {
            self.deleted_plants.remove(id);
        }
        self.plants.iter().any(|plant| plant.id == id)
    }

    /// Passes a command on. False when no such opener hangs on that gateway any more.
    pub(crate) fn command(&mut self, gateway: &str, id: &str, now: u64) -> bool {
        let mut openers = self.openers.iter_mut();
        let found = openers.find(|opener| opener.spec.id == id && opener.gateway == gateway && !opener.works.deleted);
        let Some(opener) = found else {
            return false;
        };
        opener.command(now);
        self.contacts_moved |= opener.settle(now);
        true
    }

    /// Whether a command would be passed on.
    pub(crate) fn knows(&self, gateway: &str, id: &str) -> bool {
        self.openers.iter().any(|opener| opener.spec.id == id && opener.gateway == gateway && !opener.works.deleted)
    }

    pub(crate) fn opener(&self, id: &str) -> Option<&Opener> {
        self.openers.iter().find(|opener| opener.spec.id == id)
    }

    /// Changes an opener. `None` when there is no such opener.
    pub(crate) fn tamper<R>(&mut self, id: &str, change: impl FnOnce(&mut Opener) -> R) -> Option<R> {
        let opener = self.openers.iter_mut().find(|opener| opener.spec.id == id)?;
        let before = opener.contact();
        let result = change(opener);
        self.contacts_moved |= before != opener.contact();
        Some(result)
    }

    /// When something will happen by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        let openers = self.openers.iter().filter_map(Opener::due);
        openers.chain(self.exchange.due(&self.faults)).min()
    }

    fn settle(&mut self, now: u64) {
        for opener in &mut self.openers {
            self.contacts_moved |= opener.settle(now);
        }
        self.exchange.settle(now, &self.faults);
    }

    fn contacts(&self) -> BTreeMap<String, bool> {
        let said = |opener: &Opener| Some((opener.spec.id.clone(), opener.contact()?));
        self.openers.iter().filter_map(said).collect()
    }
}
