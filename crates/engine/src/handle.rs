//! How everything else talks to the house.

use crate::{
    Board, Exchange,
    clock::Clock,
    drivers::{Drivers, SetUpError},
    fan::Fan,
    message::Message,
    post::Post,
    scribe::Job,
};
use doorward_core::{
    Now, Secret,
    driver::{About, Action, Credential, Done, Entry, Family, Fault, Report, Settings, Target},
    keeper::{At, Change, Command, CommandError, Input, Notice, RingCommand},
    record::NewEvent,
    setup::AccountSetup,
};
use doorward_store::{DoorEdit, Site, Store, StoreError, StoredAccount};
use doorward_wire::{
    account::AccountId,
    attempt::{Actor, Attempt, AttemptId, Reason},
    door::DoorId,
    event::{Event, EventKind},
    ring::{Ring, RingId},
};
use serde_json::json;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// A cheap, cloneable way into the house.
#[derive(Clone)]
pub struct Handle {
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) fan: Fan,
    pub(crate) inputs: mpsc::UnboundedSender<Message>,
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) post: Post,
    pub(crate) store: Store,
    pub(crate) instance: uuid::Uuid,
}

impl Handle {
    /// Both clocks, now.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The clock and dice of the program.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What survives.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Doors, accounts, rings and recent attempts as they stand now.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Everything that is told from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.fan.subscribe()
    }

    /// Where MQTT and the house meet.
    pub fn exchange(&self) -> &Arc<Exchange> {
        self.drivers.exchange()
    }

    /// How many driver calls have not come back yet.
    pub fn under_way(&self) -> watch::Receiver<usize> {
        self.post.under_way.subscribe()
    }

    /// The drivers that this program has.
    pub fn kinds(&self) -> &'static [Entry] {
        self.drivers.entries()
    }

    /// What a driver is and can do.
    pub fn about(&self, kind: &str) -> Option<About> {
        self.drivers.about(kind)
    }

    /// Sends a command, and returns when it is written down and will be done, or is refused.
    pub async fn submit(&self, command: Command) -> Result<Attempt, CommandError> {
        let (caller, answer) = oneshot::channel();
        self.send(Message::Wait(command.id, At::Accepted, caller))?;
        self.send(Message::Input(Input::Command(Box::new(command))))?;
        answer.await.map_err(|_| CommandError::Stopping)?
    }

    /// Waits until an attempt has ended, at most this long; then says how far it is.
    pub async fn finish(&self, attempt: Attempt, within: Duration) -> Attempt {
        if attempt.state.is_final() {
            return attempt;
        }
        let (caller, answer) = oneshot::channel();
        if self.send(Message::Wait(attempt.id, At::Finished, caller)).is_err() {
            return attempt;
        }
        tokio::select! {
            answer = answer => match answer {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) | Err(_) => attempt,
            },
            () = self.clock.sleep_until(self.clock.now().mono.plus(within)) => self.board.attempt(attempt.id).unwrap_or(attempt),
        }
    }

    /// An attempt, recent or old.
    pub async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        match self.board.attempt(id) {
            Some(attempt) => Ok(Some(attempt)),
            None => self.store.attempt(id).await,
        }
    }

    /// Answers or ignores a ring, and gives it as it stands then; one that was over stays as it ended. When this returns
    /// it is written down, if that was possible.
    pub async fn end_ring(&self, command: RingCommand) -> Result<Option<Ring>, StoreError> {
        let id = command.id;
        let _ = self.inputs.send(Message::Input(Input::Ring(command)));
        self.heard().await;
        // What was to be written before this is then written, too; what could not be is written later.
        let _ = self.record(Vec::new()).await;
        self.ring(id).await
    }

    /// A ring, recent or old.
    pub async fn ring(&self, id: RingId) -> Result<Option<Ring>, StoreError> {
        match self.board.ring(id) {
            Some(ring) => Ok(Some(ring)),
            None => self.store.ring(id).await,
        }
    }

    /// Writes events that did not come from the keeper; they are durable when this returns.
    pub async fn record(&self, events: Vec<NewEvent>) -> Result<Vec<Event>, StoreError> {
        let (caller, answer) = oneshot::channel();
        let stopping = || StoreError::Unavailable("doorward is stopping".into());
        self.jobs.send(Job::Events(events, caller)).map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Tells events that were written down already, with what they are about.
    pub fn tell(&self, events: Vec<Event>) {
        let _ = self.inputs.send(Message::Told(events));
    }

    /// Counts a refusal of a caller that did not say who it is.
    pub fn refused(&self, reason: Reason, source: Option<IpAddr>) {
        let _ = self.inputs.send(Message::Refused(reason, source));
    }

    /// Asks an account's driver for something that is not a command at a door.
    pub async fn call(&self, account: &AccountId, action: Action) -> Result<Done, Fault> {
        self.ask(account, Target::Account, action).await
    }

    /// Takes a step of an account's sign-in or set-up for somebody. A step that gives secrets out is written down before.
    pub async fn step(&self, account: &AccountId, actor: &Actor, step: &str, input: Secret<String>) -> Result<Done, Fault> {
        if step == "export" {
            let event = NewEvent::new(self.now().utc, EventKind::AccountExported).account(account).actor(actor);
            self.write_down(event).await?;
        }
        self.call(account, Action::Setup { step: step.to_owned(), input }).await
    }

    /// Asks a door for its state now. What comes back goes to the caller alone.
    pub async fn look(&self, door: &DoorId) -> Result<Done, Fault> {
        // What was found just now is shown before it is written.
        let shown = self.board.door(door).and_then(|door| Some((door.account?.parse::<AccountId>().ok()?, door.external?)));
        let Some((account, external)) = shown else { return Err(Fault::refused("There is no such door.", "unknown door")) };
        // Where it hangs matters for codes with a schedule alone.
        let target = Target::Door { id: door.clone(), external, time_zone: String::new() };
        self.ask(&account, target, Action::Refresh).await
    }

    /// Lists or changes the codes that a lock keeps by itself. A change is written down before it is made: a code opens.
    pub async fn codes(&self, door: &DoorId, actor: &Actor, what: Credential) -> Result<Done, Fault> {
        let setup = self.store.door(door).await.map_err(|error| Fault::offline(error.person(), error.to_string()))?;
        let Some(setup) = setup else {
            return Err(Fault::refused("There is no such door.", "unknown door"));
        };
        let data = match &what {
            Credential::List => None,
            // The name is a person's, and what is chained cannot be erased.
            Credential::Add(_) => Some(json!({ "change": "add" })),
            Credential::Update { id, .. } => Some(json!({ "change": "update", "code": id })),
            Credential::Delete { id } => Some(json!({ "change": "delete", "code": id })),
        };
        if let Some(data) = data {
            let event = NewEvent::new(self.now().utc, EventKind::DoorCodes).door(door).actor(actor).data(data);
            self.write_down(event).await?;
        }
        let target = Target::Door { id: setup.id, external: setup.external, time_zone: setup.time_zone };
        self.ask(&setup.account, target, Action::Credential(what)).await
    }

    /// What must not happen unrecorded is recorded before.
    async fn write_down(&self, event: NewEvent) -> Result<(), Fault> {
        let recorded = self.record(vec![event]).await.map(drop);
        recorded.map_err(|error| Fault::offline(error.person(), error.to_string()).because(Reason::AuditUnavailable))
    }

    /// Adds an account and starts its driver. The identifier is made from its name.
    pub async fn add_account(&self, kind: &str, name: &str, settings: Settings, actor: &Actor) -> Result<AccountId, SetUpError> {
        if self.drivers.about(kind).is_some_and(|about| about.only_in_file) {
            return Err(SetUpError::OnlyInFile(kind.into()));
        }
        let driver = self.drivers.build(kind, &settings)?;
        let created = self.now().utc;
        let wish = AccountId::from_name(name, kind);
        let mut account = StoredAccount { id: wish.clone(), kind: kind.into(), name: name.into(), settings, managed: false, created };
        let mut number = 2;
        while !self.store.add_account(&account).await? {
            account.id = wish.numbered(number);
            number += 1;
        }
        let id = account.id;
        self.store.own(std::slice::from_ref(&id), self.instance, created).await?;
        let event = NewEvent::new(created, EventKind::AccountAdded).account(&id).actor(actor).data(json!({ "kind": kind, "name": name }));
        self.record(vec![event]).await?;
        self.changed(Change::Account(AccountSetup::new(id.clone(), driver.about())));
        self.drivers.start(&id, driver);
        Ok(id)
    }

    /// Changes an account's name or settings and starts its driver anew. Values and secrets that are not named stay.
    pub async fn update_account(&self, id: &AccountId, name: Option<&str>, changes: Settings, actor: &Actor) -> Result<(), SetUpError> {
        let mut account = self.store.account(id).await?.ok_or(SetUpError::UnknownAccount)?;
        if account.managed {
            return Err(SetUpError::Managed(format!("account {id}")));
        }
        let keys: Vec<String> = changes.values.keys().chain(changes.secrets.keys()).cloned().collect();
        account.settings.values.extend(changes.values);
        account.settings.secrets.extend(changes.secrets);
        if let Some(name) = name {
            name.clone_into(&mut account.name);
        }
        let driver = self.drivers.build(&account.kind, &account.settings)?;
        self.store.update_account(&account).await?;
        let event = NewEvent::new(self.now().utc, EventKind::SettingsChanged).account(id).actor(actor).data(json!({ "changed": keys }));
        self.record(vec![event]).await?;
        let setup = self.drivers.start(id, driver);
        self.changed(Change::Account(setup));
        Ok(())
    }

    /// Removes an account, its secrets and its doors. Its events stay.
    pub async fn remove_account(&self, id: &AccountId, actor: &Actor) -> Result<(), SetUpError> {
        let account = self.store.account(id).await?.ok_or(SetUpError::UnknownAccount)?;
        if account.managed {
            return Err(SetUpError::Managed(format!("account {id}")));
        }
        self.drivers.stop(id).await;
        self.store.remove_account(id).await?;
        let event = NewEvent::new(self.now().utc, EventKind::AccountRemoved).account(id).actor(actor).data(json!({ "name": account.name }));
        self.record(vec![event]).await?;
        self.changed(Change::AccountRemoved(id.clone()));
        Ok(())
    }

    /// Changes how a door is set up.
    pub async fn update_door(&self, id: &DoorId, edit: &DoorEdit, actor: &Actor) -> Result<(), SetUpError> {
        let before = self.store.door(id).await?.ok_or(SetUpError::UnknownDoor)?;
        if before.managed {
            return Err(SetUpError::Managed(format!("door {id}")));
        }
        let door = self.store.update_door(id, edit).await?.ok_or(SetUpError::UnknownDoor)?;
        let event = NewEvent::new(self.now().utc, EventKind::SettingsChanged).door(id).actor(actor).data(json!({ "name": door.name }));
        self.record(vec![event]).await?;
        self.changed(Change::Door(Box::new(door)));
        Ok(())
    }

    /// Adds a site. The identifier is made from its name.
    pub async fn add_site(&self, name: &str, time_zone: &str, actor: &Actor) -> Result<Site, SetUpError> {
        let known = self.store.sites().await?;
        let wish = DoorId::from_name(name, "site");
        let id = std::iter::once(wish.clone())
            .chain((2..=u32::MAX).map(|number| wish.numbered(number)))
            .find(|id| known.iter().all(|site| site.id != id.as_str()))
            .unwrap_or(wish);
        let site = Site { id: id.to_string(), name: name.into(), time_zone: time_zone.into(), holidays: Vec::new() };
        self.put_site(&site, actor).await?;
        Ok(site)
    }

    /// Changes a site; its doors take over its time zone.
    pub async fn update_site(&self, site: &Site, actor: &Actor) -> Result<(), SetUpError> {
        if self.store.sites().await?.iter().all(|known| known.id != site.id) {
            return Err(SetUpError::UnknownSite);
        }
        self.put_site(site, actor).await?;
        for door in self.store.doors().await?.into_iter().filter(|door| door.site == site.id) {
            self.changed(Change::Door(Box::new(door)));
        }
        Ok(())
    }

    async fn put_site(&self, site: &Site, actor: &Actor) -> Result<(), SetUpError> {
        self.store.put_site(site).await?;
        let event = NewEvent::new(self.now().utc, EventKind::SettingsChanged).actor(actor).data(json!({ "site": site }));
        self.record(vec![event]).await?;
        Ok(())
    }

    /// Removes a site that has no doors.
    pub async fn remove_site(&self, id: &str, actor: &Actor) -> Result<(), SetUpError> {
        match self.store.doors().await?.iter().filter(|door| door.site == id).count() {
            0 => {}
            doors => return Err(SetUpError::SiteInUse(doors)),
        }
        if !self.store.remove_site(id).await? {
            return Err(SetUpError::UnknownSite);
        }
        let event =
            NewEvent::new(self.now().utc, EventKind::SettingsChanged).actor(actor).data(json!({ "site": { "id": id, "removed": true } }));
        self.record(vec![event]).await?;
        Ok(())
    }

    /// Removes a door. Its events stay; the vendor's next list brings it back if it is still there.
    pub async fn remove_door(&self, id: &DoorId, actor: &Actor) -> Result<(), SetUpError> {
        let door = self.store.door(id).await?.ok_or(SetUpError::UnknownDoor)?;
        if door.managed {
            return Err(SetUpError::Managed(format!("door {id}")));
        }
        self.store.remove_door(id).await?;
        self.record(vec![NewEvent::new(self.now().utc, EventKind::DoorRemoved).door(id).actor(actor)]).await?;
        self.changed(Change::DoorRemoved(id.clone()));
        Ok(())
    }

    /// Asks a driver past the keeper. That the account must be signed in again, the keeper hears all the same. What the
    /// driver reported meanwhile shows on the board when this returns.
    async fn ask(&self, account: &AccountId, target: Target, action: Action) -> Result<Done, Fault> {
        let result = self.post.call(account, target, action).await;
        if let Err(fault) = &result
            && fault.family == Family::Auth
        {
            let report = Report::Down(fault.clone());
            let _ = self.inputs.send(Message::Input(Input::Report { account: account.clone(), report }));
        }
        self.heard().await;
        result
    }

    /// Ends when everything that was sent to the run loop before has come to the board.
    async fn heard(&self) {
        let (teller, told) = oneshot::channel();
        if self.inputs.send(Message::Heard(teller)).is_ok() {
            let _ = told.await;
        }
    }

    fn changed(&self, change: Change) {
        let _ = self.inputs.send(Message::Input(Input::Changed(change)));
    }

    fn send(&self, message: Message) -> Result<(), CommandError> {
        self.inputs.send(message).map_err(|_| CommandError::Stopping)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}
