//! The run loop: takes inputs in order, hands them to the keeper, carries out what comes back.

use crate::{
    Handle,
    clock::Clock,
    drivers::Drivers,
    exchange::Exchange,
    fan::Fan,
    message::{Caller, Message},
    post::Post,
    scribe::{self, Job},
};
use doorward_core::{
    Mono,
    driver::{Entry, Report, Sight},
    keeper::{At, Change, CommandError, Input, Keeper, Notice, Output},
    refusals::Refusals,
};
use doorward_store::{Store, StoreError};
use doorward_wire::{
    account::AccountId,
    attempt::{Attempt, AttemptId},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// The loop looks at the clock at least this often, to notice that somebody moved it.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// When the program stops, what was sent to a door gets this long to come back.
const LAST_CALL: Duration = Duration::from_secs(5);
/// Inputs handled before outputs are carried out, so that their records share a commit.
const BATCH: usize = 128;

/// Everything that the house is made of.
pub struct House {
    /// What must survive.
    pub store: Store,
    /// Time and dice.
    pub clock: Arc<dyn Clock>,
    /// The driver table.
    pub drivers: &'static [Entry],
}

/// Why the house cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("the system gives no threads: {0}")]
    NoThread(#[from] std::io::Error),
}

/// Stops the house. Dropping it does so too, but nobody then waits for what is under way.
pub struct Stopper {
    drivers: Arc<Drivers>,
    under_way: watch::Sender<usize>,
    jobs: mpsc::UnboundedSender<Job>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    scribe: oneshot::Receiver<()>,
}

impl House {
    /// Reads the store, takes ownership of its accounts, closes what the last run left open, and runs.
    pub async fn start(self) -> Result<(Handle, Stopper), StartError> {
        let Self { store, clock, drivers } = self;
        let (inputs, messages) = mpsc::unbounded_channel();
        let (jobs, written) = mpsc::unbounded_channel();
        let fan = Fan::new();
        let drivers = Arc::new(Drivers::new(drivers, store.clone(), Arc::clone(&clock), inputs.clone()));
        let under_way = watch::Sender::new(0);
        let post = Post { drivers: Arc::clone(&drivers), clock: Arc::clone(&clock), inputs: inputs.clone(), under_way: under_way.clone() };

        let instance = clock.uuid();
        let boot = boot(&store, instance, &clock, &drivers).await?;
        let scribe = scribe::start(store.clone(), Arc::clone(&clock), written, inputs.clone())?;
        let mut seed = [0; 8];
        clock.fill(&mut seed);
        let mut room = Loop {
            keeper: Keeper::new(u64::from_le_bytes(seed)),
            refusals: Refusals::default(),
            clock: Arc::clone(&clock),
            fan: fan.clone(),
            jobs: jobs.clone(),
            post: post.clone(),
            exchange: Arc::clone(drivers.exchange()),
            waiting: HashMap::new(),
            listening: Vec::new(),
        };
        room.take(Message::Input(boot));
        room.drain();
        let (stop, told) = oneshot::channel();
        let running = tokio::spawn(room.run(messages, told));
        let stopper = Stopper { drivers: Arc::clone(&drivers), under_way, jobs: jobs.clone(), stop, running, scribe };
        let handle = Handle { board: Arc::clone(&fan.board), clock, drivers, fan, inputs, jobs, post, store, instance };
        Ok((handle, stopper))
    }
}

async fn boot(store: &Store, instance: uuid::Uuid, clock: &Arc<dyn Clock>, drivers: &Drivers) -> Result<Input, StartError> {
    let rows = store.accounts().await?;
    let ids: Vec<AccountId> = rows.iter().map(|row| row.id.clone()).collect();
    store.own(&ids, instance, clock.now().utc).await?;
    let intents = store.open_intents(&ids).await?;
    let rings = store.open_rings(&ids).await?;
    let doors = store.doors().await?;
    let mut accounts = Vec::new();
    for row in rows {
        match drivers.build(&row.kind, &row.settings) {
            Ok(driver) => accounts.push(drivers.start(&row.id, driver)),
            // One account with a mistake must not keep the other doors shut.
            Err(error) => tracing::error!(account = %row.id, %error, "this account cannot be started"),
        }
    }
    Ok(Input::Boot { accounts, doors, intents, rings })
}

impl Stopper {
    /// Stops watching, lets what is on its way come to its end, writes what is to be written.
    pub async fn stop(self) {
        self.drivers.stop_all().await;
        // A sign-in or a renewal that a person asked for is let to its end too: its token may just have been rotated.
        let mut under_way = self.under_way.subscribe();
        let _ = tokio::time::timeout(LAST_CALL, under_way.wait_for(|count| *count == 0)).await;
        let _ = self.stop.send(());
        let _ = self.running.await;
        let _ = self.jobs.send(Job::End);
        let _ = self.scribe.await;
    }
}

struct Loop {
    keeper: Keeper,
    refusals: Refusals,
    clock: Arc<dyn Clock>,
    fan: Fan,
    jobs: mpsc::UnboundedSender<Job>,
    post: Post,
    exchange: Arc<Exchange>,
    waiting: HashMap<AttemptId, Vec<(At, Caller)>>,
    /// Who wants to know when this turn is over.
    listening: Vec<oneshot::Sender<()>>,
}

impl Loop {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>, mut told: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut last_call: Option<Mono> = None;
        loop {
            let now = self.clock.now().mono;
            if last_call.is_some_and(|end| now >= end || !self.keeper.is_busy()) {
                return;
            }
            let latest = last_call.unwrap_or(now.plus(HEARTBEAT));
            let wake = self.keeper.deadline().map_or(latest, |deadline| deadline.min(latest));
            tokio::select! {
                biased;
                count = messages.recv_many(&mut batch, BATCH) => {
                    if count == 0 { return; }
                    for message in batch.drain(..) {
                        self.take(message);
                    }
                }
                () = self.clock.sleep_until(wake) => self.tick(),
                _ = &mut told, if last_call.is_none() => last_call = Some(now.plus(LAST_CALL)),
            }
            self.drain();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Input(input) => {
                let now = self.clock.now();
                if let Input::Report { account, report: Report::Seen { external, sight: Sight { raw: Some(raw), .. } } } = &input {
                    self.fan.board.put_raw(account, external, raw, now.utc);
                }
                self.contacts(&input);
                self.keeper.handle(input, now);
            }
            Message::Wait(id, at, caller) => self.wait(id, at, caller),
            Message::Heard(teller) => self.listening.push(teller),
            Message::Told(events) => {
                for event in events {
                    self.fan.publish(Notice::Event(event));
                }
            }
            Message::Refused(reason, source) => {
                metrics::counter!("doorward_denied_total", "reason" => reason.as_str()).increment(1);
                let rows = self.refusals.note(reason, source, self.clock.now().utc);
                self.write_refusals(rows);
            }
        }
    }

    /// Which contacts are to be heard.
    fn contacts(&self, input: &Input) {
        let doors = match input {
            Input::Boot { doors, .. } => doors.as_slice(),
            Input::Changed(Change::Door(door)) => std::slice::from_ref(door.as_ref()),
            Input::Command(_)
            | Input::Ring(_)
            | Input::Acted { .. }
            | Input::Report { .. }
            | Input::Contact { .. }
            | Input::Stored { .. }
            | Input::Changed(_)
            | Input::Time => &[],
        };
        for door in doors {
            self.exchange.set_contact(&door.id, door.contact.as_ref());
        }
    }

    fn tick(&mut self) {
        self.keeper.handle(Input::Time, self.clock.now());
        let rows = self.refusals.flush(self.clock.now().utc);
        self.write_refusals(rows);
    }

    fn write_refusals(&self, rows: Vec<doorward_core::record::NewEvent>) {
        if !rows.is_empty() {
            let _ = self.jobs.send(Job::Events(rows, oneshot::channel().0));
        }
    }

    /// A caller that asks after the end is answered at once from the board.
    fn wait(&mut self, id: AttemptId, at: At, caller: Caller) {
        if at == At::Finished
            && let Some(attempt) = self.fan.board.attempt(id)
            && attempt.state.is_final()
        {
            let _ = caller.send(Ok(attempt));
            return;
        }
        let callers = self.waiting.entry(id).or_default();
        callers.retain(|(_, caller)| !caller.is_closed());
        callers.push((at, caller));
    }

    fn drain(&mut self) {
        let mut records = Vec::new();
        while let Some(output) = self.keeper.poll() {
            match output {
                Output::Record { ticket, record } => records.push((ticket, record)),
                Output::Act { act, account, target, action } => self.post.send(act, account, target, action),
                Output::Publish(notice) => {
                    if let Notice::DoorGone(door) = &notice {
                        self.exchange.set_contact(door, None);
                    }
                    self.fan.publish(notice);
                }
                Output::Reply { id, at, attempt } => self.reply(id, at, &attempt),
            }
        }
        // Together, so that they share a commit however quick the scribe is.
        if !records.is_empty() {
            let _ = self.jobs.send(Job::Records(records));
        }
        for teller in self.listening.drain(..) {
            let _ = teller.send(());
        }
    }

    fn reply(&mut self, id: AttemptId, at: At, attempt: &Result<Attempt, CommandError>) {
        if let Ok(attempt) = attempt {
            self.fan.board.put(&Notice::Attempt(attempt.clone()));
        }
        let Some(callers) = self.waiting.remove(&id) else { return };
        let mut still = Vec::new();
        for (wants, caller) in callers {
            // An error is the end for everybody who waits, and what has ended was accepted, and its driver has come back.
            if wants <= at || attempt.is_err() {
                let _ = caller.send(attempt.clone());
            } else {
                still.push((wants, caller));
            }
        }
        if !still.is_empty() {
            self.waiting.insert(id, still);
        }
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("House")
    }
}
