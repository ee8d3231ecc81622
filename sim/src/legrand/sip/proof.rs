//! Who sent a request: digest, and the certificate of the connection.

use super::answers::{Asked, Refusal};
use super::digest::{self, Credentials, Judged, Verdict};
use super::text::{Message, address, user_and_host};
use crate::legrand::faults::Refusal as Wrong;
use crate::legrand::passage::Mishap;
use crate::legrand::registry::Account;
use crate::legrand::world::{State, World};

/// Whether there are any credentials.
pub(crate) fn offered(message: &Message) -> bool {
    message.header("Proxy-Authorization").or_else(|| message.header("Authorization")).is_some()
}

/// The gateway whose domain this URI names.
pub(crate) fn gateway<'a>(world: &World, uri: &'a str) -> Result<&'a str, Refusal> {
    let host = user_and_host(uri).map_or("", |(_, host)| host);
    let gateway = host.strip_suffix(&world.config.sip_domain).and_then(|front| front.strip_suffix('.'));
    gateway.ok_or_else(|| Refusal::new(404, "no domain of ours"))
}

/// The account that sends this, proven.
pub(crate) fn prove(asked: &Asked<'_>, gateway: &str) -> Result<Account, Refusal> {
    let challenge = asked.world.faults().challenge;
    let (_, _, field) = challenge.parts();
    let Some(shown) = asked.message.header(field) else {
        asked.world.count(|counters| counters.challenged += 1);
        return Err(challenged(asked.world, gateway, false));
    };
    let credentials = Credentials::read(shown).ok_or_else(|| Refusal::malformed(format!("{field} is no digest")))?;
    let account = asked.world.look(|state, _| state.registry.by_user(gateway, credentials.username()).cloned());
    let verdict = match &account {
        None => Verdict::WrongPassword,
        Some(account) => asked.world.look(|state, now| judged(asked, state, &credentials, account, now)),
    };
    match (verdict, account) {
        (Verdict::Right, Some(account)) => belongs(asked, account),
        (Verdict::Stale, _) => {
            asked.world.count(|counters| counters.stale += 1);
            Err(challenged(asked.world, gateway, true))
        }
        (Verdict::Malformed(why), _) => Err(Refusal::malformed(format!("{field}: {why}"))),
        (Verdict::WrongPassword | Verdict::Right, _) => {
            asked.world.count(|counters| counters.wrong_passwords += 1);
            let refusal = match asked.mishap {
                Some(Mishap::WrongPassword(refusal)) => refusal,
                _ => asked.world.faults().refusal,
            };
            Err(match refusal {
                Wrong::ChallengeAgain => challenged(asked.world, gateway, false),
                Wrong::Forbidden => Refusal::new(403, "wrong password"),
            })
        }
    }
}

fn judged(asked: &Asked<'_>, state: &mut State, credentials: &Credentials, account: &Account, now: u64) -> Verdict {
    match asked.mishap {
        Some(Mishap::StaleNonce) => return Verdict::Stale,
        Some(Mishap::WrongPassword(_)) => return Verdict::WrongPassword,
        _ => {}
    }
    let judged =
        Judged { user: account.user(), password: &account.password, method: asked.method, uri: asked.uri, qop: state.faults.qop, now };
    state.exchange.nonces.judge(credentials, &judged)
}

/// The account must be the sender's, and the certificate the account's.
fn belongs(asked: &Asked<'_>, account: Account) -> Result<Account, Refusal> {
    let from = asked.message.header("From").unwrap_or_default();
    let domain = asked.world.domain(&account.gateway);
    if user_and_host(address(from)) != Some((account.user(), &domain)) {
        return Err(Refusal::new(403, "From is another one than the account"));
    }
    let peer = asked.world.look(|state, _| state.exchange.peer(asked.line).cloned());
    let right = peer.is_some_and(|peer| peer.client_id == account.client_id && peer.gateway == account.gateway);
    if right { Ok(account) } else { Err(Refusal::new(403, "the certificate is another client's")) }
}

fn challenged(world: &World, gateway: &str, stale: bool) -> Refusal {
    world.look(|state, now| {
        let realm = state.faults.realm.clone().unwrap_or_else(|| world.domain(gateway));
        let nonce = state.dice.text(b"0123456789abcdef", 34);
        state.exchange.nonces.give(&nonce, &realm, now.saturating_add(world.config.nonce_lives_ms), now);
        let opaque = (!state.faults.no_opaque).then_some("+GNywA==");
        let (status, field, _) = state.faults.challenge.parts();
        let value = digest::challenge(&realm, &nonce, state.faults.qop, opaque, stale);
        Refusal { status, why: "prove it".to_owned(), fields: vec![(field, value)] }
    })
}
