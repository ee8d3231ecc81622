//! A vendor account as it is shown: how it stands, and what is renewed when.

use super::{
    scene::{Scene, TimeView},
    texts::{Texts, state::Tone},
};
use askama::Template;
use doorward_wire::account::{Account, LeaseView, Stage, StageState, is_signed_in};

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
    t: &'static Texts,
    id: String,
    name: String,
    vendor: String,
    doors: String,
    word: &'static str,
    icon: &'static str,
    tone: Tone,
    detail: Option<String>,
    stages: Vec<StageLine>,
    leases: Vec<LeaseLine>,
    managed: bool,
    /// Where a person goes on with its set-up.
    next: Option<(String, &'static str)>,
    push_registered: bool,
    push: Option<TimeView>,
    say: String,
}

/// A part of the set-up.
struct StageLine {
    done: bool,
    label: String,
    word: &'static str,
    icon: &'static str,
    tone: Tone,
    detail: Option<String>,
    /// Where a person goes on.
    action: Option<(String, &'static str)>,
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
        let face = t.account_state(account.state, is_signed_in(account.state, &account.stages));
        let title = scene.web.house().about(&account.kind).map_or_else(|| account.kind.clone(), |about| about.title.to_owned());
        let view = AccountView {
            t,
            id: account.id.to_string(),
            name: account.name.clone(),
            vendor: title,
            doors: t.doors_of(account.doors),
            word: face.word,
            icon: face.icon,
            tone: face.tone,
            detail: account.detail.clone(),
            stages: account.stages.iter().map(|stage| stage_line(t, account, stage)).collect(),
            leases: account.leases.iter().map(|lease| lease_line(scene, account, lease)).collect(),
            managed: account.managed.is_some(),
            next: next(t, account),
            push_registered: account.push_registered,
            push: account.last_push.map(|time| scene.time(time, None)),
            say: format!("{}: {}", account.name, face.word),
        };
        Self { t, csrf: scene.csrf.clone(), large, account: view }
    }
}

impl AccountView {
    fn all_done(&self) -> bool {
        self.stages.iter().all(|stage| stage.done)
    }

    fn stages_done(&self) -> String {
        self.t.stages_done(self.stages.iter().filter(|stage| stage.done).count(), self.stages.len())
    }

    const fn has_facts(&self) -> bool {
        self.managed || self.push_registered || self.push.is_some()
    }
}

fn next(t: &'static Texts, account: &Account) -> Option<(String, &'static str)> {
    if !is_signed_in(account.state, &account.stages) {
        return Some((format!("/accounts/{}#sign-in", account.id), t.sign_in));
    }
    let nowhere = account.stages.iter().any(|stage| stage.name == "registration" && stage.state != StageState::Done);
    nowhere.then(|| (format!("/accounts/{}/set-up", account.id), t.set_up_go_on))
}

fn stage_line(t: &'static Texts, account: &Account, stage: &Stage) -> StageLine {
    let face = t.stage_state(stage.state);
    let signed_in = is_signed_in(account.state, &account.stages);
    let set_up = |anchor: &str, label| Some((format!("/accounts/{}/set-up{anchor}", account.id), label));
    // What follows a colon is what it is about.
    let action = match (stage.name.split(':').next().unwrap_or_default(), stage.state) {
        ("sign_in", StageState::Todo | StageState::Failed) => Some((format!("/accounts/{}#sign-in", account.id), t.sign_in)),
        ("registration", StageState::Todo) if signed_in => set_up("", t.plants_choose),
        ("registration" | "certificate", StageState::Failed) | ("certificate", StageState::Todo) if signed_in => set_up("", t.try_again),
        ("connection", StageState::Failed) if signed_in => set_up("", t.register_again),
        ("authority", StageState::Failed) if signed_in => set_up("#authority", t.compare),
        _ => None,
    };
    let done = stage.state == StageState::Done;
    StageLine { done, label: stage.label.clone(), word: face.word, icon: face.icon, tone: face.tone, detail: stage.detail.clone(), action }
}

fn lease_line(scene: &Scene, account: &Account, lease: &LeaseView) -> LeaseLine {
    let time = |time| scene.time(time, None);
    LeaseLine {
        id: lease.id.clone(),
        icon: "key",
        // Several of a kind are told apart as among the stages.
        name: account
            .stages
            .iter()
            .find(|stage| stage.name == lease.id)
            .map_or_else(|| scene.t.lease_kind(&lease.kind), |stage| stage.label.clone()),
        ends: scene.t.lease_ends(lease.not_after, scene.now),
        end: lease.not_after.map(time),
        renewal: scene.t.lease_renewal(lease.renew_at, scene.now, account.state),
        renew: lease.renew_at.filter(|at| *at > scene.now).map(time),
        renewed: lease.renewed.map(time),
        // What is said of the whole account need not be said twice.
        error: lease.last_error.clone().filter(|error| account.detail.as_ref() != Some(error)),
    }
}
