//! The checks of `doorward doctor` that need the running program.

use super::{
    mqtt::BrokerKind,
    tunnel::{TunnelKeyView, TunnelView, tunnel_view, view},
};
use crate::{
    Web,
    bluetooth::{self, LockNews},
    notify::desk::{self, Standing},
};
use doorward_core::keeper::Standing as AccountStanding;
use doorward_store::Webhook;
use doorward_wire::{
    Time,
    account::{AccountState, LeaseView, StageState, is_signed_in},
    webhook::{DisabledWhy, WebhookState},
};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// No doorward was ever built before this day; a clock that shows less was never set: 2026-01-01T00:00:00Z.
const FIRST_DAY: i64 = 1_767_225_600_000_000;
/// How far an event may seem to lie in the future before the clock was surely set back.
const SLACK: Duration = Duration::from_mins(1);
/// A certificate is renewed 30 days ahead; one that still ends so soon is not.
const ENDS_SOON: Duration = Duration::from_hours(14 * 24);
/// The space that is kept for intents and outcomes is 64 MiB; it is time to act before.
const LITTLE: u64 = 256 << 20;

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: String,
    /// Whether it is as it should be.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) detail: String,
    /// What to do about it; empty when there is nothing to do.
    pub(crate) hint: String,
}

impl Check {
    fn good(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ok: true, detail: detail.into(), hint: String::new() }
    }

    fn bad(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), ok: false, detail: detail.into(), hint: hint.into() }
    }
}

/// Looks at everything.
pub(super) async fn checks(web: &Web) -> Vec<Check> {
    let mut checks = vec![store(web).await, space(web), clock(web).await, audit(web).await, trust(web)];
    checks.extend(accounts(web));
    checks.extend(mqtt(web).await);
    checks.extend(tunnel(web).await);
    checks.extend(locks(web).await);
    checks.extend(webhooks(web).await);
    checks.extend(notifications(web).await);
    checks.extend(web.config().problems.iter().map(|problem| Check::bad("configuration", problem, "mend it and start again")));
    checks
}

/// Only channels whose last message was given up.
async fn notifications(web: &Web) -> Vec<Check> {
    let Ok(standings) = desk::standings(web).await else { return Vec::new() };
    let check = |standing: Standing| {
        let error = standing.last.and_then(|last| last.error).filter(|_| standing.waiting == 0)?;
        let name = format!("notifications {}", standing.channel);
        let hint = format!("doorward notify test --channel {} tries it again", standing.channel);
        Some(Check::bad(&name, error, hint))
    };
    standings.into_iter().filter_map(check).collect()
}

/// A broker elsewhere, and what could not be taken away again there.
async fn mqtt(web: &Web) -> Vec<Check> {
    let Ok(view) = super::mqtt::view(web).await else { return Vec::new() };
    let place = view.addresses.join(", ");
    let mut checks = vec![match (view.broker, view.connected) {
        (BrokerKind::Off, _) => Check::good("mqtt", "it is switched off"),
        (_, true) => Check::good("mqtt", place),
        (_, false) => {
            let detail = view.detail.unwrap_or_else(|| "it was not reached yet".into());
            Check::bad("mqtt", format!("{place}: {detail}"), "events wait on disk and are sent when the broker is back; see mqtt.broker")
        }
    }];
    if !view.orphans.is_empty() {
        let hint = "doorward mqtt user remove NAME tries again; if that does not help, take it away at the broker";
        checks.push(Check::bad("mqtt users", format!("left behind at the broker: {}", view.orphans.join("; ")), hint));
    }
    checks
}

/// Locks over Bluetooth: whether they hear, and whether phones can ask for sessions.
async fn locks(web: &Web) -> Vec<Check> {
    let check = |lock: LockNews| {
        let name = format!("lock {}", lock.door);
        match lock.trouble.filter(|_| !lock.up) {
            Some(trouble) => {
                let hint = "look at the adapter: bluetoothctl show; is the service bluetooth running, and may doorward speak with it?";
                Check::bad(&name, trouble, hint)
            }
            None if !lock.up => Check::bad(&name, "it does not hear yet", "wait a moment, and look at the log"),
            None => Check::good(&name, format!("it hears, and has {} sessions", lock.sessions)),
        }
    };
    bluetooth::news(web).await.into_iter().map(check).collect()
}

async fn tunnel(web: &Web) -> Vec<Check> {
    let Ok(keys) = web.tunnel().keys().await else { return Vec::new() };
    let keys: Vec<TunnelKeyView> = keys.into_iter().map(|key| view(web, key)).collect();
    tunnel_checks(&tunnel_view(web), &keys)
}

/// The tunnel, and keys that need somebody. That it cannot listen is a problem of the start.
fn tunnel_checks(there: &TunnelView, keys: &[TunnelKeyView]) -> Vec<Check> {
    let Some(listen) = &there.listen else { return vec![Check::good("tunnel", "it is switched off")] };
    let mut checks = vec![match (keys.len(), &there.public_url) {
        (0, _) => {
            let hint = "doorward tunnel key add NAME --door '*' adds one; without any, tunnel.listen = \"off\" is better";
            Check::bad("tunnel", format!("it listens at {listen}, and no key opens anything"), hint)
        }
        (many, Some(url)) => Check::good("tunnel", format!("{url}, {many} keys")),
        (many, None) => Check::good("tunnel", format!("{listen}, {many} keys; pairing codes are no links without tunnel.public_url")),
    }];
    let is_plain =
        |url: &&String| url.starts_with("http://") && !url.starts_with("http://127.0.0.1") && !url.starts_with("http://localhost");
    if let Some(url) = there.public_url.as_ref().filter(is_plain).filter(|_| there.remote) {
        let hint = "browsers seal messages only on pages of https://; see docs/tunnel.md for ways to have it";
        checks.push(Check::bad("tunnel page", format!("{url}/remote cannot work"), hint));
    }
    checks.extend(keys.iter().filter(|key| key.worn).map(|key| {
        let hint = format!("doorward tunnel key rotate {} gives it another secret; the one before works for a day", key.name);
        Check::bad(&format!("tunnel key {}", key.name), "it has sealed half of the messages that it may seal", hint)
    }));
    checks
}

/// Only those that need somebody: a house without webhooks hears nothing of them.
async fn webhooks(web: &Web) -> Vec<Check> {
    let store = web.house().store();
    let (Ok(webhooks), Ok(standings)) = (store.webhooks().await, store.webhook_standings().await) else { return Vec::new() };
    let check = |webhook: Webhook| {
        let name = format!("webhook {}", webhook.id);
        if webhook.disabled == Some(DisabledWhy::Gone) {
            return Some(Check::bad(
                &name,
                "its endpoint answered 410 Gone, so nothing is sent",
                "remove it, or enable it on the webhooks page",
            ));
        }
        let failing = standings.get(&webhook.id).is_some_and(|standing| standing.state() == WebhookState::Failing);
        let hint = format!("doorward webhook deliveries {} says why", webhook.id);
        (failing && webhook.disabled.is_none()).then(|| Check::bad(&name, "what was sent last was given up", hint))
    };
    webhooks.into_iter().filter_map(check).collect()
}

/// A write that changes nothing that anybody needs.
async fn store(web: &Web) -> Check {
    match web.house().store().purge_links(web.house().now().utc).await {
        Ok(_) => Check::good("database", format!("{} can be written", web.house().store().place())),
        Err(error) => Check::bad("database", error.to_string(), error.person()),
    }
}

fn space(web: &Web) -> Check {
    let space = web.house().store().space();
    let Some(free) = space.free else { return Check::good("free space", "the database is on another machine") };
    let detail = format!("{} MiB are free", free >> 20);
    if space.low {
        let detail = format!("{detail}; {} records of little weight were not written", space.dropped);
        return Check::bad(
            "free space",
            detail,
            "only commands and their outcomes are written now; free some space on the volume of the database",
        );
    }
    if free < LITTLE {
        Check::bad("free space", detail, "free some space on the volume of the database")
    } else {
        Check::good("free space", detail)
    }
}

async fn clock(web: &Web) -> Check {
    let now = web.house().now().utc;
    if now < Time::from_micros(FIRST_DAY) {
        return Check::bad("clock", format!("it shows {now}"), "set the clock, for example with systemd-timesyncd");
    }
    let newest = doorward_store::EventQuery { limit: 1, ..doorward_store::EventQuery::default() };
    let newest = web.house().store().events(&newest).await.ok().and_then(|events| events.last().map(|event| event.time));
    match newest {
        Some(newest) if newest > now.plus(SLACK) => Check::bad(
            "clock",
            format!("it shows {now}, but an event was written at {newest}"),
            "set the clock; it was ahead, or is behind now",
        ),
        Some(_) | None => Check::good("clock", format!("it shows {now}")),
    }
}

async fn audit(web: &Web) -> Check {
    match web.house().store().audit_verify().await {
        Ok(report) if report.ok => Check::good("audit", format!("{} events are as they were written", report.checked)),
        Ok(report) => {
            let detail = report.problem.unwrap_or_else(|| "an event was changed or removed".into());
            Check::bad("audit", detail, "somebody wrote to the database beside doorward; compare it with your last backup")
        }
        Err(error) => Check::bad("audit", error.to_string(), error.person()),
    }
}

fn trust(web: &Web) -> Check {
    if web.trust_ended() {
        let detail = "a forwarding header came from a trusted address, so nobody is trusted without credentials any more";
        return Check::bad("trust", detail, "name your reverse proxy in http.proxies, and start again");
    }
    Check::good("trust", format!("{} trusted networks", web.config().trusted.len()))
}

fn accounts(web: &Web) -> Vec<Check> {
    let now = web.house().now().utc;
    web.house().board().standings().iter().flat_map(|standing| account(standing, now)).collect()
}

/// An account, the parts of its set-up that are not as they should be, and certificates that nobody renews.
fn account(standing: &AccountStanding, now: Time) -> Vec<Check> {
    let name = format!("account {}", standing.id);
    let detail = standing.detail.clone().unwrap_or_else(|| standing.state.to_string());
    let signed_in = match standing.state {
        AccountState::Ready => Check::good(&name, detail),
        AccountState::New => Check::bad(&name, detail, "sign it in on the accounts page"),
        AccountState::NeedsSignIn if is_signed_in(standing.state, &standing.stages) => {
            Check::bad(&name, detail, "the account's page says what to do")
        }
        AccountState::NeedsSignIn => Check::bad(&name, detail, "sign it in again on the accounts page"),
        AccountState::Offline => Check::bad(&name, detail, "look at the network; doorward keeps trying"),
        AccountState::Faulty => Check::bad(&name, detail, "look at the log; the vendor may have changed something"),
    };
    let stages = standing.stages.iter().filter(|stage| stage.name != "sign_in").filter_map(|stage| {
        let detail = stage.detail.clone().unwrap_or_else(|| stage.state.to_string());
        let name = format!("{name}: {}", stage.label);
        match stage.state {
            StageState::Done => None,
            StageState::Doing => Some(Check::bad(&name, detail, "doorward keeps trying; look at the network if it lasts")),
            StageState::Todo => Some(Check::bad(&name, detail, "finish the set-up on the account's page")),
            StageState::Failed => Some(Check::bad(&name, detail, "the account's page says what to do")),
        }
    });
    let ending = |lease: &&LeaseView| lease.not_after.is_some_and(|end| end <= now.plus(ENDS_SOON)) && lease.kind.contains("certificate");
    let leases = standing.leases.iter().filter(ending).map(|lease| {
        let detail = format!("{} ends at {}", lease.id, lease.not_after.map(|end| end.to_string()).unwrap_or_default());
        let hint = lease.last_error.clone().unwrap_or_else(|| "renew it on the account's page".into());
        Check::bad(&format!("{name}: certificate"), detail, hint)
    });
    std::iter::once(signed_in).chain(stages).chain(leases).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_wire::account::Stage;

    fn there(listen: Option<&str>, public_url: Option<&str>, remote: bool) -> TunnelView {
        let (listen, public_url) = (listen.map(str::to_owned), public_url.map(str::to_owned));
        TunnelView { listen, tls: false, public_url, remote, remote_fingerprint: String::new(), pin: String::new(), authority: None }
    }

    fn key(worn: bool) -> TunnelKeyView {
        let (created, scopes) = (Time::from_micros(FIRST_DAY), doorward_wire::tunnel::Scopes::default());
        TunnelKeyView { name: "phone".into(), person: None, scopes, created, used: None, overlap_until: None, worn, recent: Vec::new() }
    }

    fn bad(there: &TunnelView, keys: &[TunnelKeyView]) -> Vec<String> {
        tunnel_checks(there, keys).into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
    }

    #[test]
    fn an_account_says_which_part_of_it_needs_somebody() {
        let stage = |name: &str, state| Stage { name: name.into(), label: name.into(), state, detail: None };
        let now = Time::from_micros(FIRST_DAY);
        let lease = |days: u64| LeaseView {
            id: "certificate:gw".into(),
            kind: "client_certificate".into(),
            not_after: Some(now.plus(Duration::from_hours(24 * days))),
            renew_at: None,
            renewed: None,
            last_error: None,
        };
        let mut standing = AccountStanding {
            id: "gates".parse().unwrap(),
            state: AccountState::Ready,
            detail: None,
            leases: vec![lease(15)],
            push: doorward_core::driver::Push::default(),
            stages: vec![stage("sign_in", StageState::Done), stage("certificate", StageState::Done)],
        };
        let bad = |standing: &AccountStanding| -> Vec<String> {
            account(standing, now).into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
        };
        assert_eq!(bad(&standing), Vec::<String>::new());
        standing.leases = vec![lease(13)];
        standing.stages[1].state = StageState::Failed;
        standing.stages.push(stage("connection", StageState::Doing));
        assert_eq!(bad(&standing), ["account gates: certificate", "account gates: connection", "account gates: certificate"]);
    }

    #[test]
    fn the_tunnel_says_what_it_lacks() {
        let none: [&str; 0] = [];
        assert_eq!(bad(&there(None, None, true), &[]), none, "nobody misses what is off");
        assert_eq!(bad(&there(Some("127.0.0.1:1"), None, false), &[]), ["tunnel"]);
        assert_eq!(bad(&there(Some("127.0.0.1:1"), Some("https://doors.example"), true), &[key(false)]), none);
        assert_eq!(bad(&there(Some("127.0.0.1:1"), Some("http://doors.example"), true), &[key(true)]), ["tunnel page", "tunnel key phone"]);
    }
}
