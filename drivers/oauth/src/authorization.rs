//! The authorization code (RFC 6749, section 4.1): a sign-in that waits for what the browser brings back.
//!
//! Its `state` is random, good once and for ten minutes, and compared in constant time. With PKCE (RFC 7636) a code that
//! somebody else gets hold of is worth nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{
    Secret,
    driver::{Ctx, Fault},
};
use doorward_wire::{Time, attempt::Reason};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Where the sign-in that waits for its code is kept.
const KEY: &str = "signin";
/// How long it waits.
const PATIENCE: Duration = Duration::from_mins(10);
/// Bytes of what is pasted, at most.
const LONGEST: usize = 16 << 10;

/// How a vendor wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By `state` alone; a code that is pasted without it is taken.
    State,
    /// By `state`, which must come back, and PKCE.
    Pkce,
}

/// A sign-in that waits for its code.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    redirect_url: String,
    expires: Time,
    #[serde(default)]
    verifier: Option<String>,
}

/// What goes into the address of the sign-in page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Comes back with the code.
    pub state: String,
    /// `code_challenge` of the method S256, with PKCE.
    pub challenge: Option<String>,
}

/// A code that belongs to the sign-in that waited.
#[derive(Debug)]
pub struct Returned {
    /// The code.
    pub code: Secret<String>,
    /// Where the browser was sent, as the vendor was told.
    pub redirect_url: String,
    /// `code_verifier`, with PKCE.
    pub verifier: Option<Secret<String>>,
}

/// Begins a sign-in. One that waited before is over.
pub async fn begin(ctx: &dyn Ctx, redirect_url: &str, proof: Proof) -> Result<Begun, Fault> {
    let verifier = (proof == Proof::Pkce).then(|| random(ctx));
    let challenge = verifier.as_ref().map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    let pending = Pending { state: random(ctx), redirect_url: redirect_url.to_owned(), expires: ctx.now().utc.plus(PATIENCE), verifier };
    ctx.keep(KEY, Secret::new(serde_json::to_vec(&pending).unwrap_or_default())).await?;
    Ok(Begun { state: pending.state, challenge })
}

/// Takes what was pasted: the code, or the whole address at which the browser ended. The sign-in that waited is used up
/// when it belongs to it, whatever comes of it.
pub async fn finish(ctx: &dyn Ctx, pasted: &Secret<String>) -> Result<Returned, Fault> {
    let callback = callback(pasted.reveal())?;
    let pending = pending(ctx).await?;
    match &callback.state {
        Some(state) if !bool::from(state.as_bytes().ct_eq(pending.state.as_bytes())) => {
            return Err(bad("This address belongs to another sign-in. Start again and paste the newest one."));
        }
        None if pending.verifier.is_some() => {
            return Err(bad("The code alone is not enough. Paste the whole address at which the browser ended."));
        }
        Some(_) | None => {}
    }
    ctx.keep(KEY, Secret::new(Vec::new())).await?;
    Ok(Returned { code: callback.code, redirect_url: pending.redirect_url, verifier: pending.verifier.map(Secret::new) })
}

async fn pending(ctx: &dyn Ctx) -> Result<Pending, Fault> {
    let kept = ctx.kept(KEY).await?;
    kept.and_then(|bytes| serde_json::from_slice::<Pending>(bytes.reveal()).ok())
        .filter(|pending| ctx.now().utc <= pending.expires)
        .ok_or_else(|| bad("No sign-in is waiting for a code, or it waited longer than ten minutes. Start again."))
}

/// 256 bits as base64url, which is what RFC 7636 wants of a verifier (section 4.1).
fn random(ctx: &dyn Ctx) -> String {
    let mut bytes = [0; 32];
    ctx.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the browser brought back.
struct Callback {
    code: Secret<String>,
    state: Option<String>,
}

/// Reads what was pasted: a bare code, `code=…`, or a whole address with `authorization_code=` or `code=`.
fn callback(pasted: &str) -> Result<Callback, Fault> {
    let pasted = pasted.trim();
    if pasted.len() > LONGEST {
        return Err(bad("This is no code."));
    }
    let query = match Url::parse(pasted) {
        Ok(url) if url.scheme().starts_with("http") => Some(url.query().unwrap_or_default().to_owned()),
        _ if pasted.contains("code=") || pasted.contains("error=") => {
            Some(pasted.rsplit_once('?').map_or(pasted, |(_, query)| query).split('#').next().unwrap_or_default().to_owned())
        }
        _ => None,
    };
    let Some(query) = query else {
        let plain = !pasted.is_empty() && pasted.bytes().all(|byte| byte.is_ascii_graphic());
        return if plain { Ok(Callback { code: Secret::from(pasted), state: None }) } else { Err(bad("This is no code.")) };
    };
    let mut url = Url::parse("http://localhost/").map_err(|_| bad("This is no address."))?;
    url.set_query(Some(&query));
    let field =
        |wanted: &str| url.query_pairs().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned());
    match field("authorization_code").or_else(|| field("code")) {
        Some(code) => Ok(Callback { code: Secret::new(code), state: field("state") }),
        None if field("error").is_some() => Err(bad("Access was not allowed on the vendor's page. Start again and allow it.")),
        None => Err(bad("There is no code in this address. Paste the address at which the browser ended after signing in.")),
    }
}

fn bad(person: &str) -> Fault {
    Fault::refused(person, person).because(Reason::BadRequest)
}
