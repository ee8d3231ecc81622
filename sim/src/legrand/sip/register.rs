//! REGISTER (RFC 3261, section 10).

use super::answers::{Asked, Outcome, Refusal, Reply};
use super::exchange::Binding;
use super::proof;
use super::text::{Message, address, parameter, user_and_host};
use crate::legrand::registry::Account;
use crate::legrand::world::World;

/// Who registers.
pub(crate) fn admit(asked: &Asked<'_>) -> Result<Account, Refusal> {
    let gateway = proof::gateway(asked.world, asked.uri)?;
    if user_and_host(asked.uri).is_some_and(|(user, _)| !user.is_empty()) {
        return Err(Refusal::malformed("the URI of REGISTER names a user"));
    }
    proof::prove(asked, gateway)
}

/// Registers.
pub(crate) fn register(asked: &Asked<'_>, account: &Account) -> Outcome {
    if asked.world.look(|state, _| state.gateway(&account.gateway).is_none()) {
        return Err(Refusal::new(404, "the gateway is gone"));
    }
    let to = asked.message.header("To").unwrap_or_default();
    if user_and_host(address(to)) != user_and_host(&format!("sip:{}", account.uri)) {
        return Err(Refusal::malformed("To is another one than the account"));
    }
    let contact = asked.message.header("Contact").ok_or_else(|| Refusal::malformed("Contact is missing"))?;
    let asked_for = expires(asked.message, contact)?;
    if contact == "*" {
        if asked_for != 0 {
            return Err(Refusal::malformed("Contact * without Expires: 0"));
        }
    } else {
        check(contact, account.user())?;
    }
    let config = &asked.world.config;
    if asked_for > 0 && asked_for < config.registration_min {
        let why = "expires is too short".to_owned();
        return Err(Refusal { status: 423, why, fields: vec![("Min-Expires", config.registration_min.to_string())] });
    }
    bind(asked, account, contact, asked_for.min(config.registration_max))
}

/// Seconds: of the contact, else of the field, else an hour.
fn expires(message: &Message, contact: &str) -> Result<u64, Refusal> {
    let text = parameter(contact, "expires").or_else(|| message.header("Expires"));
    text.map_or(Ok(3600), |text| text.parse().map_err(|_| Refusal::malformed("expires is no number")))
}

fn check(contact: &str, user: &str) -> Result<(), Refusal> {
    let uri = contact.starts_with('<').then(|| address(contact));
    let uri = uri.ok_or_else(|| Refusal::malformed("Contact has no angle brackets"))?;
    if user_and_host(uri).is_none_or(|(known, _)| known != user) {
        return Err(Refusal::malformed("Contact names another user"));
    }
    if parameter(uri, "transport") != Some("tls") {
        return Err(Refusal::malformed("Contact is not one of transport=tls"));
    }
    Ok(())
}

fn bind(asked: &Asked<'_>, account: &Account, contact: &str, granted: u64) -> Outcome {
    let domain = asked.world.domain(&account.gateway);
    let call_id = asked.message.header("Call-ID").unwrap_or_default().to_owned();
    let cseq = asked.message.header("CSeq").and_then(|cseq| cseq.split(' ').next()?.parse().ok()).unwrap_or_default();
    asked.world.look(|state, now| {
        let user = account.user().to_owned();
        let same = |binding: &Binding| binding.user == user && binding.domain == domain;
        let all = &mut state.exchange.bindings;
        if all.iter().any(|binding| same(binding) && binding.call_id == call_id && binding.cseq >= cseq) {
            return Err(Refusal::malformed("CSeq does not rise"));
        }
        let contact = address(contact).to_owned();
        all.retain(|binding| !same(binding) || (contact != "*" && binding.contact != contact));
        if granted > 0 {
            let until = now.saturating_add(granted.saturating_mul(1000));
            all.push(Binding { user: user.clone(), domain: domain.clone(), contact, line: asked.line, until, call_id, cseq });
        }
        state.counters.registered += 1;
        let mut fields: Vec<_> = state
            .exchange
            .bindings
            .iter()
            .filter(|binding| same(binding))
            .map(|binding| ("Contact", format!("<{}>;expires={}", binding.contact, (binding.until - now).div_ceil(1000))))
            .collect();
        fields.push(("Date", date(now)));
        Ok(Reply { fields, after: None })
    })
}

fn date(now: u64) -> String {
    let now = now.min(World::LAST_DATE_MS);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(now))
}
