//! Who may use the local API.
//!
//! Its clients send no credentials. Whoever is in a network of `http.trusted` is let in to the routes that take a
//! [`Guest`], with rights at the doors of the one account that this API speaks for. Credentials count first: wrong ones
//! are refused although the network is trusted. Everything else takes a [`Caller`].

use super::error::Refusal;
use crate::{
    ApiError, Web,
    api::params::CSRF_HEADER,
    caller::{self, Caller},
};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, StatusCode, request::Parts},
};
use doorward_core::policy::{Actions, Doors, Grant, Rights};
use doorward_store::StoredAccount;
use doorward_wire::{
    account::AccountId,
    attempt::{Actor, ActorKind, Reason},
    door::Door,
};

/// The driver whose locks this API is about.
pub(super) const KIND: &str = "utec";

/// Somebody who may look at the locks of the account and command them.
pub(super) struct Guest {
    pub(super) account: AccountId,
    pub(super) actor: Actor,
    pub(super) rights: Rights,
    /// Sees every lock of the account, also those that are not known yet.
    everything: bool,
}

impl Guest {
    /// Whether a lock may be shown to this guest.
    pub(super) fn sees(&self, web: &Web, external: &str) -> bool {
        self.everything || web.house().board().door_by_external(Some(&self.account), external).is_some_and(|door| self.may_see(web, &door))
    }

    fn may_see(&self, web: &Web, door: &Door) -> bool {
        self.rights.sees(&door.id, &door.site, web.house().now().utc)
    }

    /// The door of a lock, whatever case its identifier is written in.
    pub(super) fn door(&self, web: &Web, external: &str) -> Result<Door, Refusal> {
        let board = web.house().board();
        let of_account = |door: &Door| door.account.as_deref() == Some(self.account.as_str());
        let same = |door: &Door| door.external.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(external));
        let door = board
            .door_by_external(Some(&self.account), external)
            .or_else(|| board.doors().into_iter().find(|door| of_account(door) && same(door)))
            .filter(|door| self.may_see(web, door));
        door.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no device with this id"))
    }
}

impl FromRequestParts<Web> for Guest {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refusal> {
        let source = caller::source(parts);
        let known = <Caller as OptionalFromRequestParts<Web>>::from_request_parts(parts, web).await?;
        let trusted = source.filter(|source| web.trusts(*source));
        if known.is_none() && trusted.is_none() {
            web.house().refused(Reason::NotAuthenticated, source);
            let detail = "this network is not trusted; add it to http.trusted, or send a token as `Authorization: Bearer dw_…`";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        }
        let account = account(web).await?.ok_or_else(none)?.id;
        if let Some(caller) = known {
            caller.need_doors()?;
            let everything = !caller.narrow();
            return Ok(Self { account, everything, actor: caller.actor, rights: caller.rights });
        }
        let doors = web.house().board().doors();
        let own = doors.into_iter().filter(|door| door.account.as_deref() == Some(account.as_str()));
        let grant = |door: Door| Grant::standing("trusted network", vec![Doors::One(door.id)], Actions::Act);
        let rights = Rights::of(own.map(grant).collect());
        let id = trusted.map(|source| source.to_string()).unwrap_or_default();
        Ok(Self { account, actor: Actor { kind: ActorKind::Local, id, name: None }, rights, everything: true })
    }
}

/// A caller of the routes that trust does not cover.
pub(super) struct Known(pub(super) Caller);

impl FromRequestParts<Web> for Known {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refusal> {
        Ok(Self(<Caller as FromRequestParts<Web>>::from_request_parts(parts, web).await?))
    }
}

/// Checks the CSRF token of a request that any page could have sent.
pub(super) fn sure(caller: &Caller, headers: &HeaderMap, in_form: Option<&str>) -> Result<(), ApiError> {
    let in_header = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    caller.check_csrf(in_header.or(in_form).unwrap_or_default())
}

/// The account that this API speaks for: `http.utec_account`, else the oldest.
pub(super) async fn account(web: &Web) -> Result<Option<StoredAccount>, ApiError> {
    let accounts = web.house().store().accounts().await?;
    let mut own = accounts.into_iter().filter(|account| account.kind == KIND);
    Ok(match &web.config().utec_account {
        Some(id) => own.find(|account| account.id == *id),
        None => own.min_by_key(|account| (account.created, account.id.clone())),
    })
}

pub(super) fn none() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no U-tec account is set up yet; add one on the accounts page")
}
