//! A gate or a strike as a thing in the world: a motor that takes time, a way that can be blocked, a contact.
//!
//! A pure state machine. The time comes in with each call, and [`Opener::settle`] lets everything happen that
//! was due by then.

use serde::{Deserialize, Serialize};

use super::spec::{Behaviour, OpenerKind, OpenerSpec};

/// Where an opener stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Shut: nobody gets in.
    Shut,
    /// On its way to open.
    Opening,
    /// Open; a strike is released.
    Open,
    /// On its way to shut.
    Closing,
    /// Stopped half-way.
    Jammed,
}

/// How an opener stands at one moment, and what has happened to it since its very first start.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenerView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it moves.
    pub kind: OpenerKind,
    /// The gateway that it hangs on.
    pub gateway: String,
    /// What it does with commands.
    pub behaviour: Behaviour,
    /// Where it stands.
    pub position: Position,
    /// What its contact says: `true` as soon as it is not shut. `None` without a contact.
    pub contact_open: Option<bool>,
    /// Commands that reached it.
    pub commands_received: u64,
    /// Times it ceased to be shut, for whatever reason. A gate that must open at most once is tested with this
    /// number and the one above.
    pub times_opened: u64,
    /// Times a hand moved it.
    pub moved_by_hand: u64,
    /// Whether it was deleted at the vendor: it stands there, and no command reaches it.
    pub deleted: bool,
}

/// An opener at work.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) spec: OpenerSpec,
    pub(crate) gateway: String,
    pub(crate) works: Works,
}

/// What changes, and is kept across restarts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Works {
    position: Position,
    next: Option<Next>,
    commands_received: u64,
    times_opened: u64,
    moved_by_hand: u64,
    pub(crate) deleted: bool,
}

/// What it does next, and when.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Next {
    at: u64,
    to: Position,
}

impl Opener {
    pub(crate) fn new(spec: OpenerSpec, gateway: String) -> Self {
        let works = Works { position: Position::Shut, next: None, commands_received: 0, times_opened: 0, moved_by_hand: 0, deleted: false };
        Self { spec, gateway, works }
    }

    /// Lets everything happen that was due by `now`. True when the contact says something new.
    pub(crate) fn settle(&mut self, now: u64) -> bool {
        let before = self.contact();
        while let Some(next) = self.works.next.take_if(|next| next.at <= now) {
            self.reach(next.to);
            self.works.next = self.after(next);
        }
        before != self.contact()
    }

    /// When [`Opener::settle`] will next have something to do.
    pub(crate) fn due(&self) -> Option<u64> {
        self.works.next.map(|next| next.at)
    }

    /// A command from the cloud. Settle first.
    pub(crate) fn command(&mut self, now: u64) {
        self.works.commands_received += 1;
        if self.spec.behaviour == Behaviour::Stuck {
            return;
        }
        let starts = Next { at: now.saturating_add(self.spec.lag_ms), to: Position::Opening };
        match self.works.position {
            Position::Shut if self.works.next.is_none() => self.works.next = Some(starts),
            Position::Closing => self.works.next = Some(starts),
            Position::Open if self.works.next.is_some() => self.works.next = self.after(Next { at: now, to: Position::Open }),
            Position::Shut | Position::Opening | Position::Open | Position::Jammed => {}
        }
    }

    /// A hand moves it: at once, and whatever the motor was doing is over. Open, it stays so. Settle first.
    pub(crate) fn hand(&mut self, open: bool) {
        self.works.moved_by_hand += 1;
        self.works.next = None;
        self.reach(if open { Position::Open } else { Position::Shut });
    }

    pub(crate) fn contact(&self) -> Option<bool> {
        self.spec.contact.then_some(self.works.position != Position::Shut)
    }

    pub(crate) fn view(&self) -> OpenerView {
        let works = &self.works;
        OpenerView {
            id: self.spec.id.clone(),
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            gateway: self.gateway.clone(),
            behaviour: self.spec.behaviour,
            position: works.position,
            contact_open: self.contact(),
            commands_received: works.commands_received,
            times_opened: works.times_opened,
            moved_by_hand: works.moved_by_hand,
            deleted: works.deleted,
        }
    }

    fn reach(&mut self, position: Position) {
        if self.works.position == Position::Shut && position != Position::Shut {
            self.works.times_opened += 1;
        }
        self.works.position = position;
    }

    /// What follows by itself on what was just done.
    fn after(&self, done: Next) -> Option<Next> {
        let in_ms = |ms: u64, to| Some(Next { at: done.at.saturating_add(ms), to });
        match (done.to, self.spec.behaviour) {
            (Position::Opening, Behaviour::Jams) => in_ms(self.spec.travel_ms / 2, Position::Jammed),
            (Position::Opening, _) => in_ms(self.spec.travel_ms, Position::Open),
            (Position::Open, Behaviour::StaysOpen) | (Position::Shut | Position::Jammed, _) => None,
            (Position::Open, _) => in_ms(self.spec.stays_ms, Position::Closing),
            (Position::Closing, _) => in_ms(self.spec.travel_ms, Position::Shut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(behaviour: Behaviour) -> Opener {
        Opener::new(OpenerSpec::gate("20#2", "Driveway").with_contact().behaves(behaviour), "gw-1234".to_owned())
    }

    fn at(opener: &mut Opener, now: u64) -> OpenerView {
        opener.settle(now);
        opener.view()
    }

    #[test]
    fn a_gate_sets_out_opens_and_closes_by_itself() {
        let mut gate = gate(Behaviour::Honest);
        gate.command(0);
        assert_eq!(at(&mut gate, 299).contact_open, Some(false));
        let on_its_way = at(&mut gate, 300);
        assert_eq!((on_its_way.position, on_its_way.contact_open), (Position::Opening, Some(true)));
        assert_eq!(at(&mut gate, 4300).position, Position::Open);
        assert_eq!(at(&mut gate, 14_300).position, Position::Closing);
        let shut = at(&mut gate, 18_300);
        assert_eq!((shut.position, shut.contact_open, shut.times_opened), (Position::Shut, Some(false), 1));
        assert_eq!(gate.due(), None);
    }

    #[test]
    fn a_repeated_command_prolongs_and_does_not_open_twice() {
        let mut gate = gate(Behaviour::Honest);
        gate.command(0);
        gate.command(10);
        gate.settle(5000);
        gate.command(5000);
        assert_eq!(at(&mut gate, 14_999).position, Position::Open);
        let closing = at(&mut gate, 15_000);
        assert_eq!((closing.position, closing.commands_received, closing.times_opened), (Position::Closing, 3, 1));
    }

    #[test]
    fn a_gate_that_closes_turns_round() {
        let mut gate = gate(Behaviour::Honest);
        gate.command(0);
        gate.settle(15_000);
        gate.command(15_000);
        let view = at(&mut gate, 15_300);
        assert_eq!((view.position, view.times_opened), (Position::Opening, 1));
    }

    #[test]
    fn a_stuck_one_stays_shut_and_a_jammed_one_half_way() {
        let mut stuck = gate(Behaviour::Stuck);
        stuck.command(0);
        let view = at(&mut stuck, 60_000);
        assert_eq!((view.position, view.commands_received, view.times_opened), (Position::Shut, 1, 0));
        let mut jams = gate(Behaviour::Jams);
        jams.command(0);
        assert_eq!(at(&mut jams, 60_000).position, Position::Jammed);
        jams.command(60_000);
        assert_eq!(at(&mut jams, 120_000).position, Position::Jammed);
        jams.hand(false);
        assert_eq!(jams.view().contact_open, Some(false));
    }

    #[test]
    fn a_hand_ends_whatever_the_motor_was_doing() {
        let mut gate = gate(Behaviour::Honest);
        gate.command(0);
        gate.hand(false);
        assert_eq!(at(&mut gate, 60_000).times_opened, 0);
        gate.hand(true);
        let view = at(&mut gate, 600_000);
        assert_eq!((view.position, view.times_opened, view.moved_by_hand), (Position::Open, 1, 2));
    }

    #[test]
    fn a_strike_is_released_for_a_moment() {
        let mut strike = Opener::new(OpenerSpec::strike("21#2", "Garden door"), "gw-1234".to_owned());
        strike.command(0);
        let view = at(&mut strike, 100);
        assert_eq!((view.position, view.contact_open), (Position::Open, None));
        assert_eq!(at(&mut strike, 3100).position, Position::Shut);
    }
}
