//! A lock as a thing in the world: a bolt that takes time to travel, a battery, a door, people with codes.
//!
//! Everything here is a pure state machine. The time comes in with each call, and [`Lock::settle`] lets
//! everything happen that was due by then.

use serde::{Deserialize, Serialize};

use super::users::{LockUser, Users};

/// What a lock is and how it behaves.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LockSpec {
    /// The id that the cloud gives it: its MAC address.
    pub id: String,
    /// The name that its owner gave it.
    pub name: String,
    /// The maker's name of the model.
    pub model: String,
    /// How long the bolt takes from one end to the other, in milliseconds.
    pub travel_ms: u64,
    /// What it does with a command.
    pub behaviour: Behaviour,
    /// Where the bolt is at the very first start.
    pub position: Position,
    /// Battery level at the very first start, 1 (10 %) to 5 (100 %).
    pub battery: u8,
    /// Whether it has a contact that knows if the door is open.
    pub door_sensor: bool,
    /// How long a change to its people takes to reach the lock, in milliseconds. Somebody who was deleted is
    /// listed until then.
    pub user_delete_ms: u64,
    /// Its people at the very first start.
    pub users: Vec<LockUser>,
}

impl LockSpec {
    /// An honest lock: locked, full battery, no door contact, 1.5 s to move.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            model: "U-Bolt-Pro-WiFi".to_owned(),
            travel_ms: 1500,
            behaviour: Behaviour::Honest,
            position: Position::Locked,
            battery: 5,
            door_sensor: false,
            user_delete_ms: 3000,
            users: Vec::new(),
        }
    }

    /// The same lock with another behaviour.
    #[must_use]
    pub fn behaves(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }
}

/// What a lock does with a command that the cloud passes on to it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Moves.
    #[default]
    Honest,
    /// Accepts and does not move. What it reports is true: the bolt is where it was.
    Liar,
    /// Jams at every n-th command (counting every command it received) and moves at the others, which also
    /// free a jammed bolt. 0 never jams.
    JamsEvery(u32),
    /// Moves, and goes back by itself some time after it arrived.
    Reverts {
        /// How long it stays, in milliseconds.
        after_ms: u64,
    },
}

/// Where the bolt is at rest. While it travels this is where it came from, which is also what the cloud
/// reports.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Thrown: the door is shut.
    #[default]
    Locked,
    /// Drawn back: the door can be opened.
    Unlocked,
    /// Stuck on the way.
    Jammed,
}

/// Where a command or a hand moves the bolt to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bolt {
    /// To the locked position.
    Locked,
    /// To the unlocked position.
    Unlocked,
}

impl From<Bolt> for Position {
    fn from(bolt: Bolt) -> Self {
        match bolt {
            Bolt::Locked => Self::Locked,
            Bolt::Unlocked => Self::Unlocked,
        }
    }
}

/// How a lock stands at one moment, and what has happened to it since its very first start.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LockView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does with commands.
    pub behaviour: Behaviour,
    /// Where the bolt rests, or came from while it moves.
    pub position: Position,
    /// Whether the bolt is on its way.
    pub moving: bool,
    /// Lock and unlock commands that reached it.
    pub commands_received: u64,
    /// Unlock commands among them.
    pub unlock_commands: u64,
    /// Times the bolt set out, by motor or by hand.
    pub times_moved: u64,
    /// Times the bolt became unlocked, for whatever reason. A door that must open at most once is tested
    /// with this number.
    pub times_opened: u64,
    /// Times somebody turned it by hand (counted in the two above as well).
    pub turned_by_hand: u64,
    /// Battery level, 1 to 5.
    pub battery: u8,
    /// Whether the door stands open (always `false` without a door sensor).
    pub door_open: bool,
    /// Whether the cloud reaches it.
    pub online: bool,
    /// People whose code works or is on its way.
    pub users: usize,
}

/// A lock at work.
#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) spec: LockSpec,
    pub(crate) works: Works,
}

/// What changes in a lock, and is kept across restarts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Works {
    pub(crate) rest: Position,
    next: Option<Next>,
    pub(crate) battery: u8,
    pub(crate) door_open: bool,
    pub(crate) online: bool,
    commands_received: u64,
    unlock_commands: u64,
    times_moved: u64,
    times_opened: u64,
    turned_by_hand: u64,
    pub(crate) users: Users,
}

/// What the bolt does next. A bolt does one thing at a time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Next {
    /// It is on its way and arrives, or gets stuck.
    Arrive { at: u64, to: Bolt, jams: bool },
    /// It rests, and will go back by itself.
    GoBack { at: u64, to: Bolt },
}

impl Next {
    fn at(self) -> u64 {
        match self {
            Self::Arrive { at, .. } | Self::GoBack { at, .. } => at,
        }
    }
}

impl Lock {
    pub(crate) fn new(spec: LockSpec) -> Self {
        let works = Works {
            rest: spec.position,
            next: None,
            battery: spec.battery,
            door_open: false,
            online: true,
            commands_received: 0,
            unlock_commands: 0,
            times_moved: 0,
            times_opened: 0,
            turned_by_hand: 0,
            users: Users::new(spec.users.clone()),
        };
        Self { spec, works }
    }

    /// Lets everything happen that was due by `now`. True when the cloud would report something new.
    pub(crate) fn settle(&mut self, now: u64) -> bool {
        let before = self.works.rest;
        self.works.users.settle(now);
        while let Some(next) = self.works.next.take_if(|next| next.at() <= now) {
            match next {
                Next::Arrive { at, to, jams } => self.arrive(at, to, jams),
                Next::GoBack { to, .. } => {
                    self.works.times_moved += 1;
                    self.rest_at(to.into());
                }
            }
        }
        before != self.works.rest
    }

    /// When [`Lock::settle`] will next have something to do.
    pub(crate) fn due(&self) -> Option<u64> {
        let bolt = self.works.next.map(Next::at);
        bolt.into_iter().chain(self.works.users.due()).min()
    }

    /// A command from the cloud. Settle first.
    pub(crate) fn command(&mut self, to: Bolt, now: u64) {
        self.works.commands_received += 1;
        if to == Bolt::Unlocked {
            self.works.unlock_commands += 1;
        }
        let jams = match self.spec.behaviour {
            Behaviour::Liar => return,
            Behaviour::JamsEvery(n) => n > 0 && self.works.commands_received.is_multiple_of(u64::from(n)),
            Behaviour::Honest | Behaviour::Reverts { .. } => false,
        };
        let there_soon = match self.works.next {
            Some(Next::Arrive { to: aim, .. }) => aim == to,
            Some(Next::GoBack { .. }) | None => self.works.rest == to.into(),
        };
        if there_soon && !jams {
            return;
        }
        self.works.times_moved += 1;
        let at = now.saturating_add(self.spec.travel_ms);
        self.works.next = Some(Next::Arrive { at, to, jams });
    }

    /// Somebody turns it by hand: at once, and whatever the motor was doing is over. Settle first.
    pub(crate) fn turn(&mut self, to: Bolt) {
        self.works.turned_by_hand += 1;
        self.works.next = None;
        if self.works.rest != to.into() {
            self.works.times_moved += 1;
            self.rest_at(to.into());
        }
    }

    /// The door swings; a lock without a contact does not notice.
    pub(crate) fn set_door(&mut self, open: bool) {
        self.works.door_open = open && self.spec.door_sensor;
    }

    pub(crate) fn view(&self) -> LockView {
        let works = &self.works;
        LockView {
            id: self.spec.id.clone(),
            name: self.spec.name.clone(),
            behaviour: self.spec.behaviour,
            position: works.rest,
            moving: matches!(works.next, Some(Next::Arrive { .. })),
            commands_received: works.commands_received,
            unlock_commands: works.unlock_commands,
            times_moved: works.times_moved,
            times_opened: works.times_opened,
            turned_by_hand: works.turned_by_hand,
            battery: works.battery,
            door_open: works.door_open,
            online: works.online,
            users: works.users.len(),
        }
    }

    fn arrive(&mut self, at: u64, to: Bolt, jams: bool) {
        let came_from = self.works.rest;
        if jams {
            self.rest_at(Position::Jammed);
            return;
        }
        self.rest_at(to.into());
        let back = match came_from {
            Position::Locked => Some(Bolt::Locked),
            Position::Unlocked => Some(Bolt::Unlocked),
            Position::Jammed => None,
        };
        if let (Behaviour::Reverts { after_ms }, Some(back)) = (self.spec.behaviour, back)
            && back != to
        {
            let at = at.saturating_add(after_ms);
            self.works.next = Some(Next::GoBack { at, to: back });
        }
    }

    fn rest_at(&mut self, position: Position) {
        if position == Position::Unlocked && self.works.rest != Position::Unlocked {
            self.works.times_opened += 1;
        }
        self.works.rest = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAVEL: u64 = 1500;

    fn lock(behaviour: Behaviour) -> Lock {
        Lock::new(LockSpec::new("7C:DF:A1:68:3E:6A", "Front door").behaves(behaviour))
    }

    fn at(lock: &mut Lock, now: u64) -> LockView {
        lock.settle(now);
        lock.view()
    }

    #[test]
    fn a_bolt_takes_its_time_and_shows_where_it_came_from_until_then() {
        let mut lock = lock(Behaviour::Honest);
        lock.command(Bolt::Unlocked, 0);
        let on_the_way = at(&mut lock, TRAVEL - 1);
        assert!(on_the_way.moving);
        assert_eq!(on_the_way.position, Position::Locked);
        assert_eq!(on_the_way.times_opened, 0);
        let there = at(&mut lock, TRAVEL);
        assert!(!there.moving);
        assert_eq!(there.position, Position::Unlocked);
        assert_eq!((there.times_moved, there.times_opened), (1, 1));
    }

    #[test]
    fn a_repeated_command_does_not_open_twice() {
        let mut lock = lock(Behaviour::Honest);
        lock.command(Bolt::Unlocked, 0);
        lock.command(Bolt::Unlocked, 10);
        lock.settle(5000);
        lock.command(Bolt::Unlocked, 5000);
        let view = at(&mut lock, 10_000);
        assert_eq!((view.commands_received, view.unlock_commands), (3, 3));
        assert_eq!((view.times_moved, view.times_opened), (1, 1));
    }

    #[test]
    fn a_bolt_that_turns_round_on_the_way_never_opened() {
        let mut lock = lock(Behaviour::Honest);
        lock.command(Bolt::Unlocked, 0);
        lock.command(Bolt::Locked, 500);
        let view = at(&mut lock, 500 + TRAVEL);
        assert_eq!(view.position, Position::Locked);
        assert_eq!((view.times_moved, view.times_opened), (2, 0));
    }

    #[test]
    fn every_fifth_command_jams_and_the_next_one_frees_it() {
        let mut lock = lock(Behaviour::JamsEvery(5));
        let mut now = 0;
        for nth in 1..=11 {
            let to = if nth % 2 == 1 { Bolt::Unlocked } else { Bolt::Locked };
            lock.command(to, now);
            now += TRAVEL;
            let expected = if nth % 5 == 0 { Position::Jammed } else { to.into() };
            assert_eq!(at(&mut lock, now).position, expected, "command {nth}");
        }
    }

    #[test]
    fn a_lock_that_reverts_goes_back_by_itself_once() {
        let mut lock = lock(Behaviour::Reverts { after_ms: 2000 });
        lock.command(Bolt::Unlocked, 0);
        assert_eq!(at(&mut lock, TRAVEL).position, Position::Unlocked);
        assert_eq!(lock.due(), Some(TRAVEL + 2000));
        let back = at(&mut lock, TRAVEL + 2000);
        assert_eq!(back.position, Position::Locked);
        assert_eq!((back.times_moved, back.times_opened), (2, 1));
        assert_eq!(lock.due(), None);
    }

    #[test]
    fn a_hand_ends_whatever_the_motor_was_doing() {
        let mut lock = lock(Behaviour::Honest);
        lock.command(Bolt::Unlocked, 0);
        lock.turn(Bolt::Locked);
        let view = at(&mut lock, 10_000);
        assert_eq!(view.position, Position::Locked);
        assert_eq!((view.turned_by_hand, view.times_opened), (1, 0));
    }

    #[test]
    fn everything_that_was_missed_happens_in_order() {
        let mut lock = lock(Behaviour::Reverts { after_ms: 1 });
        lock.command(Bolt::Unlocked, 0);
        assert!(!lock.settle(1_000_000), "it is back where it was");
        assert_eq!(lock.view().times_opened, 1);
    }
}
