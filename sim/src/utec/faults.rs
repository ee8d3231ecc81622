//! What can go wrong at the simulated cloud: a list, and what it means for the next request.
//!
//! `passage` is where a request then lives through it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::passage::{Mishap, Plan};
use crate::fault::{self, Scope};

/// One fault of this cloud. See [`crate::Fault`].
pub type Fault<T = ()> = crate::Fault<On, T>;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Every request to `/token` and `/action`.
    #[default]
    All,
    /// `/token`.
    Token,
    /// Lock and unlock, in either style (`Command` or `Control`).
    Command,
    /// `Query`.
    Query,
    /// `Discovery`.
    Discovery,
    /// `Command` with `st.lockUser`.
    Users,
    /// The same, where somebody is added.
    AddUser,
    /// Everything else at `/action`: who am I, the registration of pushes, and what cannot be read.
    Other,
}

impl Scope for On {
    fn covers(self, place: Self) -> bool {
        self == Self::All || self == place || self == Self::Users && place == Self::AddUser
    }
}

/// How a dead cloud behaves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dead {
    /// Takes the request and never answers.
    Silent,
    /// Takes the request and closes the connection.
    Close,
}

/// How `/token` writes its answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenAnswer {
    /// The four fields at the top.
    #[default]
    Standard,
    /// Inside `{"code":200,"data":{…}}`.
    Wrapped,
    /// Without a refresh token.
    WithoutRefreshToken,
    /// `{"code":200,"data":{}}`.
    NothingUsable,
}

/// How `Discovery` and pushes wrap their devices.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrapping {
    /// `{"payload":{"devices":[…]}}`.
    #[default]
    PayloadDevices,
    /// `{"devices":[…]}`.
    TopLevelDevices,
    /// `{"payload":[…]}`.
    PayloadList,
    /// `[…]`.
    BareList,
}

/// What `Discovery` calls the id of a device.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdName {
    /// `id`.
    #[default]
    Id,
    /// `device_id`.
    DeviceId,
    /// `serial_no`.
    SerialNo,
}

/// What the redirect calls the authorization code.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeName {
    /// `authorization_code`.
    #[default]
    AuthorizationCode,
    /// `code`.
    Code,
}

/// Every fault and every oddity of the cloud, all off by default.
///
/// Those with an `Option` strike single requests and can be limited (see [`Fault`]); when several strike the
/// same request, delays add up and the first other one in this list wins. The plain ones stay as they are
/// set.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "independent oddities, each of which a person switches alone")]
pub struct Faults {
    /// Answers that many milliseconds late. With `after_effect`, the effect comes first and the wait after.
    pub slow_ms: Option<Fault<u64>>,
    /// Never answers, or hangs up.
    pub dead: Option<Fault<Dead>>,
    /// 302 to that address.
    pub redirect: Option<Fault<String>>,
    /// 429 with `Retry-After` of that many seconds.
    pub too_many: Option<Fault<u64>>,
    /// That status, 500 to 599.
    pub server_error: Option<Fault<u16>>,
    /// 401.
    pub unauthorized: Option<Fault>,
    /// Headers and half of the real answer, then the connection closes. The request always takes effect.
    pub half_answer: Option<Fault>,
    /// 200 with something that is not JSON.
    pub garbage: Option<Fault>,
    /// 200 with `payload.error.code = INVALID_TOKEN`.
    pub invalid_token_in_200: Option<Fault>,
    /// 200 with that code in `payload.error.code`.
    pub error_in_200: Option<Fault<String>>,
    /// 204 without a body. The request always takes effect.
    pub empty_success_204: Option<Fault>,

    /// How `/token` writes its answer.
    pub token_answer: Option<Fault<TokenAnswer>>,
    /// A refresh waits that many milliseconds before the rotation takes effect.
    pub pause_before_rotation_ms: Option<Fault<u64>>,
    /// A refresh waits that many milliseconds after the rotation has taken effect, before the answer.
    pub pause_after_rotation_ms: Option<Fault<u64>>,
    /// What the redirect calls the code.
    pub code_name: CodeName,
    /// The cloud's clock runs ahead by that many seconds (behind, when negative): its tokens expire early.
    pub clock_skew_seconds: i64,

    /// An old cloud: `Command` is refused, and of the six shapes of `Control` only this one (0 to 5, in the
    /// order of the vectors) is accepted. `None`: `Control` is refused.
    pub control_only: Option<u8>,
    /// Errors stand at the top (`error`) rather than in `payload.error`.
    pub error_at_top: bool,
    /// Only the lock state is reported, as one object instead of a list.
    pub states_as_object: bool,
    /// `state` instead of `states`.
    pub state_not_states: bool,
    /// `attribute` instead of `name` in a state.
    pub attribute_not_name: bool,
    /// Capabilities, names and values in lower case.
    pub lower_case: bool,
    /// How `Discovery` wraps its devices.
    pub discovery_shape: Wrapping,
    /// What `Discovery` calls the id.
    pub discovery_id: IdName,

    /// How pushes wrap their devices.
    pub push_shape: Wrapping,
    /// Every push comes twice.
    pub push_duplicate: bool,
}

impl Faults {
    /// Changes the faults that `changes` names; `false` and `null` switch one off.
    pub(crate) fn patched(&self, changes: &Value) -> Result<Self, String> {
        let patched: Self = fault::patched(self, changes)?;
        patched.check()?;
        Ok(patched)
    }

    /// What the types do not say.
    fn check(&self) -> Result<(), String> {
        if self.control_only.is_some_and(|shape| shape > 5) {
            return Err("control_only is 0 to 5".to_owned());
        }
        let status = self.server_error.as_ref().map(|fault| fault.with);
        if status.is_some_and(|status| !(500..600).contains(&status)) {
            return Err("server_error is 500 to 599".to_owned());
        }
        Ok(())
    }

    /// What happens to the next request at `at`; counts the limited faults down.
    pub(crate) fn plan(&mut self, at: On, now: u64) -> Plan {
        let mut plan = Plan::arrived(now);
        if let Some(slow) = fault::strike(&mut self.slow_ms, at) {
            plan.wait(slow.with, slow.after_effect);
        }
        self.mishap(at, &mut plan);
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

    pub(crate) fn token_answer(&mut self) -> TokenAnswer {
        fault::strike(&mut self.token_answer, On::Token).map_or_else(TokenAnswer::default, |f| f.with)
    }

    fn mishap(&mut self, at: On, plan: &mut Plan) {
        macro_rules! first_of {
            ($($slot:ident => $mishap:expr),+ $(,)?) => {$(
                if let Some(fault) = fault::strike(&mut self.$slot, at) {
                    plan.after_effect = fault.after_effect;
                    plan.mishap = Some($mishap(fault.with));
                    return;
                }
            )+};
        }
        first_of! {
            dead => Mishap::Dead,
            redirect => Mishap::Redirect,
            too_many => Mishap::TooMany,
            server_error => Mishap::ServerError,
            unauthorized => |()| Mishap::Unauthorized,
            half_answer => |()| Mishap::Half,
            garbage => |()| Mishap::Garbage,
            invalid_token_in_200 => |()| Mishap::ErrorIn200("INVALID_TOKEN".to_owned()),
            error_in_200 => Mishap::ErrorIn200,
            empty_success_204 => |()| Mishap::Empty,
        }
    }
}
