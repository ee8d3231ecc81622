//! Two people who ask for the same: what a grant with the two-person rule needs.
//!
//! The first one is refused and remembered for a minute; when somebody else who needs a second person, too, asks for the
//! same, they agree, and it is done once. Nothing of it is written down: after a restart both ask again.

use super::{ActionWord, Command, DoorId, Duration, Mono, Now, Reason};
use crate::policy::Permit;
use std::collections::VecDeque;

/// How long the first one is remembered.
const WITHIN: Duration = Duration::from_mins(1);
/// Wishes that are remembered; the oldest goes first.
const REMEMBERED: usize = 64;

/// Wishes that wait for a second person.
#[derive(Debug, Default)]
pub(super) struct Agreements {
    wishes: VecDeque<Wish>,
}

#[derive(Debug)]
struct Wish {
    door: DoorId,
    action: ActionWord,
    who: String,
    until: Mono,
}

/// What a command may be done by.
#[derive(Debug, Default)]
pub(super) struct Permission {
    /// The grant whose use is counted.
    pub(super) grant: Option<String>,
    /// Whoever asks is forced to.
    pub(super) duress: bool,
    /// The other one of two.
    pub(super) with: Option<String>,
}

impl Agreements {
    /// Lets a command through that needs nobody else, or whose second person has asked already.
    pub(super) fn agree(&mut self, command: &Command, permit: Permit, now: Now) -> Result<Permission, (Reason, String)> {
        let Permit { grant, two_person, duress } = permit;
        if !two_person {
            return Ok(Permission { grant, duress, with: None });
        }
        let who = command.rights.holder().map_or_else(|| format!("{}:{}", command.actor.kind, command.actor.id), ToOwned::to_owned);
        self.wishes.retain(|wish| wish.until > now.mono);
        let same = |wish: &Wish| wish.door == command.door && wish.action == command.action;
        if let Some(at) = self.wishes.iter().position(|wish| same(wish) && wish.who != who) {
            let with = self.wishes.remove(at).map(|wish| wish.who);
            self.wishes.retain(|wish| !(same(wish) && wish.who == who));
            return Ok(Permission { grant, duress, with });
        }
        self.wishes.retain(|wish| !(same(wish) && wish.who == who));
        if self.wishes.len() >= REMEMBERED {
            self.wishes.pop_front();
        }
        let (door, action) = (command.door.clone(), command.action);
        self.wishes.push_back(Wish { door, action, who, until: now.mono.plus(WITHIN) });
        Err((Reason::NeedsSecondPerson, "A second person must ask for the same within a minute.".into()))
    }
}
