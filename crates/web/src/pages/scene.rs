//! What every page knows: who looks, what things are called, and which time it is where.

use super::{
    shell::{Banner, Banners, fragment},
    texts::{EN, Texts},
    visitor::Visitor,
};
use crate::{ApiResult, Web, caller::Caller};
use doorward_core::scope::Scope;
use doorward_store::Site;
use doorward_wire::{
    Time,
    account::{AccountId, AccountState, is_signed_in},
    door::{Door, DoorId},
    event::Event,
    ring::RingId,
};
use jiff::{Zoned, tz::TimeZone};

/// Rings that have a banner at once.
const RING_BANNERS: usize = 4;

/// What a page is made of, read once for each request.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) web: Web,
    pub(crate) t: &'static Texts,
    pub(crate) now: Time,
    /// The visitor, and what they may see.
    pub(crate) caller: Caller,
    /// The visitor's identifier.
    pub(crate) me: String,
    /// The visitor's name.
    pub(crate) name: String,
    /// The token of the visitor's forms.
    pub(crate) csrf: String,
    /// The ring whose own page this is: it needs no banner.
    pub(crate) ring: Option<RingId>,
    accounts: Vec<AccountName>,
    sites: Vec<Site>,
    /// What is wrong with the store, in words for a person.
    trouble: Option<&'static str>,
}

#[derive(Clone)]
struct AccountName {
    id: AccountId,
    name: String,
    kind: String,
}

/// A moment, as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeView {
    /// For programs.
    pub(crate) iso: String,
    /// `2 min ago`.
    pub(crate) rel: String,
    /// `29 Nov 14:10`.
    pub(crate) short: String,
    /// `14:10`.
    pub(crate) clock: String,
    /// `14:10:05`.
    pub(crate) seconds: String,
    /// Everything, with the time zone.
    pub(crate) full: String,
}

impl Scene {
    /// Reads what pages need. What cannot be read is missing, and a banner says so.
    pub(crate) async fn load(web: &Web, visitor: &Visitor) -> Self {
        let mut scene = Self {
            web: web.clone(),
            t: &EN,
            now: web.house().now().utc,
            caller: visitor.caller.clone(),
            me: visitor.id().to_owned(),
            name: visitor.name().to_owned(),
            csrf: visitor.caller.csrf().to_owned(),
            ring: None,
            accounts: Vec::new(),
            sites: Vec::new(),
            trouble: None,
        };
        scene.reload().await;
        scene
    }

    /// Reads names and sites again.
    pub(crate) async fn reload(&mut self) {
        let store = self.web.house().store();
        let read = async { Ok::<_, doorward_store::StoreError>((store.accounts().await?, store.sites().await?)) };
        match read.await {
            Ok((accounts, sites)) => {
                self.accounts = accounts.into_iter().map(|row| AccountName { id: row.id, name: row.name, kind: row.kind }).collect();
                self.sites = sites;
                self.trouble = None;
            }
            Err(error) => {
                tracing::error!(%error, "names could not be read for a page");
                self.trouble = Some(error.person());
            }
        }
    }

    /// The doors that the visitor sees, by name.
    pub(crate) fn doors(&self) -> Vec<Door> {
        self.caller.doors(&self.web)
    }

    /// Whether the visitor sees a door.
    pub(crate) fn sees(&self, door: &DoorId) -> bool {
        self.caller.sees(&self.web, door)
    }

    /// Whether the visitor may read an event.
    pub(crate) fn reads(&self, event: &Event) -> bool {
        self.caller.has(&Scope::EventsRead) && self.caller.reads(&self.web, event)
    }

    /// Whether the visitor may do everything.
    pub(crate) fn is_administrator(&self) -> bool {
        self.caller.has(&Scope::Admin)
    }

    /// Whether any account is there.
    pub(crate) const fn has_accounts(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// The sites.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// A site's name.
    pub(crate) fn site_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.sites.iter().find(|site| site.id == id).map_or(id, |site| &site.name)
    }

    /// An account's name; its identifier when it is gone.
    pub(crate) fn account_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.accounts.iter().find(|account| account.id.as_str() == id).map_or(id, |account| &account.name)
    }

    /// The vendor's name, short, of a driver.
    pub(crate) fn vendor_of(&self, kind: &str) -> String {
        let title = self.web.house().about(kind).map_or_else(|| kind.to_owned(), |about| about.title.to_owned());
        // A line must not end within a name such as U-tec.
        title.split(" / ").next().unwrap_or_default().replace('-', "\u{2011}")
    }

    /// The vendor's name, short, of an account.
    pub(crate) fn vendor(&self, account: Option<&str>) -> String {
        let kind = self.accounts.iter().find(|known| Some(known.id.as_str()) == account).map(|account| account.kind.as_str());
        kind.map_or_else(|| "the vendor".into(), |kind| self.vendor_of(kind))
    }

    /// The time zone of a site; of the first one for what belongs to none.
    pub(crate) fn zone(&self, site: Option<&str>) -> TimeZone {
        let site = site.and_then(|id| self.sites.iter().find(|site| site.id == id)).or_else(|| self.sites.first());
        site.and_then(|site| TimeZone::get(&site.time_zone).ok()).unwrap_or(TimeZone::UTC)
    }

    /// A moment in the time zone of a site.
    pub(crate) fn zoned(&self, time: Time, site: Option<&str>) -> Zoned {
        time.timestamp().to_zoned(self.zone(site))
    }

    /// A moment as it is shown.
    pub(crate) fn time(&self, time: Time, site: Option<&str>) -> TimeView {
        let zoned = self.zoned(time, site);
        let year = if zoned.year() == self.zoned(self.now, site).year() { "" } else { " %Y" };
        TimeView {
            iso: time.to_string(),
            rel: self.t.relative(time, self.now),
            short: zoned.strftime(&format!("%-d %b{year} %H:%M")).to_string(),
            clock: zoned.strftime("%H:%M").to_string(),
            seconds: zoned.strftime("%H:%M:%S").to_string(),
            full: zoned.strftime("%a, %-d %b %Y, %H:%M:%S %Z").to_string(),
        }
    }

    /// A fresh identifier for a command, so that sending a form twice asks once.
    pub(crate) fn fresh(&self) -> String {
        self.web.house().clock().uuid().to_string()
    }

    /// What needs attention, rendered.
    pub(crate) fn banners(&self) -> String {
        let t = self.t;
        let mut banners = Vec::new();
        let mut add = |tone, icon, title: String, text: String, link| banners.push(Banner { tone, icon, title, text, link });
        let board = self.web.house().board();
        let rings = board.ringing().into_iter().filter(|ring| self.ring != Some(ring.id) && self.sees(&ring.door));
        for ring in rings.take(RING_BANNERS) {
            let door = board.door(&ring.door).map_or_else(|| ring.door.to_string(), |door| door.name);
            let title = t.ring_outcome(ring.state, None, &door);
            add("busy", "bell", title, ring.from.unwrap_or_default(), Some((format!("/rings/{}", ring.id), t.ring_show)));
        }
        if let Some(trouble) = self.trouble {
            add("bad", "alert", t.banner_store.into(), trouble.into(), None);
        }
        // What only an administrator can mend would only frighten others.
        if !self.is_administrator() {
            return fragment(&Banners { t, banners });
        }
        if self.web.house().store().space().low {
            add("bad", "alert", t.banner_space.into(), t.banner_space_text.into(), None);
        }
        for standing in board.standings() {
            if standing.state == AccountState::NeedsSignIn {
                let name = self.account_name(standing.id.as_str());
                let (title, link) = if is_signed_in(standing.state, &standing.stages) {
                    (t.needs_you(name), (format!("/accounts/{}", standing.id), t.ring_show))
                } else {
                    (t.needs_sign_in(name), (format!("/accounts/{}#sign-in", standing.id), t.banner_sign_in))
                };
                let link = Some(link);
                add("bad", "alert", title, standing.detail.unwrap_or_default(), link);
            }
        }
        if self.web.trust_ended() {
            add("warn", "shield", t.banner_trust.into(), t.banner_trust_text.into(), None);
        }
        for problem in &self.web.config().problems {
            add("warn", "alert", t.banner_problem.into(), problem.clone(), None);
        }
        fragment(&Banners { t, banners })
    }
}

/// A name that people give: one line, 1 to 60 characters.
pub(crate) fn name_of(text: &str) -> ApiResult<String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(crate::ApiError::Unprocessable(EN.name_wrong.into()));
    }
    Ok(name.to_owned())
}
