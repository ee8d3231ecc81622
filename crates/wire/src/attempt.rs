//! What became of a command.

use crate::{
    Time,
    door::{DoorId, Evidence},
    words::words,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// An attempt's identifier: chosen by the caller, or made by doorward.
pub type AttemptId = uuid::Uuid;

words! {
    /// What a person or program may ask of a door.
    pub enum ActionWord {
        /// Open for a moment.
        Open = "open",
        /// Throw the bolt.
        Lock = "lock",
        /// Draw the bolt.
        Unlock = "unlock",
        /// Ask for the state.
        Refresh = "refresh",
    }
}

impl ActionWord {
    /// Whether the action lets somebody in, and so happens at most once.
    pub const fn opens(self) -> bool {
        matches!(self, Self::Open | Self::Unlock)
    }
}

words! {
    /// Where an attempt stands. Only `pending` is not an end.
    pub enum AttemptState {
        /// Not decided yet.
        Pending = "pending",
        /// Somebody saw the door do it.
        Confirmed = "confirmed",
        /// Nobody saw what the door did.
        Unconfirmed = "unconfirmed",
        /// The door was seen to do the opposite.
        Contradicted = "contradicted",
        /// doorward or the vendor said no; nothing was done.
        Refused = "refused",
        /// It could not be done.
        Failed = "failed",
    }
}

impl AttemptState {
    /// Whether the attempt has ended.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending)
    }
}

words! {
    /// Why something was refused, failed, or ended without a witness.
    pub enum Reason {
        /// Nobody gave the right.
        NoGrant = "no_grant",
        /// The right has ended.
        Expired = "expired",
        /// The right has not begun.
        NotYet = "not_yet",
        /// The right does not hold at this hour.
        OutOfHours = "out_of_hours",
        /// The right was used as often as it may be.
        UsesExhausted = "uses_exhausted",
        /// The right was taken back.
        Revoked = "revoked",
        /// Seen before.
        Replay = "replay",
        /// The radio signal was too weak to be at the door.
        WeakSignal = "weak_signal",
        /// The code was wrong.
        WrongCode = "wrong_code",
        /// Too many tries.
        RateLimited = "rate_limited",
        /// The door is in a mode that forbids it.
        DoorMode = "door_mode",
        /// A second person must agree.
        NeedsSecondPerson = "needs_second_person",
        /// The command came, or waited, too long.
        StaleCommand = "stale_command",
        /// The door or its cloud cannot be reached.
        Offline = "offline",
        /// It could not be written down, so it was not done.
        AuditUnavailable = "audit_unavailable",
        /// The time is not known.
        NoClock = "no_clock",
        /// A signature does not fit.
        BadSignature = "bad_signature",
        /// The key is not known here.
        NotEnrolled = "not_enrolled",
        /// The account must be signed in again by a person.
        NeedsSignIn = "needs_sign_in",
        /// The vendor said no.
        VendorRefused = "vendor_refused",
        /// The vendor answered something that doorward does not understand.
        Protocol = "protocol",
        /// It was sent, and nobody knows what came of it.
        OutcomeUnknown = "outcome_unknown",
        /// The bolt is stuck.
        Jammed = "jammed",
        /// A newer command was sent before anybody saw what this one did.
        Superseded = "superseded",
        /// Nobody saw what the door did.
        NoEvidence = "no_evidence",
        /// The door was seen to do the opposite.
        Contradicted = "contradicted",
        /// The door cannot do this.
        NotCapable = "not_capable",
        /// Too many commands wait at this door.
        Busy = "busy",
        /// Another copy of doorward owns this account.
        NotOwner = "not_owner",
        /// No credentials, or wrong ones.
        NotAuthenticated = "not_authenticated",
        /// The request came from a foreign page or under a foreign name.
        ForeignOrigin = "foreign_origin",
        /// The request was malformed.
        BadRequest = "bad_request",
    }
}

words! {
    /// Who is behind a command.
    pub enum ActorKind {
        /// A person who signed in.
        Person = "person",
        /// A program with an API token.
        Token = "token",
        /// The owner of the data folder, through the admin socket.
        Admin = "admin",
        /// A client of the local API in a trusted network.
        Local = "local",
        /// An MQTT user.
        Mqtt = "mqtt",
        /// A key of the tunnel.
        Tunnel = "tunnel",
        /// A pass held by a guest.
        Pass = "pass",
        /// A vendor's account or device, by itself or by hand.
        Device = "device",
        /// doorward itself: `auto_lock`, start-up.
        System = "system",
    }
}

/// Who did it, as it is shown. The name stands outside the audit chain, so that a person can be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Identifier, without meaning to others.
    pub id: String,
    /// The name of a person or token, while it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One command and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// The command's identifier; the same one again returns the same attempt.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub id: AttemptId,
    /// The door that was asked.
    pub door: DoorId,
    /// What was asked of it.
    pub action: ActionWord,
    /// Where it stands.
    pub state: AttemptState,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// What was seen since, oldest first.
    pub evidence: Vec<Evidence>,
    /// When it was accepted.
    pub created: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

impl Attempt {
    /// Whether the other one asks the same of the same door.
    pub fn same_as(&self, other: &Self) -> bool {
        self.door == other.door && self.action == other.action
    }

    /// Adds what was seen. Of the same thing seen again and again the first and the last time are kept, so that an
    /// attempt stays short however often its door is looked at.
    pub fn add(&mut self, evidence: Evidence) {
        let same = |seen: &Evidence| (seen.kind, seen.state) == (evidence.kind, evidence.state);
        match self.evidence.as_mut_slice() {
            [.., before, last] if same(before) && same(last) => *last = evidence,
            _ => self.evidence.push(evidence),
        }
    }
}
