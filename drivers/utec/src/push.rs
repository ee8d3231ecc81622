//! Pushes of the cloud: where they go and how they are known to be real.
//!
//! The cloud posts to an address that doorward registers, with a secret of doorward's own in `Authorization`. The
//! secret is changed every day. While a change is under way both are taken, so that no push is lost.

use crate::{
    client::{CONFIGURE, Care},
    driver::{Utec, refuse},
    states,
};
use doorward_core::{
    Secret,
    driver::{Ctx, Delivery, Done, Family, Fault, How, Push, Report, step_input},
};
use doorward_wire::{Time, attempt::Reason};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{fmt::Write as _, time::Duration};
use subtle::{Choice, ConstantTimeEq};

/// Where the hook is kept.
const KEY: &str = "push";
/// How long a secret lives.
const LIFE: Duration = Duration::from_hours(24);
/// Pushes may come by the dozen: that one came is written down this often.
const ARRIVAL_GRAIN: Duration = Duration::from_mins(10);

/// Where pushes go, if anywhere.
#[derive(Default)]
pub(crate) struct Slot {
    /// It is read from the store at the first use.
    read: bool,
    hook: Option<Hook>,
}

/// Where pushes go, and the secrets by which they are known.
#[derive(Clone, Deserialize)]
struct Hook {
    /// Where doorward is reached from outside.
    public_url: String,
    /// The random part of the path.
    path: Secret<String>,
    /// The secret that the cloud has.
    #[serde(default)]
    secret: Option<Secret<String>>,
    /// The secret that the cloud is being given, or may have been given.
    #[serde(default)]
    next: Option<Secret<String>>,
    /// When the secret was registered.
    #[serde(default)]
    registered: Option<Time>,
    /// When the last push came, to [`ARRIVAL_GRAIN`].
    #[serde(default)]
    arrived: Option<Time>,
}

/// The same, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    public_url: &'a str,
    path: &'a str,
    secret: Option<&'a str>,
    next: Option<&'a str>,
    registered: Option<Time>,
    arrived: Option<Time>,
}

impl Hook {
    /// A hook with a secret that the cloud is to be given; the path goes on when the address stays.
    fn renewed(old: Option<Self>, public_url: &str, ctx: &dyn Ctx) -> Result<Self, Fault> {
        let public_url = checked(public_url)?;
        let next = Some(random::<32>(ctx));
        Ok(match old {
            Some(old) if old.public_url == public_url => Self { next, ..old },
            Some(_) | None => Self { public_url, path: random::<16>(ctx), secret: None, next, registered: None, arrived: None },
        })
    }

    /// The same hook once the cloud has taken the new secret.
    fn taken(self, now: Time) -> Self {
        Self { secret: self.next, next: None, registered: Some(now), ..self }
    }

    /// The same hook once the cloud has definitely not taken it.
    fn not_taken(self) -> Self {
        Self { next: None, ..self }
    }

    /// What is asked of the cloud.
    fn request(&self) -> Value {
        let secret = self.next.as_ref().map(|secret| secret.reveal().as_str()).unwrap_or_default();
        json!({ "configure": { "notification": { "access_token": secret, "url": self.url() } } })
    }

    /// Where the cloud posts.
    fn url(&self) -> String {
        format!("{}/hooks/utec/{}", self.public_url, self.path.reveal())
    }

    fn standing(&self) -> Push {
        Push { registered: self.registered.is_some(), last: self.arrived }
    }

    /// When the secret is to be changed.
    fn due(&self) -> Option<Time> {
        self.registered.map(|registered| registered.plus(LIFE))
    }

    /// Whether a push is the cloud's. Takes the same time whatever is wrong with it.
    fn admits(&self, delivery: &Delivery) -> bool {
        let path = delivery.path.rsplit('/').next().unwrap_or_default();
        let path = path.as_bytes().ct_eq(self.path.reveal().as_bytes());
        let given = delivery.authorization.as_ref().map(|header| header.reveal().as_str()).unwrap_or_default();
        let given = match given.split_once(' ') {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => given.trim(),
            _ => "",
        };
        let mut known = Choice::from(0);
        for secret in [&self.secret, &self.next].into_iter().flatten() {
            known |= secret.reveal().as_bytes().ct_eq(given.as_bytes());
        }
        (path & known).into()
    }

    fn written(&self) -> Secret<Vec<u8>> {
        let written = Written {
            public_url: &self.public_url,
            path: self.path.reveal(),
            secret: self.secret.as_ref().map(|secret| secret.reveal().as_str()),
            next: self.next.as_ref().map(|secret| secret.reveal().as_str()),
            registered: self.registered,
            arrived: self.arrived,
        };
        // Texts can always be written.
        Secret::new(serde_json::to_vec(&written).unwrap_or_default())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    public_url: String,
}

impl Utec {
    /// Registers this doorward's public address for pushes.
    pub(crate) async fn register_push(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Input = step_input(input)?;
        let mut hook = self.hook.lock().await;
        let old = self.hook_of(ctx, &mut hook).await?;
        let new = Hook::renewed(old, &input.public_url, ctx)?;
        let url = new.url();
        self.register(ctx, &mut hook, new, Care::CHANGE).await?;
        self.bell.notify_one();
        Ok(Done::said(json!({ "url": url, "registered": true })))
    }

    /// Changes the secret when its day is over. When it is over next; `None` while no pushes come.
    pub(crate) async fn rotate_push(&self, ctx: &dyn Ctx) -> Result<Option<Time>, Fault> {
        let mut hook = self.hook.lock().await;
        let Some(old) = self.hook_of(ctx, &mut hook).await? else { return Ok(None) };
        let Some(due) = old.due() else { return Ok(None) };
        if ctx.now().utc < due {
            return Ok(Some(due));
        }
        let public_url = old.public_url.clone();
        let new = Hook::renewed(Some(old), &public_url, ctx)?;
        // The watch comes again anyway.
        self.register(ctx, &mut hook, new, Care::ADD).await?;
        tracing::info!("the secret of the cloud's pushes was changed");
        Ok(Some(ctx.now().utc.plus(LIFE)))
    }

    /// The new secret is on disk before the cloud hears of it, and the only one once the cloud has taken it.
    async fn register(&self, ctx: &dyn Ctx, slot: &mut Slot, new: Hook, care: Care) -> Result<(), Fault> {
        ctx.keep(KEY, new.written()).await?;
        slot.hook = Some(new.clone());
        let outcome = self.cloud.call(ctx, CONFIGURE, &new.request(), care).await;
        let after = match &outcome {
            Ok(_) => new.taken(ctx.now().utc),
            // Nobody knows which of the two the cloud has now.
            Err(miss) if miss.fault.family == Family::Timeout => new,
            Err(_) => new.not_taken(),
        };
        slot.hook = Some(after.clone());
        ctx.report(Report::Push(after.standing()));
        let kept = ctx.keep(KEY, after.written()).await;
        outcome?;
        Ok(kept?)
    }

    /// Notes that a push came, for the next start. That pushes have fallen silent shows in days, not in seconds.
    async fn arrived(&self, ctx: &dyn Ctx, hook: &Hook) {
        let now = ctx.now().utc;
        if hook.arrived.is_some_and(|arrived| now.since(arrived) < ARRIVAL_GRAIN) {
            return;
        }
        let mut slot = self.hook.lock().await;
        let Some(hook) = &mut slot.hook else { return };
        hook.arrived = Some(now);
        let written = hook.written();
        if let Err(error) = ctx.keep(KEY, written).await {
            tracing::warn!(%error, "that a push came could not be written down");
        }
    }

    /// Tells the house how pushes stand.
    pub(crate) async fn tell_push(&self, ctx: &dyn Ctx) {
        let mut slot = self.hook.lock().await;
        if let Ok(Some(hook)) = self.hook_of(ctx, &mut slot).await {
            ctx.report(Report::Push(hook.standing()));
        }
    }

    async fn hook_of(&self, ctx: &dyn Ctx, slot: &mut Slot) -> Result<Option<Hook>, Fault> {
        if !slot.read {
            slot.hook = ctx.kept(KEY).await?.and_then(|bytes| serde_json::from_slice(bytes.reveal()).ok());
            slot.read = true;
        }
        Ok(slot.hook.clone())
    }

    /// Takes a push. It stands for the whole state of each device that it names.
    pub(crate) async fn deliver(&self, ctx: &dyn Ctx, delivery: &Delivery) -> Result<Done, Fault> {
        let hook = {
            let mut hook = self.hook.lock().await;
            self.hook_of(ctx, &mut hook).await?
        };
        let Some(hook) = hook.filter(|hook| hook.admits(delivery)) else { return Err(stranger()) };
        let Ok(body) = serde_json::from_slice::<Value>(&delivery.body) else {
            return Err(refuse("This push is not JSON.", Reason::BadRequest));
        };
        ctx.report(Report::Push(Push { last: Some(ctx.now().utc), ..hook.standing() }));
        self.arrived(ctx, &hook).await;
        let kind = body.get("header").and_then(|header| header.get("name")).and_then(Value::as_str).unwrap_or_default();
        let listing = kind.eq_ignore_ascii_case("DeviceSync") || kind.eq_ignore_ascii_case("DeviceDelete");
        let mut unknown = listing;
        for device in states::devices(&body) {
            let Some(lock) = states::id(device).and_then(|id| self.known(&id)) else {
                unknown = true;
                continue;
            };
            if !listing {
                let sight = self.seen(&lock, device, How::Pushed);
                ctx.report(Report::Seen { external: lock, sight });
            }
        }
        if unknown {
            self.roster().wanted = true;
            self.bell.notify_one();
        }
        Ok(Done::default())
    }
}

/// A push that is not the cloud's, whatever the reason.
fn stranger() -> Fault {
    Fault::refused("This push does not come from the vendor's cloud.", "a push with an unknown address or secret, or none is registered")
        .because(Reason::NotAuthenticated)
        .status(401)
}

/// Random bytes in hex.
pub(crate) fn random<const N: usize>(ctx: &dyn Ctx) -> Secret<String> {
    let mut bytes = [0; N];
    ctx.fill(&mut bytes);
    Secret::new(bytes.iter().fold(String::with_capacity(2 * N), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

fn checked(public_url: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::refused(
            "Give the https address under which doorward is reached from the internet, such as https://home.example.org.",
            "push: not a public https address",
        )
        .because(Reason::BadRequest)
    };
    let url = Url::parse(public_url.trim()).map_err(|_| wrong())?;
    let private = url.scheme() == "http" && doorward_http::is_loopback(&url);
    if (url.scheme() != "https" && !private)
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(wrong());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
