//! Who is asking.
//!
//! A caller is known by the admin socket, by a token, or by a session. A handler that takes a [`Caller`] is closed to
//! everybody else; [`Caller::need`] asks for a scope. A handler that takes neither is open to the internet, and the list
//! of those is short (see `guard`).

use crate::{ApiError, ApiResult, Web, people::roles, serve::Peer};
use aws_lc_rs::rand;
use axum::{
    extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use doorward_core::{Secret, policy::Rights, scope::Scope};
use doorward_store::Token;
use doorward_wire::{
    attempt::{Actor, ActorKind, Reason},
    grant::Role,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The session cookie.
pub const COOKIE: &str = "doorward";
/// How long a session lives without being used.
pub const SESSION_LIFE: Duration = Duration::from_hours(24 * 30);

/// Somebody who said who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As whom their actions are recorded.
    pub actor: Actor,
    /// What they may do at doors.
    pub rights: Rights,
    /// What else they may do.
    pub scopes: Vec<Scope>,
    /// The person for whom they act, and that person's role; nobody for the socket and for tokens of the house.
    pub person: Option<String>,
    /// That person's role.
    pub role: Option<Role>,
    /// How they are known.
    pub via: Via,
}

/// How a caller is known.
#[derive(Debug, Clone)]
pub enum Via {
    /// By the admin socket: the owner of the data folder, or root.
    Socket,
    /// By a token.
    Token,
    /// Not by a request: doorward looks at what it tells them by itself.
    House,
    /// By a session, whose forms carry this CSRF token.
    Session {
        /// Must come back with every form and every request without a body.
        csrf: String,
    },
}

/// What the store keeps of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionData {
    pub(crate) csrf: String,
}

impl Caller {
    /// Asks for a scope.
    pub fn need(&self, scope: &Scope) -> ApiResult<()> {
        if self.has(scope) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!("this needs the scope {scope}")))
    }

    /// Asks for one of several scopes.
    pub fn need_any(&self, scopes: &[Scope]) -> ApiResult<()> {
        if scopes.iter().any(|scope| self.has(scope)) {
            return Ok(());
        }
        let words: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        Err(ApiError::Forbidden(format!("this needs one of the scopes {}", words.join(", "))))
    }

    /// Whether the caller has a scope.
    pub fn has(&self, scope: &Scope) -> bool {
        self.scopes.iter().any(|own| own == scope || *own == Scope::Admin)
    }

    /// The person for whom they act.
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref()
    }

    /// Somebody who is not an administrator, whatever their scopes say.
    pub fn is_limited(&self) -> bool {
        self.role.is_some_and(|role| role != Role::Administrator)
    }

    /// The CSRF token of the caller's forms; empty where none is needed.
    pub fn csrf(&self) -> &str {
        match &self.via {
            Via::Session { csrf } => csrf,
            Via::Socket | Via::Token | Via::House => "",
        }
    }

    /// Checks the CSRF token of a form, or of a request without a body.
    pub fn check_csrf(&self, given: &str) -> ApiResult<()> {
        match &self.via {
            Via::Session { csrf } if bool::from(csrf.as_bytes().ct_eq(given.as_bytes())) => Ok(()),
            Via::Session { .. } => Err(ApiError::Forbidden("this form is too old; reload the page and try again".into())),
            Via::Socket | Via::Token | Via::House => Ok(()),
        }
    }

    fn administrator(actor: Actor, via: Via) -> Self {
        Self { actor, rights: Rights::administrator(), scopes: vec![Scope::Admin], person: None, role: None, via }
    }

    pub(crate) async fn find(parts: &Parts, web: &Web) -> ApiResult<Option<Self>> {
        if let Some(ConnectInfo(Peer::Socket { .. })) = parts.extensions.get::<ConnectInfo<Peer>>() {
            let actor = Actor { kind: ActorKind::Admin, id: "socket".into(), name: None };
            return Ok(Some(Self::administrator(actor, Via::Socket)));
        }
        if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
            let secret = authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or(ApiError::NotAuthenticated)?;
            return Self::by_token(web, secret).await.map(Some);
        }
        match cookie(&parts.headers, COOKIE) {
            Some(secret) => Self::by_session(web, secret).await,
            None => Ok(None),
        }
    }

    async fn by_token(web: &Web, secret: &str) -> ApiResult<Self> {
        let token = web
            .house()
            .store()
            .find_token(&Secret::new(secret.to_owned()), web.house().now().utc)
            .await?
            .ok_or(ApiError::NotAuthenticated)?;
        let (rights, role) = rights_of_token(web, &token).await?;
        let limited = role.is_some_and(|role| role != Role::Administrator);
        let actor = Actor { kind: ActorKind::Token, id: token.id, name: Some(token.name) };
        let mut scopes = token.scopes;
        scopes.retain(|scope| !limited || is_for_everybody(scope));
        Ok(Self { actor, rights, scopes, person: token.person, role, via: Via::Token })
    }

    pub(crate) async fn by_session(web: &Web, secret: &str) -> ApiResult<Option<Self>> {
        let now = web.house().now().utc;
        let Some(session) = web.house().store().session(secret.as_bytes(), now).await? else { return Ok(None) };
        let Some(person) = session.person else { return Ok(None) };
        let Ok(SessionData { csrf }) = serde_json::from_slice(session.data.reveal()) else { return Ok(None) };
        Self::of_person(web, &person, Via::Session { csrf }).await
    }

    /// A person with what they may do now; `None` when they are erased.
    pub(crate) async fn of_person(web: &Web, id: &str, via: Via) -> ApiResult<Option<Self>> {
        let Some(person) = web.house().store().person(id).await? else { return Ok(None) };
        let rights = web.house().store().rights_of(&person).await?;
        let role = roles::role_of(&person);
        let actor = Actor { kind: ActorKind::Person, id: person.id.clone(), name: Some(person.name) };
        Ok(Some(Self { actor, rights, scopes: roles::scopes(role), person: Some(person.id), role: Some(role), via }))
    }
}

/// What a token may do at doors, and the role of its person: it does no more than they may.
pub(crate) async fn rights_of_token(web: &Web, token: &Token) -> ApiResult<(Rights, Option<Role>)> {
    let scopes = Scope::rights(&token.scopes);
    let Some(id) = &token.person else { return Ok((scopes, None)) };
    let person = web.house().store().person(id).await?.ok_or(ApiError::NotAuthenticated)?;
    let rights = web.house().store().rights_of(&person).await?.within(scopes);
    Ok((rights, Some(roles::role_of(&person))))
}

/// Scopes that a token of somebody may have who is not an administrator; the others are an administrator's to give.
fn is_for_everybody(scope: &Scope) -> bool {
    matches!(scope, Scope::DoorsRead | Scope::DoorsAct(_) | Scope::EventsRead)
}

impl FromRequestParts<Web> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, ApiError> {
        match Self::find(parts, web).await {
            Ok(Some(caller)) => Ok(caller),
            Ok(None) | Err(ApiError::NotAuthenticated) => {
                web.house().refused(Reason::NotAuthenticated, source(parts));
                Err(ApiError::NotAuthenticated)
            }
            Err(error) => Err(error),
        }
    }
}

impl OptionalFromRequestParts<Web> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Option<Self>, ApiError> {
        match Self::find(parts, web).await {
            Ok(caller) => Ok(caller),
            Err(ApiError::NotAuthenticated) => {
                // Wrong credentials are not the same as none.
                web.house().refused(Reason::NotAuthenticated, source(parts));
                Err(ApiError::NotAuthenticated)
            }
            Err(error) => Err(error),
        }
    }
}

/// The address that a request came from, as far as `guard` could tell.
pub(crate) fn source(parts: &Parts) -> Option<std::net::IpAddr> {
    parts.extensions.get::<crate::guard::Source>().and_then(|source| source.0)
}

/// One cookie of a request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

/// A fresh secret of 256 bits, as text.
pub(crate) fn fresh_secret() -> ApiResult<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| ApiError::Stopping)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
