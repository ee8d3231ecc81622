//! What becomes of a pass at a door: by which means it opens there, and why not by others.
//!
//! Through doorward every term of a pass can be held. A lock that keeps codes by itself asks nobody when one is typed in, so a
//! code is made only where the lock alone holds all that the pass says.

use crate::setup::DoorSetup;
use doorward_wire::{
    code::{CodeKind, CodeSchedule, CodeWish},
    door::{Capability, DoorKind},
    grant::{Holidays, Means, Terms},
};
use jiff::{civil, tz::TimeZone};

/// What becomes of a pass at a door by one means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It opens, and nothing needs to be done for it.
    Opens,
    /// The lock keeps a code for it, for this time.
    Code(CodeSchedule),
    /// It does not, for this reason.
    Cannot(&'static str),
}

/// What else a pass asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    /// It holds only while the one who gave it may open the door, too.
    pub borrowed: bool,
    /// Its holder must know a PIN beside it.
    pub pin: bool,
}

/// What a lock over Bluetooth can that this house gives sessions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Radio {
    /// It asks the house before it opens.
    pub asks: bool,
}

/// By which means a pass opens a door.
pub fn plan(door: &DoorSetup, terms: &Terms, asks: Asks, lock: Option<Radio>) -> Vec<(Means, Plan)> {
    let opens = door.capabilities.iter().any(|can| matches!(can, Capability::Open | Capability::Unlock));
    let remote = if opens { Plan::Opens } else { Plan::Cannot("This door cannot be opened from here.") };
    let mut plans = vec![(Means::Remote, remote)];
    if door.capabilities.contains(&Capability::Pin) {
        plans.push((Means::Pin, pin(terms, &door.time_zone, asks)));
    }
    if door.kind == DoorKind::Radio {
        plans.push((Means::Ble, radio(terms, lock)));
    }
    plans
}

fn radio(terms: &Terms, lock: Option<Radio>) -> Plan {
    match lock {
        None => Plan::Cannot("Phones get their sessions for this lock from another house."),
        // Its sessions end with what the pass says of time; the rest it would have to ask for.
        Some(Radio { asks: false }) if terms.uses.is_some() => {
            Plan::Cannot("How often it is used is counted here, and the lock does not ask.")
        }
        Some(Radio { asks: false }) if terms.two_person => Plan::Cannot("The lock does not know of a second person."),
        Some(Radio { asks: false }) if terms.duress => Plan::Cannot("The lock could not tell that somebody is forced."),
        Some(_) => Plan::Opens,
    }
}

fn pin(terms: &Terms, zone: &str, asks: Asks) -> Plan {
    let Some(until) = terms.until else {
        return Plan::Cannot("A code at the lock needs an end: one that is out of reach could not be taken back.");
    };
    if asks.borrowed {
        return Plan::Cannot("The lock cannot ask whether the one who gave the pass still may open it.");
    }
    if asks.pin {
        return Plan::Cannot("A code at the lock would open without the PIN of the pass.");
    }
    if terms.uses.is_some() {
        return Plan::Cannot("How often it is used is counted here, and the lock does not ask.");
    }
    if terms.two_person {
        return Plan::Cannot("The lock does not know of a second person.");
    }
    if terms.duress {
        return Plan::Cannot("The lock could not tell that somebody is forced.");
    }
    if terms.holidays != Holidays::AsUsual {
        return Plan::Cannot("The lock knows no holidays.");
    }
    let hours = match terms.hours.as_slice() {
        [] => None,
        [one] if !one.cross_midnight() && one.until() != civil::Time::midnight() => Some(one.to_string()),
        _ => return Plan::Cannot("The lock knows one window of hours in a day, and none across midnight."),
    };
    let Ok(zone) = TimeZone::get(zone) else {
        return Plan::Cannot("The time zone of the door is not known; set that of its site.");
    };
    let local = |time: doorward_wire::Time| time.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string();
    Plan::Code(CodeSchedule {
        from: terms.from.map(local),
        until: Some(local(until)),
        weekdays: terms.weekdays.iter().map(ToString::to_string).collect(),
        hours,
        uses: None,
    })
}

/// What the lock is asked for: a new code, or another time for one that it has.
pub fn wish(name: Option<String>, pin: Option<String>, schedule: CodeSchedule) -> CodeWish {
    CodeWish { name, pin, kind: Some(CodeKind::Temporary), schedule: Some(schedule) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(capabilities: &[Capability]) -> DoorSetup {
        let (id, account) = ("front".parse().unwrap(), "cloud".parse().unwrap());
        let door = DoorSetup::configured(id, "home", DoorKind::Bolt, account, capabilities.to_vec());
        DoorSetup { time_zone: "Europe/Berlin".into(), ..door }
    }

    fn until() -> Terms {
        Terms { until: Some("2026-11-28T16:30:00Z".parse().unwrap()), ..Terms::default() }
    }

    #[test]
    fn a_lock_with_codes_keeps_one_for_the_time_of_the_pass() {
        let lock = door(&[Capability::Unlock, Capability::Pin]);
        let terms = Terms { weekdays: vec!["mon".parse().unwrap()], hours: vec!["08:00-18:00".parse().unwrap()], ..until() };
        let plans = plan(&lock, &terms, Asks::default(), None);
        let schedule = CodeSchedule {
            from: None,
            until: Some("2026-11-28T17:30".into()),
            weekdays: vec!["mon".into()],
            hours: Some("08:00-18:00".into()),
            uses: None,
        };
        assert_eq!(plans, [(Means::Remote, Plan::Opens), (Means::Pin, Plan::Code(schedule))]);
        assert_eq!(plan(&door(&[Capability::Open]), &terms, Asks::default(), None), [(Means::Remote, Plan::Opens)]);
        assert!(matches!(plan(&door(&[]), &terms, Asks::default(), None)[0].1, Plan::Cannot(_)));
    }

    #[test]
    fn what_the_lock_alone_could_not_hold_gets_no_code() {
        let lock = door(&[Capability::Unlock, Capability::Pin]);
        let hours = |text: &str| text.split(' ').map(|hours| hours.parse().unwrap()).collect();
        for terms in [
            Terms::default(),
            Terms { uses: Some(3), ..until() },
            Terms { two_person: true, ..until() },
            Terms { duress: true, ..until() },
            Terms { holidays: Holidays::Never, ..until() },
            Terms { hours: hours("22:00-06:00"), ..until() },
            Terms { hours: hours("08:00-09:00 10:00-11:00"), ..until() },
        ] {
            assert!(matches!(plan(&lock, &terms, Asks::default(), None)[1].1, Plan::Cannot(_)), "{terms:?}");
        }
        assert!(
            matches!(plan(&lock, &until(), Asks { borrowed: true, ..Asks::default() }, None)[1].1, Plan::Cannot(_)),
            "what was borrowed can be taken away here alone"
        );
        assert!(matches!(plan(&lock, &until(), Asks { pin: true, ..Asks::default() }, None)[1].1, Plan::Cannot(_)));
        assert!(matches!(plan(&lock, &until(), Asks::default(), None)[1].1, Plan::Code(_)));
    }

    #[test]
    fn a_lock_that_does_not_ask_gets_no_more_than_its_time() {
        let lock = DoorSetup { kind: DoorKind::Radio, ..door(&[Capability::Open]) };
        let by_radio = |terms: &Terms, lock_is: Option<Radio>| plan(&lock, terms, Asks::default(), lock_is)[1].clone();
        let counted = Terms { uses: Some(3), ..until() };
        assert_eq!(by_radio(&counted, Some(Radio { asks: true })), (Means::Ble, Plan::Opens));
        assert_eq!(by_radio(&until(), Some(Radio { asks: false })), (Means::Ble, Plan::Opens));
        for terms in [counted, Terms { two_person: true, ..until() }, Terms { duress: true, ..until() }] {
            assert!(matches!(by_radio(&terms, Some(Radio { asks: false })).1, Plan::Cannot(_)), "{terms:?}");
        }
        assert!(matches!(by_radio(&until(), None).1, Plan::Cannot(_)), "another house is the issuer");
    }
}
