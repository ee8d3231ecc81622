//! A vendor account as it is shown: how it stands, and what is renewed when.

use super::{
    scene::{Scene, TimeView},
    texts::{Texts, state::Tone},
};
use askama::Template;
use doorward_wire::account::{Account, AccountState, LeaseView};

/// An account in the list, or large on its own page.
#[derive(Template)]
#[template(path = "_account.html")]
pub(crate) struct AccountCard {
    pub(crate) t: &'static Texts,
    pub(crate) csrf: String,
    pub(crate) large: bool,
    pub(crate) account: AccountView,
}

pub(crate) struct AccountView {
    id: String,
    name: String,
    vendor: String,
    doors: String,
    word: &'static str,
    icon: &'static str,
    tone: Tone,
    detail: Option<String>,
    leases: Vec<LeaseLine>,
    managed: bool,
    wants_sign_in: bool,
    push_registered: bool,
    push: Option<TimeView>,
    say: String,
}

struct LeaseLine {
    id: String,
    icon: &'static str,
    name: String,
    ends: &'static str,
    end: Option<TimeView>,
    renewal: &'static str,
    renew: Option<TimeView>,
    renewed: Option<TimeView>,
    error: Option<String>,
}

impl AccountCard {
    pub(crate) fn new(scene: &Scene, account: &Account, large: bool) -> Self {
        let t = scene.t;
        let face = t.account_state(account.state);
        let title = scene.web.house().about(&account.kind).map_or_else(|| account.kind.clone(), |about| about.title.to_owned());
        let view = AccountView {
            id: account.id.to_string(),
            name: account.name.clone(),
            vendor: title,
            doors: t.doors_of(account.doors),
            word: face.word,
            icon: face.icon,
            tone: face.tone,
            detail: account.detail.clone(),
            leases: account.leases.iter().map(|lease| lease_line(scene, account, lease)).collect(),
            managed: account.managed.is_some(),
            wants_sign_in: matches!(account.state, AccountState::New | AccountState::NeedsSignIn),
            push_registered: account.push_registered,
            push: account.last_push.map(|time| scene.time(time, None)),
            say: format!("{}: {}", account.name, face.word),
        };
        Self { t, csrf: scene.csrf.clone(), large, account: view }
    }
}

impl AccountView {
    const fn has_facts(&self) -> bool {
        self.managed || self.push_registered || self.push.is_some()
    }
}

fn lease_line(scene: &Scene, account: &Account, lease: &LeaseView) -> LeaseLine {
    let time = |time| scene.time(time, None);
    LeaseLine {
        id: lease.id.clone(),
        icon: "key",
        name: scene.t.lease_kind(&lease.kind),
        ends: scene.t.lease_ends(lease.not_after, scene.now),
        end: lease.not_after.map(time),
        renewal: scene.t.lease_renewal(lease.renew_at, scene.now, account.state),
        renew: lease.renew_at.filter(|at| *at > scene.now).map(time),
        renewed: lease.renewed.map(time),
        // What is said of the whole account need not be said twice.
        error: lease.last_error.clone().filter(|error| account.detail.as_ref() != Some(error)),
    }
}
