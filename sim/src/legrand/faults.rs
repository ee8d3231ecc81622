//! What can go wrong at the simulated cloud and its registrar: a list, and what it means for the next request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::oddities::{CaShape, Challenge, HeaderForm, JsonRpc, Qop, Writing};
use super::passage::{Mishap, Plan};
use crate::fault::{self, Scope};

/// One fault of this cloud. See [`crate::Fault`].
pub type Fault<T = ()> = crate::Fault<On, T>;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Everything: every request, and every connection to the registrar.
    #[default]
    All,
    /// Everything over HTTP.
    Http,
    /// The pages of the sign-in.
    Login,
    /// The token endpoint.
    Token,
    /// `GET …/plants` and `…/plants/{id}`.
    Plants,
    /// `GET …/modules` and `…/modules/{id}`.
    Modules,
    /// The consents.
    Consents,
    /// `GET …/sipaccounts`.
    SipAccounts,
    /// `POST …/sipaccount`.
    SipAccount,
    /// The push subscription.
    Subscription,
    /// `GET …/CACerts`.
    CaCerts,
    /// `POST …/clientCerts`.
    ClientCerts,
    /// Everything over SIP, connections included.
    Sip,
    /// A connection to the registrar, before its first request.
    Connect,
    /// REGISTER.
    Register,
    /// MESSAGE.
    Message,
    /// Any other request over SIP.
    OtherSip,
    /// A pressed bell button.
    Bell,
}

impl On {
    fn speaks_sip(self) -> bool {
        matches!(self, Self::Connect | Self::Register | Self::Message | Self::OtherSip)
    }
}

impl Scope for On {
    fn covers(self, place: Self) -> bool {
        match self {
            Self::All => true,
            Self::Http => !place.speaks_sip() && place != Self::Bell,
            Self::Sip => place.speaks_sip(),
            Self::Login
            | Self::Token
            | Self::Plants
            | Self::Modules
            | Self::Consents
            | Self::SipAccounts
            | Self::SipAccount
            | Self::Subscription
            | Self::CaCerts
            | Self::ClientCerts
            | Self::Connect
            | Self::Register
            | Self::Message
            | Self::OtherSip
            | Self::Bell => self == place,
        }
    }
}

/// How a dead server behaves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dead {
    /// Takes it and never answers.
    Silent,
    /// Takes it and closes the connection.
    Close,
}

/// How the registrar answers a wrong password.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// With the same challenge again.
    #[default]
    ChallengeAgain,
    /// With 403.
    Forbidden,
}

/// Every fault and every oddity, all off by default.
///
/// Those with an `Option` of [`Fault`] strike single requests and can be limited; when several strike the same
/// request, delays add up and the first other one in this list wins. The plain ones stay as they are set.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "independent oddities, each of which a person switches alone")]
pub struct Faults {
    /// Answers that many milliseconds late. With `after_effect`, the effect comes first and the wait after.
    pub slow_ms: Option<Fault<u64>>,
    /// Never answers, or hangs up. At [`On::Connect`] it is the connection itself that stays dead or is closed,
    /// before TLS or (with `after_effect`) after it.
    pub dead: Option<Fault<Dead>>,
    /// That status, 200 to 699: of HTTP, or the final one of SIP (202, 403, 404, 503…).
    pub status: Option<Fault<u16>>,
    /// 429 with `Retry-After` of that many seconds. HTTP.
    pub too_many: Option<Fault<u64>>,
    /// 401. HTTP.
    pub unauthorized: Option<Fault>,
    /// Half of the real answer, then the connection closes. The request always takes effect.
    pub half_answer: Option<Fault>,
    /// 200 with a page of HTML; over SIP, bytes that are no SIP.
    pub garbage: Option<Fault>,
    /// 200 with JSON that ends in the middle. The request always takes effect. HTTP.
    pub truncated: Option<Fault>,
    /// The nonce is refused as stale, and a new one is given. REGISTER and MESSAGE.
    pub stale_nonce: Option<Fault>,
    /// The right password is taken for a wrong one. REGISTER and MESSAGE.
    pub wrong_password: Option<Fault<Refusal>>,
    /// 200, and nothing moves. MESSAGE.
    pub no_movement: Option<Fault>,
    /// The client's certificate is taken for an expired one. [`On::Connect`].
    pub certificate_expired: Option<Fault>,
    /// The client's certificate is taken for a revoked one. [`On::Connect`].
    pub certificate_refused: Option<Fault>,
    /// A pressed bell button rings that many times at once. [`On::Bell`].
    pub ring_storm: Option<Fault<u16>>,
    /// A refresh waits that many milliseconds before the rotation takes effect.
    pub pause_before_rotation_ms: Option<Fault<u64>>,
    /// A refresh waits that many milliseconds after the rotation has taken effect, before the answer.
    pub pause_after_rotation_ms: Option<Fault<u64>>,

    /// Tokens come without a new refresh token.
    pub no_refresh_token: bool,
    /// The access token has no `oid`; `sub` is all there is.
    pub sub_without_oid: bool,
    /// `expires_in` is a text.
    pub expires_in_as_text: bool,
    /// One plant comes as `{"plant":{…}}`.
    pub plant_wrapped: bool,
    /// Lists come as `{"plants":[…]}`, `{"modules":[…]}`, `{"sipAccounts":[…]}`.
    pub lists_wrapped: bool,
    /// Modules have `plant_id` instead of `plantId`.
    pub plant_id_in_snake_case: bool,
    /// The gateway has `entityId` instead of `id`.
    pub gateway_with_entity_id: bool,
    /// How the CA certificates are written.
    pub ca_shape: CaShape,

    /// The registrar shows a certificate that its CA did not sign.
    pub foreign_certificate: bool,
    /// The vendor has a new authority: it has signed the registrar's certificate, and the API names it.
    pub new_authority: bool,
    /// After so many milliseconds without a byte from the client, nothing passes any more over a connection, and nobody
    /// is told: the memory of a NAT.
    pub idle_forgotten_ms: Option<u64>,
    /// The registrar speaks TLS 1.2 at most: a client learns within its own handshake that it is refused.
    pub tls12_only: bool,
    /// Where the challenge stands.
    pub challenge: Challenge,
    /// What the challenge says about `qop`.
    pub qop: Qop,
    /// The challenge has no `opaque`.
    pub no_opaque: bool,
    /// The realm of the challenge, where it is not the account's domain.
    pub realm: Option<String>,
    /// What becomes of a password that is really wrong.
    pub refusal: Refusal,
    /// Whether the gateway answers a command by a MESSAGE of its own.
    pub json_rpc: JsonRpc,
    /// How many milliseconds after the acceptance it does.
    pub json_rpc_delay_ms: u64,
    /// That answer has its `id` as a number.
    pub json_rpc_number_id: bool,
    /// How what the registrar sends is cut into writes.
    pub writing: Writing,
    /// How the registrar writes the names of header fields.
    pub header_form: HeaderForm,
    /// The bell's INVITE carries an offer of media.
    pub invite_with_sdp: bool,
    /// A MESSAGE is also taken when it is not written as the vendor's apps write it.
    pub lenient: bool,
}

impl Faults {
    /// Changes the faults that `changes` names; `false` and `null` switch one off.
    pub(crate) fn patched(&self, changes: &Value) -> Result<Self, String> {
        let patched: Self = fault::patched(self, changes)?;
        let status = patched.status.as_ref().map(|fault| fault.with);
        if status.is_some_and(|status| !(200..700).contains(&status)) {
            return Err("status is 200 to 699".to_owned());
        }
        Ok(patched)
    }

    /// What happens to the next request at `at`; counts the limited faults down.
    pub(crate) fn plan(&mut self, at: On, now: u64) -> Plan {
        let mut plan = Plan::arrived(now);
        if let Some(slow) = fault::strike(&mut self.slow_ms, at) {
            plan.wait(slow.with, slow.after_effect);
        }
        if at.speaks_sip() {
            self.sip_mishap(at, &mut plan);
        } else {
            self.http_mishap(at, &mut plan);
        }
        plan
    }

    /// As [`Faults::plan`], for a refresh.
    pub(crate) fn plan_refresh(&mut self, now: u64) -> Plan {
        let mut plan = self.plan(On::Token, now);
        if let Some(pause) = fault::strike(&mut self.pause_before_rotation_ms, On::Token) {
            plan.wait(pause.with, false);
        }
        if let Some(pause) = fault::strike(&mut self.pause_after_rotation_ms, On::Token) {
            plan.wait(pause.with, true);
        }
        plan
    }

    /// How often a pressed button rings.
    pub(crate) fn rings(&mut self) -> u16 {
        fault::strike(&mut self.ring_storm, On::Bell).map_or(1, |fault| fault.with)
    }
}

macro_rules! first_of {
    ($faults:ident, $at:ident, $plan:ident, $($slot:ident => $mishap:expr),+ $(,)?) => {$(
        if let Some(fault) = fault::strike(&mut $faults.$slot, $at) {
            $plan.after_effect = fault.after_effect;
            $plan.mishap = Some($mishap(fault.with));
            return;
        }
    )+};
}

impl Faults {
    fn http_mishap(&mut self, at: On, plan: &mut Plan) {
        first_of! { self, at, plan,
            dead => Mishap::Dead,
            status => Mishap::Status,
            too_many => Mishap::TooMany,
            unauthorized => |()| Mishap::Unauthorized,
            half_answer => |()| Mishap::Half,
            garbage => |()| Mishap::Garbage,
            truncated => |()| Mishap::Truncated,
        }
    }

    fn sip_mishap(&mut self, at: On, plan: &mut Plan) {
        first_of! { self, at, plan, dead => Mishap::Dead }
        if at == On::Connect {
            first_of! { self, at, plan,
                certificate_expired => |()| Mishap::CertificateExpired,
                certificate_refused => |()| Mishap::CertificateRefused,
            }
            return;
        }
        first_of! { self, at, plan,
            status => Mishap::Status,
            half_answer => |()| Mishap::Half,
            garbage => |()| Mishap::Garbage,
        }
        if at != On::OtherSip {
            first_of! { self, at, plan,
                stale_nonce => |()| Mishap::StaleNonce,
                wrong_password => Mishap::WrongPassword,
            }
        }
        if at == On::Message {
            first_of! { self, at, plan, no_movement => |()| Mishap::NoMovement }
        }
    }
}
