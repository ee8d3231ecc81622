//! A vendor account as it is shown.

use crate::{Time, id::slug_id, words::words};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

slug_id! {
    /// An account's identifier: `[a-z0-9_]{1,40}`, made once, never changed.
    AccountId
}

words! {
    /// How an account stands with its vendor.
    pub enum AccountState {
        /// Nobody has signed in yet.
        New = "new",
        /// Signed in and working.
        Ready = "ready",
        /// The vendor cannot be reached just now.
        Offline = "offline",
        /// A person must sign in again.
        NeedsSignIn = "needs_sign_in",
        /// The vendor answers, but not as it should.
        Faulty = "faulty",
    }
}

words! {
    /// How a part of an account stands.
    pub enum StageState {
        /// Its turn has not come.
        Todo = "todo",
        /// It is under way.
        Doing = "doing",
        /// It is as it should be.
        Done = "done",
        /// It is not, and says why.
        Failed = "failed",
    }
}

/// One part of an account's set-up: sign-in, registration, certificate, connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// Which one: `registration`; with several of a kind, what it is about follows a colon.
    pub name: String,
    /// What people read.
    pub label: String,
    /// How it stands.
    pub state: StageState,
    /// More in words: what it is about, since when, what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether an account is signed in. One that needs a person may do so for another reason, such as a server that it does not
/// know; its stages tell that apart.
pub fn is_signed_in(state: AccountState, stages: &[Stage]) -> bool {
    match stages.iter().find(|stage| stage.name == "sign_in") {
        Some(sign_in) => sign_in.state == StageState::Done,
        None => !matches!(state, AccountState::New | AccountState::NeedsSignIn),
    }
}

/// A secret or registration that ends at a time and is renewed before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseView {
    /// Which of the account's leases.
    pub id: String,
    /// What it is: `oauth_token`, `client_certificate`, …
    pub kind: String,
    /// When it ends; `null` when the vendor did not say.
    pub not_after: Option<Time>,
    /// When doorward will renew it; `null` when that is switched off or a person is needed.
    pub renew_at: Option<Time>,
    /// When it was last renewed.
    pub renewed: Option<Time>,
    /// What went wrong at the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A vendor account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Identifier, never changed.
    pub id: AccountId,
    /// The driver that serves it: `utec`, …
    pub kind: String,
    /// The name that people gave it.
    pub name: String,
    /// How it stands with its vendor.
    pub state: AccountState,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What is renewed ahead of time.
    pub leases: Vec<LeaseView>,
    /// How far it is set up, and how well each part is; empty for a driver that has nothing to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// How many doors it brings.
    pub doors: usize,
    /// The driver's own settings; a secret is shown as `true` (set) or `false` (not set).
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Whether the vendor was given an address for pushes.
    #[serde(default)]
    pub push_registered: bool,
    /// When the vendor last sent a push; `null` when none came.
    pub last_push: Option<Time>,
    /// `config` when the account is set in the configuration file and cannot be changed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<String>,
}
