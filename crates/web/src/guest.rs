//! What the holder of a pass sees and does: `/p`, on the private and the public listener.
//!
//! The secret stands in the fragment of the link, so that no server on the way sees it; the page sends it as
//! `Authorization: Bearer dwp_…`. It opens nothing else: here no session and no token counts, and a pass counts nowhere else.

mod near;

use crate::{
    ApiError, ApiResult, Web,
    api::{hooks::subscriber, json::Json},
    guard::Source,
    pages::{self, texts::EN},
    people::{compile, passes::state},
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, State},
    http::{header, request::Parts},
    routing::{get, post},
};
use doorward_core::{
    Secret,
    keeper::Command,
    policy::{Rights, decide},
};
use doorward_store::StoredPass;
use doorward_wire::{
    Time,
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptId, AttemptState, Reason},
    door::{Capability, Door, DoorId},
    grant::{Means, PassDoorState, PassState},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, num::NonZeroU32, sync::LazyLock, time::Duration};

/// Bytes of a request.
const BODY: usize = 4 * 1024;
/// How long an answer waits for what comes of a command.
const WAIT: Duration = Duration::from_secs(12);
/// Wrong secrets of one network in a minute.
const TRIES: NonZeroU32 = NonZeroU32::new(20).expect("twenty is not zero");
/// Networks that are remembered before those that were silent are forgotten.
const NETWORKS: usize = 4096;

static WRONG: LazyLock<DefaultKeyedRateLimiter<IpAddr>> = LazyLock::new(|| RateLimiter::keyed(Quota::per_minute(TRIES)));

/// `/p…`, with what its page is made of.
pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/p", get(async || pages::pass_page()))
        .route("/p/look", post(look))
        .route("/p/open", post(open))
        .route("/p/near", post(near::near))
        .route("/p/invite", post(near::invite))
        .layer(DefaultBodyLimit::max(BODY))
}

/// Whoever has a pass.
struct Holder {
    pass: StoredPass,
    rights: Rights,
}

impl FromRequestParts<Web> for Holder {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> ApiResult<Self> {
        let source = parts.extensions.get::<Source>().and_then(|source| source.0);
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let pass = match given {
            Some(secret) => web.house().store().find_pass(&Secret::new(secret.to_owned()), web.house().now().utc).await?,
            None => None,
        };
        let Some(pass) = pass else {
            let often = source.is_some_and(|source| is_often(subscriber(source)));
            web.house().refused(if often { Reason::RateLimited } else { Reason::NotEnrolled }, source);
            return Err(if often { ApiError::RateLimited(60) } else { ApiError::NotAuthenticated });
        };
        let rights = web.house().store().rights_of_pass(&pass).await?;
        Ok(Self { pass, rights })
    }
}

/// Whether a network has shown more wrong secrets than people do who follow a link.
fn is_often(network: IpAddr) -> bool {
    if WRONG.len() > NETWORKS {
        WRONG.retain_recent();
    }
    WRONG.check_key(&network).is_err()
}

/// A pass as its holder sees it.
#[derive(Serialize)]
struct View {
    name: String,
    state: PassState,
    /// Why it opens nothing, if so.
    text: Option<&'static str>,
    from: Option<Time>,
    until: Option<Time>,
    /// Days and hours, in words.
    terms: String,
    /// How often it still opens.
    left: Option<u32>,
    needs_pin: bool,
    /// Whether a phone with a program of its own can be enrolled.
    phones: bool,
    now: Time,
    doors: Vec<DoorView>,
}

/// One of its doors.
#[derive(Serialize)]
struct DoorView {
    id: DoorId,
    name: String,
    word: &'static str,
    tone: &'static str,
    online: Option<bool>,
    /// What opens it, and what the button says.
    open: ActionWord,
    open_label: &'static str,
    lock: bool,
    allowed: bool,
    denied: Option<&'static str>,
    /// What can be typed in at the lock instead.
    code: Option<String>,
    /// Whether the page itself can open it over Bluetooth.
    near: bool,
    attempt: Option<AttemptView>,
}

/// What came of what its holder asked for.
#[derive(Serialize)]
struct AttemptView {
    state: AttemptState,
    word: &'static str,
    tone: &'static str,
    detail: Option<String>,
}

async fn look(State(web): State<Web>, holder: Holder) -> ApiResult<Json<View>> {
    view(&web, &holder).await.map(Json)
}

async fn view(web: &Web, Holder { pass, rights }: &Holder) -> ApiResult<View> {
    let now = web.house().now().utc;
    let state = state(pass, now);
    let terms = &pass.grant.terms;
    let mut view = View {
        name: pass.name.clone(),
        state,
        text: over(state),
        from: terms.from,
        until: terms.until,
        terms: String::new(),
        left: terms.uses.map(|uses| uses.saturating_sub(pass.grant.used)),
        needs_pin: pass.has_pin,
        phones: false,
        now,
        doors: Vec::new(),
    };
    // Of a pass that is over nobody needs to know what it opened.
    if view.text.is_some() {
        return Ok(view);
    }
    let setups = web.house().store().doors().await?;
    let codes = compile::standing(web, pass).await?;
    let zone = setups.iter().find(|setup| rights.sees(&setup.id, &setup.site, now)).map(|setup| setup.time_zone.as_str());
    let zone = zone.and_then(|zone| jiff::tz::TimeZone::get(zone).ok()).unwrap_or(jiff::tz::TimeZone::UTC);
    view.terms = EN.terms(&doorward_wire::grant::Terms { from: None, until: None, uses: None, ..terms.clone() }, &zone);
    for door in web.house().board().doors() {
        let Some(setup) = setups.iter().find(|setup| setup.id == door.id) else { continue };
        if rights.sees(&door.id, &door.site, now) {
            let decision = decide(rights, setup.place(), opening(&door), now);
            let code = codes.iter().find(|row| row.door == door.id && row.state == PassDoorState::Set);
            let code = code.and_then(|row| row.pin.as_ref().map(|pin| pin.reveal().clone()));
            let lock = web.bluetooth().and_then(|bluetooth| bluetooth.lock(&door.id));
            view.phones |= lock.is_some() && web.bluetooth().is_some_and(|bluetooth| bluetooth.beacon().is_some());
            let near = lock.is_some_and(|lock| lock.answers);
            view.doors.push(DoorView { near, ..door_view(pass, &door, decision.denied, code) });
        }
    }
    Ok(view)
}

fn door_view(pass: &StoredPass, door: &Door, denied: Option<Reason>, code: Option<String>) -> DoorView {
    let face = EN.door_state(door.state, door.kind);
    let own = door.attempt.as_ref().filter(|attempt| attempt.actor.kind == ActorKind::Pass && attempt.actor.id == pass.id);
    DoorView {
        id: door.id.clone(),
        name: door.name.clone(),
        word: face.word,
        tone: face.tone,
        online: door.online,
        open: opening(door),
        open_label: EN.action(opening(door)).0,
        lock: door.capabilities.contains(&Capability::Lock),
        allowed: denied.is_none(),
        denied: denied.map(|reason| EN.pass_denied(reason)),
        code,
        near: false,
        attempt: own.map(attempt_view),
    }
}

fn attempt_view(attempt: &Attempt) -> AttemptView {
    let face = EN.verdict(attempt.state);
    AttemptView {
        state: attempt.state,
        word: face.word,
        tone: face.tone,
        detail: attempt.reason.map(|reason| EN.reason(reason).to_owned()),
    }
}

fn opening(door: &Door) -> ActionWord {
    crate::people::access::opening(&door.capabilities)
}

fn over(state: PassState) -> Option<&'static str> {
    Some(match state {
        PassState::Active | PassState::NotYet => return None,
        PassState::Ended => EN.pass_denied(Reason::Expired),
        PassState::UsedUp => EN.pass_denied(Reason::UsesExhausted),
        PassState::Revoked => EN.pass_denied(Reason::Revoked),
    })
}

/// Whether the PIN is there and right, where the pass has one.
async fn check_pin(web: &Web, holder: &Holder, pin: Option<Secret<String>>) -> ApiResult<()> {
    if !holder.pass.has_pin {
        return Ok(());
    }
    let pin = pin.filter(|pin| !pin.reveal().is_empty()).ok_or_else(|| ApiError::Unprocessable("pin: this pass needs its PIN".into()))?;
    match web.house().store().try_pass_pin(&holder.pass.id, &pin, web.house().now().utc).await? {
        Ok(()) => Ok(()),
        Err(Reason::RateLimited) => Err(ApiError::RateLimited(15 * 60)),
        Err(reason) => {
            web.house().refused(reason, None);
            Err(ApiError::Unprocessable("pin: this is not the PIN of this pass".into()))
        }
    }
}

/// What a guest asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Made by the page, so that asking twice asks once.
    id: AttemptId,
    door: DoorId,
    action: ActionWord,
    #[serde(default)]
    pin: Option<Secret<String>>,
}

/// What came of it, with the pass as it is then.
#[derive(Serialize)]
struct Done {
    attempt: AttemptView,
    pass: View,
}

async fn open(State(web): State<Web>, holder: Holder, Json(wish): Json<Wish>) -> ApiResult<Json<Done>> {
    let (now, store) = (web.house().now().utc, web.house().store());
    let site = web.house().board().door(&wish.door).map(|door| door.site).unwrap_or_default();
    if !holder.rights.sees(&wish.door, &site, now) {
        return Err(match over(state(&holder.pass, now)) {
            Some(text) => ApiError::Forbidden(text.into()),
            None => ApiError::NotFound("door of this pass with this id"),
        });
    }
    check_pin(&web, &holder, wish.pin).await?;
    let command = Command {
        id: wish.id,
        door: wish.door,
        action: wish.action,
        actor: Actor { kind: ActorKind::Pass, id: holder.pass.id.clone(), name: Some(holder.pass.name.clone()) },
        rights: holder.rights.clone(),
        not_after: None,
        means: Means::Remote,
    };
    let attempt = web.house().submit(command).await?;
    let attempt = web.house().finish(attempt, WAIT).await;
    // What it opens may be less now, and it may have been taken back meanwhile.
    let pass = store.pass(&holder.pass.id).await?.ok_or(ApiError::NotAuthenticated)?;
    let rights = store.rights_of_pass(&pass).await?;
    let holder = Holder { pass, rights };
    Ok(Json(Done { attempt: attempt_view(&attempt), pass: view(&web, &holder).await? }))
}
