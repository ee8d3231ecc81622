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
}

const SELECT: &str = "SELECT name, mac, publish_json, subscribe_json, client_id, created_at FROM mqtt_users";

impl Store {
    /// Adds a user. Its secret (192 bits) is shown here and never again; `None` when the name is taken.
    pub async fn add_mqtt_user(&self, user: &MqttUser) -> Result<Option<Secret<String>>, StoreError> {
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(dice::bytes::<24>()));
        let added = self
            .db()
            .execute(
                "INSERT INTO mqtt_users (name, mac, publish_json, subscribe_json, client_id, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (name) DO NOTHING",
                args![
                    &user.name,
                    self.mqtt_code(secret.reveal().as_bytes()),
                    written(&user.publish),
                    written(&user.subscribe),
                    user.client_id.as_ref(),
                    user.created,
                ],
            )
            .await?;
        Ok((added > 0).then_some(secret))
    }

    /// Every user, by name.
    pub async fn mqtt_users(&self) -> Result<Vec<MqttUser>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY name"), Vec::new()).await?.iter().map(read).collect()
    }

    /// The user of this name, if the secret is theirs.
    pub async fn find_mqtt_user(&self, name: &str, given: &[u8]) -> Result<Option<MqttUser>, StoreError> {
        let Some(row) = self.db().one(format!("{SELECT} WHERE name = $1"), args![name]).await? else { return Ok(None) };
        let right = same(&row.get::<Vec<u8>>("mac")?, &self.mqtt_code(given));
        right.then(|| read(&row)).transpose()
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
    })
}
