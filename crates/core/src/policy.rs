//! Who may open what: one function, with its reasons (rule 3 of the house).
//!
//! [`Rights`] are what somebody was given, as a list of [`Grant`]s: by their role, by the scopes of a token, by grants that
//! an administrator made, by a pass. [`decide`] looks at each of them at one [`Place`] and one moment, and says what it
//! found, in words. It decides by what it is shown: that a grant is used no more often than it may be, and not after it was
//! taken back, the store makes sure of when the use is written down ([`Permit::grant`]).

mod terms;

pub use doorward_wire::grant::{Actions, Doors};

use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    door::DoorId,
    grant::{Holiday, Terms},
};
use serde::Serialize;
use terms::Verdict;

/// What somebody was given. Nothing is allowed that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Who was given it: the person or pass, for whatever program acts for them.
    holder: Option<String>,
    grants: Vec<Grant>,
    /// What limits them further: the scopes of a person's token.
    within: Option<Vec<Grant>>,
}

/// One right, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The grant in the store whose uses are counted; none for what a role or a scope gives.
    pub id: Option<String>,
    /// Where it comes from, as `explain` shows it: `role administrator`, `scope doors:act`.
    pub source: String,
    /// The doors that it covers.
    pub doors: Vec<Doors>,
    /// What may be asked of them.
    pub actions: Actions,
    /// When, how often, and with whom.
    pub terms: Terms,
    /// How often it has opened.
    pub used: u32,
    /// When it was taken back.
    pub revoked: Option<Time>,
}

/// A door as policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The door.
    pub door: &'a DoorId,
    /// Its site.
    pub site: &'a str,
    /// The IANA time zone of its site; UTC when empty.
    pub time_zone: &'a str,
    /// The holidays of its site.
    pub holidays: &'a [Holiday],
}

impl Rights {
    /// No rights at all: the default.
    pub const fn none() -> Self {
        Self { holder: None, grants: Vec::new(), within: None }
    }

    /// The rights of an administrator.
    pub fn administrator() -> Self {
        Self::of(vec![Grant::administrator()])
    }

    /// doorward's own right to lock a door again; it can never open one.
    pub fn system() -> Self {
        Self::of(vec![Grant::standing("auto_lock of the door", vec![Doors::All], Actions::Lock)])
    }

    /// The rights that a list of grants gives.
    pub const fn of(grants: Vec<Grant>) -> Self {
        Self { holder: None, grants, within: None }
    }

    /// The same rights, of this person or pass.
    #[must_use]
    pub fn held_by(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// The same rights, as far as others allow them too.
    #[must_use]
    pub fn within(mut self, others: Self) -> Self {
        self.within = Some(others.grants);
        self
    }

    /// Who was given them.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// Whether they hold only as far as somebody else's do.
    pub const fn is_borrowed(&self) -> bool {
        self.within.is_some()
    }

    /// What they are made of.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether a door may be looked at: something that is not over covers it.
    pub fn sees(&self, door: &DoorId, site: &str, at: Time) -> bool {
        let covered = |grants: &[Grant]| grants.iter().any(|grant| grant.cover(door, site) && !grant.is_over(at));
        covered(&self.grants) && self.within.as_deref().is_none_or(covered)
    }

    /// Whether every door may be looked at, also those that come later.
    pub fn see_all(&self, at: Time) -> bool {
        let all = |grants: &[Grant]| grants.iter().any(|grant| grant.doors.contains(&Doors::All) && !grant.is_over(at));
        all(&self.grants) && self.within.as_deref().is_none_or(all)
    }

    /// Whether their holder may let others have these doors: something that allows everything covers all of them.
    pub fn give(&self, doors: &Doors, site_of: impl Fn(&DoorId) -> Option<String>, at: Time) -> bool {
        let covered = |own: &Doors| match (own, doors) {
            (Doors::All, _) => true,
            (Doors::Site(own), Doors::Site(site)) => own == site,
            (Doors::Site(own), Doors::One(door)) => site_of(door).as_ref() == Some(own),
            (Doors::One(own), Doors::One(door)) => own == door,
            (Doors::Site(_) | Doors::One(_), Doors::All) | (Doors::One(_), Doors::Site(_)) => false,
        };
        let gives = |grant: &Grant| grant.actions == Actions::Act && !grant.is_over(at) && grant.doors.iter().any(covered);
        self.grants.iter().any(gives) && self.within.as_deref().is_none_or(|within| within.iter().any(gives))
    }
}

impl Grant {
    /// A right that holds at any time.
    pub fn standing(source: impl Into<String>, doors: Vec<Doors>, actions: Actions) -> Self {
        Self { id: None, source: source.into(), doors, actions, terms: Terms::default(), used: 0, revoked: None }
    }

    /// What the role of an administrator gives.
    pub fn administrator() -> Self {
        Self::standing("role administrator", vec![Doors::All], Actions::Act)
    }

    /// Whether it will never allow anything again.
    pub fn is_over(&self, at: Time) -> bool {
        let ended = self.terms.until.is_some_and(|until| until <= at);
        ended || self.revoked.is_some() || self.terms.uses.is_some_and(|uses| self.used >= uses)
    }

    fn cover(&self, door: &DoorId, site: &str) -> bool {
        self.doors.iter().any(|doors| doors.cover(door, site))
    }

    fn allow(&self, action: ActionWord) -> bool {
        match self.actions {
            Actions::Act => true,
            Actions::Read => action == ActionWord::Refresh,
            Actions::Lock => matches!(action, ActionWord::Lock | ActionWord::Refresh),
        }
    }

    /// What it says about this, with the reason in words.
    fn says(&self, place: Place<'_>, action: ActionWord, at: Time) -> Verdict {
        if !self.cover(place.door, place.site) {
            return Verdict::no(Reason::NoGrant, format!("{} does not cover door {}", self.source, place.door));
        }
        if !self.allow(action) {
            return Verdict::no(Reason::NoGrant, format!("{} allows {}, not {action}", self.source, terms::allowed(self.actions)));
        }
        terms::judge(self, place, action, at)
    }
}

/// By what it is allowed, and what that asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Permit {
    /// The grant whose use is to be written down, together with what it allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Only together with somebody else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub two_person: bool,
    /// Whoever asks is forced to.
    #[serde(skip)]
    pub duress: bool,
}

/// The answer, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why not; the first thing to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Reason>,
    /// By what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<Permit>,
    /// Every grant that was looked at, and what it says.
    pub reasons: Vec<String>,
}

/// Whether somebody with these rights may do this at this door at this time.
pub fn decide(rights: &Rights, place: Place<'_>, action: ActionWord, at: Time) -> Decision {
    let mut reasons = Vec::new();
    let mut denied: Option<Reason> = None;
    let mut allowed: Vec<&Grant> = Vec::new();
    for grant in &rights.grants {
        let verdict = grant.says(place, action, at);
        match verdict.denied {
            Some(reason) => denied = denied.filter(|known| terms::rank(*known) >= terms::rank(reason)).or(Some(reason)),
            None => allowed.push(grant),
        }
        reasons.push(verdict.text);
    }
    if reasons.is_empty() {
        reasons.push(format!("nobody gave a right to door {}", place.door));
    }
    if let Some(within) = &rights.within
        && !allowed.is_empty()
    {
        let verdicts: Vec<Verdict> = within.iter().map(|grant| grant.says(place, action, at)).collect();
        if verdicts.iter().all(|verdict| verdict.denied.is_some()) {
            allowed.clear();
            reasons.extend(verdicts.into_iter().map(|verdict| verdict.text));
            denied = Some(Reason::NoGrant);
        }
    }
    let permit = permit(&allowed, action);
    let denied = permit.is_none().then(|| denied.unwrap_or(Reason::NoGrant));
    Decision { allowed: permit.is_some(), denied, permit, reasons }
}

/// Of several grants that allow it the one that costs least: alone before together, not counted before counted. That
/// somebody is forced is told whichever it is.
fn permit(allowed: &[&Grant], action: ActionWord) -> Option<Permit> {
    let best = allowed.iter().min_by_key(|grant| (grant.terms.two_person, grant.terms.uses.is_some(), grant.id.is_some()))?;
    let opens = action.opens();
    Some(Permit {
        grant: best.id.clone().filter(|_| opens),
        two_person: best.terms.two_person && opens,
        duress: opens && allowed.iter().any(|grant| grant.terms.duress),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(door: &str, actions: Actions) -> Rights {
        Rights::of(vec![Grant::standing("scope", vec![Doors::One(door.parse().unwrap())], actions)])
    }

    fn at(door: &DoorId) -> Place<'_> {
        Place { door, site: "home", time_zone: "Europe/Berlin", holidays: &[] }
    }

    #[test]
    fn rule_3_no_grant_no_door() {
        let door = "gate".parse().unwrap();
        for action in ActionWord::ALL {
            let decision = decide(&Rights::none(), at(&door), *action, Time::default());
            assert!(!decision.allowed);
            assert_eq!(decision.denied, Some(Reason::NoGrant));
            assert!(!decision.reasons.is_empty(), "a refusal is explained");
        }
    }

    #[test]
    fn a_grant_for_one_door_opens_no_other() {
        let rights = one("gate", Actions::Act);
        let (gate, cellar) = ("gate".parse().unwrap(), "cellar".parse().unwrap());
        assert!(decide(&rights, at(&gate), ActionWord::Unlock, Time::default()).allowed);
        assert!(!decide(&rights, at(&cellar), ActionWord::Unlock, Time::default()).allowed);
    }

    #[test]
    fn a_grant_for_a_site_opens_its_doors_alone() {
        let rights = Rights::of(vec![Grant::standing("grant", vec![Doors::Site("home".into())], Actions::Act)]);
        let gate = "gate".parse().unwrap();
        assert!(decide(&rights, at(&gate), ActionWord::Open, Time::default()).allowed);
        assert!(!decide(&rights, Place { site: "workshop", ..at(&gate) }, ActionWord::Open, Time::default()).allowed);
        assert!(rights.sees(&gate, "home", Time::default()) && !rights.sees(&gate, "workshop", Time::default()));
    }

    #[test]
    fn a_right_to_look_opens_nothing() {
        let rights = one("gate", Actions::Read);
        let door = "gate".parse().unwrap();
        assert!(decide(&rights, at(&door), ActionWord::Refresh, Time::default()).allowed);
        for action in [ActionWord::Open, ActionWord::Unlock, ActionWord::Lock] {
            assert!(!decide(&rights, at(&door), action, Time::default()).allowed);
        }
    }

    #[test]
    fn a_token_of_a_person_opens_what_both_may() {
        let (gate, cellar) = ("gate".parse().unwrap(), "cellar".parse().unwrap());
        let scopes = Rights::of(vec![Grant::standing("scope doors:act", vec![Doors::All], Actions::Act)]);
        let narrow = one("gate", Actions::Act).within(scopes);
        assert!(decide(&narrow, at(&gate), ActionWord::Open, Time::default()).allowed);
        assert!(!decide(&narrow, at(&cellar), ActionWord::Open, Time::default()).allowed, "the person may not");
        let wide = Rights::administrator().within(one("gate", Actions::Act));
        assert!(decide(&wide, at(&gate), ActionWord::Open, Time::default()).allowed);
        let denied = decide(&wide, at(&cellar), ActionWord::Open, Time::default());
        assert_eq!((denied.allowed, denied.denied), (false, Some(Reason::NoGrant)), "the token may not");
        assert!(!wide.see_all(Time::default()) && wide.sees(&gate, "home", Time::default()));
    }

    #[test]
    fn of_several_grants_the_one_that_costs_least_is_used() {
        let gate = "gate".parse().unwrap();
        let grant = |id: &str, terms| Grant { id: Some(id.into()), terms, ..Grant::standing(id, vec![Doors::All], Actions::Act) };
        let counted = grant("counted", Terms { uses: Some(3), ..Terms::default() });
        let together = grant("together", Terms { two_person: true, ..Terms::default() });
        let plain = grant("plain", Terms::default());
        let by = |grants: &[&Grant]| {
            let rights = Rights::of(grants.iter().copied().cloned().collect());
            decide(&rights, at(&gate), ActionWord::Open, Time::default()).permit.unwrap()
        };
        assert_eq!(by(&[&counted, &plain, &together]).grant.as_deref(), Some("plain"));
        assert_eq!(by(&[&together, &counted]).grant.as_deref(), Some("counted"));
        assert!(by(&[&together]).two_person);
        let forced = grant("forced", Terms { duress: true, uses: Some(9), ..Terms::default() });
        assert!(by(&[&plain, &forced]).duress, "whoever may be forced is believed");
    }
}
