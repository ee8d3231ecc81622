//! Users of the MQTT broker: a name, a secret, and what they may publish and subscribe to.

use crate::{
    Store, StoreError,
    db::{Row, Value, args},
    dice,
    seal::same,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::Secret;
use doorward_wire::{
    Time,
    device::DeviceId,
    topic::{Filter, Rights},
};

/// A user of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttUser {
    /// The name with which it connects.
    pub name: String,
    /// What it may publish.
    pub publish: Rights,
    /// What it may subscribe to.
    pub subscribe: Rights,
    /// The one client identifier that it may use; any that nobody else has when absent.
    pub client_id: Option<String>,
    /// When it was added.
    pub created: Time,
    /// The device whose own user it is, with the rights of its role; none for people and programs.
    pub device: Option<DeviceId>,
}

impl MqttUser {
    /// The user of a device: it may do what its role names, under its own client identifier.
    pub fn of(device: DeviceId, name: &str, created: Time) -> Self {
        let role = device.role();
        let (publish, subscribe, client_id) = (role.publish, role.subscribe, Some(device.client_id()));
        Self { name: name.to_owned(), publish, subscribe, client_id, created, device: Some(device) }
    }
}

/// How a user shows who it is.
#[derive(Debug, Clone, Copy)]
pub enum MqttPassword<'a> {
    /// A secret that doorward made.
    Made(&'a Secret<String>),
    /// The Argon2id hash of a password that somebody chose.
    Chosen(&'a Secret<String>),
}

/// What became of a name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttLogin {
    /// No such user, or the secret is another one.
    Wrong,
    /// The user's secret.
    Right(MqttUser),
    /// The user's password was chosen: whoever asks must hold what was given against this hash.
    Compare(MqttUser, Secret<String>),
}

const SELECT: &str = "SELECT name, mac, publish_json, subscribe_json, client_id, created_at, password_hash FROM mqtt_users";

impl Store {
    /// A secret for a user, 192 bits.
    pub fn new_mqtt_secret(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(dice::bytes::<24>()))
    }

    /// Adds a user; `false` when the name is taken, by a device too.
    pub async fn add_mqtt_user(&self, user: &MqttUser, password: MqttPassword<'_>) -> Result<bool, StoreError> {
        let (mac, hash) = match password {
            MqttPassword::Made(secret) => (self.mqtt_code(secret.reveal().as_bytes()), None),
            // The code of something that nobody knows.
            MqttPassword::Chosen(hash) => (self.mqtt_code(&dice::bytes::<32>()), Some(hash.reveal().clone())),
        };
        let added = self
            .db()
            .execute(
                "INSERT INTO mqtt_users (name, mac, publish_json, subscribe_json, client_id, created_at, password_hash) \
                 SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (SELECT 1 FROM devices WHERE mqtt_user = $1) \
                 ON CONFLICT (name) DO NOTHING",
                args![&user.name, mac, written(&user.publish), written(&user.subscribe), user.client_id.as_ref(), user.created, hash],
            )
            .await?;
        Ok(added > 0)
    }

    /// Every user of people and programs, by name.
    pub async fn mqtt_users(&self) -> Result<Vec<MqttUser>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY name"), Vec::new()).await?.iter().map(read).collect()
    }

    /// Holds a name and a secret against the users, and against the devices.
    pub async fn mqtt_login(&self, name: &str, given: &[u8]) -> Result<MqttLogin, StoreError> {
        let Some(row) = self.db().one(format!("{SELECT} WHERE name = $1"), args![name]).await? else {
            let device = self.device_login(name, given).await?;
            return Ok(device.map_or(MqttLogin::Wrong, |(device, created)| MqttLogin::Right(MqttUser::of(device, name, created))));
        };
        if let Some(hash) = row.get::<Option<String>>("password_hash")? {
            return Ok(MqttLogin::Compare(read(&row)?, Secret::new(hash)));
        }
        let right = same(&row.get::<Vec<u8>>("mac")?, &self.mqtt_code(given));
        if right { Ok(MqttLogin::Right(read(&row)?)) } else { Ok(MqttLogin::Wrong) }
    }

    /// Whose each client identifier is.
    pub async fn mqtt_clients(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.db().all("SELECT client_id, user_name FROM mqtt_clients", Vec::new()).await?;
        rows.iter().map(|row| Ok((row.get("client_id")?, row.get("user_name")?))).collect()
    }

    /// Notes that a user connects with a client identifier; `false` when it is somebody else's.
    pub async fn own_mqtt_client(&self, client: &str, user: &str, now: Time) -> Result<bool, StoreError> {
        let sql = "INSERT INTO mqtt_clients (client_id, user_name, seen_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (client_id) DO UPDATE SET seen_at = excluded.seen_at WHERE mqtt_clients.user_name = excluded.user_name";
        Ok(self.db().execute(sql, args![client, user, now]).await? > 0)
    }

    /// Forgets client identifiers that were last seen before this time.
    pub async fn forget_mqtt_clients(&self, before: Time) -> Result<u64, StoreError> {
        self.db().execute("DELETE FROM mqtt_clients WHERE seen_at < $1", args![before]).await
    }

    /// Replaces what a user may do; `false` when there is no such user.
    pub async fn update_mqtt_user(&self, user: &MqttUser) -> Result<bool, StoreError> {
        let sql = "UPDATE mqtt_users SET publish_json = $2, subscribe_json = $3, client_id = $4 WHERE name = $1";
        let args: Vec<Value> = args![&user.name, written(&user.publish), written(&user.subscribe), user.client_id.as_ref()];
        Ok(self.db().execute(sql, args).await? > 0)
    }

    /// Removes a user; `false` when there is none.
    pub async fn remove_mqtt_user(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM mqtt_users WHERE name = $1", args![name]).await? > 0)
    }

    /// Stands for a name where it may be seen by others: always the same, and nobody can tell the name from it.
    pub fn alias(&self, purpose: &str, name: &str) -> String {
        let code = self.keys().code(&format!("alias {purpose}"), name.as_bytes());
        URL_SAFE_NO_PAD.encode(code.get(..12).unwrap_or_default())
    }

    /// A code of a text that only this house can make, in base64url.
    pub fn code_of(&self, purpose: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.keys().code(purpose, text.as_bytes()))
    }

    fn mqtt_code(&self, secret: &[u8]) -> Vec<u8> {
        self.keys().code("mqtt", secret)
    }
}

fn written(rights: &Rights) -> String {
    let filters: Vec<&str> = rights.filters().iter().map(Filter::as_str).collect();
    serde_json::json!(filters).to_string()
}

fn read(row: &Row) -> Result<MqttUser, StoreError> {
    let rights = |column: &str| -> Result<Rights, StoreError> {
        let filters: Vec<String> = row.json(column)?;
        // A filter that this version does not take gives nothing.
        Ok(Rights::new(filters.iter().filter_map(|filter| filter.parse().ok()).collect()))
    };
    Ok(MqttUser {
        name: row.get("name")?,
        publish: rights("publish_json")?,
        subscribe: rights("subscribe_json")?,
        client_id: row.get("client_id")?,
        created: row.time("created_at")?,
        device: None,
    })
}
