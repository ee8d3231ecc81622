//! Which tables a backup carries, in an order in which they can be filled again.
//!
//! Not carried: `sessions`, `links` and `device_claims`. They would bring back what was signed out or used up since. `push_subscriptions`
//! belong to sessions. `phone_invites`, `ble_sessions` and `ble_revoked` live for minutes. `mqtt_clients` goes with the sessions that the broker keeps, which are a folder of their own.
//!
//! Carried: `passkeys` and `second_factors` with their recovery codes, so that everybody finds their way in again. A recovery
//! code that was used up after the backup was made works once more in a restored house.
//!
//! Carried: `webhook_deliveries`. A house that moves to another machine or database must lose no message. What was
//! delivered after the backup was made comes once more, under the identifier by which receivers know it.

use crate::{
    StoreError,
    db::{Row, Value},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// One table as a backup names it, before its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Table {
    #[serde(rename = "table")]
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
}

/// The three types that both databases share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Int,
    Text,
    Blob,
}

/// `meta` goes without what a migration writes there itself.
pub(super) const META: &str = "WHERE key NOT LIKE 'schema%'";

/// Every table of the newest schema that is carried.
pub(super) fn all() -> Vec<Table> {
    [
        ("meta", "key value"),
        ("settings", "key value_json"),
        ("sites", "id name time_zone holidays_json"),
        ("accounts", "id kind name values_json managed:i created_at:i"),
        ("kept", "account key sealed:b"),
        ("doors", "id account external name site kind capabilities settings_json managed:i last_state last_online:i last_battery_low:i created_at:i"),
        ("owners", "account owner owner_epoch:i renewed_at:i"),
        (
            "attempts",
            "id door account action actor_kind actor_id state reason detail evidence_json not_after:i owner_epoch:i acted_at:i \
             created_at:i finished_at:i grant_id",
        ),
        ("rings", "id door account caller state began_at:i ended_at:i actor_kind actor_id attempt"),
        ("events", "seq:i time:i kind door account device actor_kind actor_id reason attempt data_json hash:b"),
        ("chain", "id:i seq:i hash:b mac:b"),
        ("checkpoints", "seq:i hash:b time:i mac:b"),
        ("people", "id name role password_hash created_at:i"),
        ("user_handles", "person handle:b"),
        (
            "passkeys",
            "id credential:b person name rp_id alg:i public_key:b signatures:i backup_eligible:i backed_up:i transports created_at:i \
             used_at:i",
        ),
        ("second_factors", "person sealed:b last_step:i wrong:i not_until:i created_at:i confirmed_at:i"),
        ("recovery_codes", "mac:b person used_at:i"),
        ("groups", "id name created_at:i"),
        ("group_members", "grp person"),
        ("passes", "id name mac:b sealed:b pin_mac:b pin_wrong:i pin_not_until:i made_by_kind made_by within created_at:i seen_at:i"),
        ("grants", "id person grp pass doors_json actions terms_json uses:i used:i created_at:i used_at:i revoked_at:i"),
        ("phone_keys", "fingerprint person pass name public:b created_at:i used_at:i"),
        ("pass_doors", "pass door means state detail external sealed:b wish tries:i next_at:i changed_at:i"),
        ("mqtt_users", "name mac:b publish_json subscribe_json client_id created_at:i password_hash"),
        (
            "devices",
            "id mac name hardware mqtt_user sealed:b password_mac:b token_mac:b epoch:i broker broker_error created_at:i revoked_at:i",
        ),
        ("device_states", "device firmware seen_at:i online:i uptime:i free_heap:i wifi_rssi:i"),
        ("firmware", "hardware version min_version channel notes size:i hash signature created_at:i"),
        ("firmware_chunks", "hardware version number:i bytes:b"),
        ("rollouts", "id hardware version plan_json state detail grp:i created_at:i changed_at:i"),
        ("rollout_devices", "rollout device bucket:i grp:i state before tries:i not_before:i error changed_at:i"),
        ("device_offers", "device hardware version state progress:i error fetched:i tries:i offered_at:i changed_at:i"),
        (
            "tunnel_keys",
            "name person mac:b sealed:b previous:b previous_until:i scopes_json created_at:i used_at:i accepted_until:i seals:i",
        ),
        (
            "webhooks",
            "id name url kinds_json doors_json allow_private:i disabled sealed:b previous_sealed:b previous_until:i seen_seq:i created_at:i",
        ),
        (
            "webhook_deliveries",
            "message webhook seq:i state attempts:i next_at:i status:i error created_at:i tried_at:i finished_at:i",
        ),
        ("tokens", "id person name mac:b scopes created_at:i expires_at:i last_used_at:i"),
    ]
    .map(|(name, columns)| Table { name: name.into(), columns: columns.split_whitespace().map(column).collect() })
    .into()
}

fn column(word: &str) -> (String, Kind) {
    match word.split_once(':') {
        Some((name, "i")) => (name.into(), Kind::Int),
        Some((name, _)) => (name.into(), Kind::Blob),
        None => (word.into(), Kind::Text),
    }
}

impl Table {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Names go into statements: nothing but a plain name will do, wherever it comes from.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        plain(&self.name) && !self.columns.is_empty() && self.columns.iter().all(|(name, _)| plain(name))
    }

    /// A row for the backup.
    pub(super) fn write(&self, row: &Row) -> Result<Json, StoreError> {
        let value = |(name, kind): &(String, Kind)| {
            Ok(match kind {
                Kind::Int => json!(row.get::<Option<i64>>(name)?),
                Kind::Text => json!(row.get::<Option<String>>(name)?),
                Kind::Blob => json!(row.get::<Option<Vec<u8>>>(name)?.map(|blob| STANDARD.encode(blob))),
            })
        };
        self.columns.iter().map(value).collect()
    }

    /// A row from the backup; `None` when it does not fit the columns.
    pub(super) fn read(&self, row: Vec<Json>) -> Option<Vec<Value>> {
        if row.len() != self.columns.len() {
            return None;
        }
        let value = |((_, kind), json): (&(String, Kind), Json)| {
            let there = !json.is_null();
            Some(match kind {
                Kind::Int => Value::Int(if there { Some(json.as_i64()?) } else { None }),
                Kind::Text => Value::Text(if there { Some(json.as_str()?.into()) } else { None }),
                Kind::Blob => Value::Blob(if there { Some(STANDARD.decode(json.as_str()?).ok()?) } else { None }),
            })
        };
        self.columns.iter().zip(row).map(value).collect()
    }
}
