//! Keys of the tunnel: a secret that a phone shares with the house, and what it may be used for.

use crate::{
    Store, StoreError,
    db::{Db, Row, args},
    dice,
};
use doorward_core::Secret;
use doorward_wire::{Time, tunnel::Scopes};

/// Keys at most: each message that comes in is tried with every one of them.
const MOST: i64 = 64;

/// A secret of the tunnel: a key for AES-256.
pub type TunnelSecret = Secret<[u8; 32]>;

/// A key of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelKey {
    /// Its name: a phone, a person.
    pub name: String,
    /// Whose it is; it goes with them.
    pub person: Option<String>,
    /// What messages are sealed with.
    pub secret: TunnelSecret,
    /// The secret before, and until when it still opens messages.
    pub previous: Option<(TunnelSecret, Time)>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it was added.
    pub created: Time,
    /// When it was last used.
    pub used: Option<Time>,
    /// What clients made until then is not taken after a start.
    pub accepted_until: Time,
    /// Messages that were sealed with it, at most.
    pub seals: i64,
}

/// What came of adding a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedTunnelKey {
    /// It is there.
    Added,
    /// Somebody has this name, or this secret.
    Taken,
    /// There are as many as there may be.
    TooMany,
}

const SELECT: &str =
    "SELECT name, person, sealed, previous, previous_until, scopes_json, created_at, used_at, accepted_until, seals FROM tunnel_keys";

impl Store {
    /// A secret for a key.
    pub fn new_tunnel_secret(&self) -> TunnelSecret {
        Secret::new(dice::bytes())
    }

    /// Adds a key.
    pub async fn add_tunnel_key(
        &self,
        name: &str,
        person: Option<&str>,
        secret: &TunnelSecret,
        scopes: &Scopes,
        now: Time,
    ) -> Result<AddedTunnelKey, StoreError> {
        let mut tx = self.db().write().await?;
        let count = tx.one("SELECT COUNT(*) AS keys FROM tunnel_keys", Vec::new()).await?;
        if count.map_or(Ok(0), |row| row.get::<i64>("keys"))? >= MOST {
            return Ok(AddedTunnelKey::TooMany);
        }
        let sql = "INSERT INTO tunnel_keys (name, person, mac, sealed, scopes_json, created_at, accepted_until, seals) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT DO NOTHING";
        let sealed = self.keys().seal(&place(name), secret.reveal());
        let args = args![name, person, self.tunnel_code(secret), sealed, json(scopes)?, now, Time::from_micros(0)];
        let added = tx.execute(sql, args).await? > 0;
        tx.commit().await?;
        Ok(if added { AddedTunnelKey::Added } else { AddedTunnelKey::Taken })
    }

    /// Every key, by name.
    pub async fn tunnel_keys(&self) -> Result<Vec<TunnelKey>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY name"), Vec::new()).await?.iter().map(|row| self.read_tunnel_key(row)).collect()
    }

    /// One key.
    pub async fn tunnel_key(&self, name: &str) -> Result<Option<TunnelKey>, StoreError> {
        let row = self.db().one(format!("{SELECT} WHERE name = $1"), args![name]).await?;
        row.map(|row| self.read_tunnel_key(&row)).transpose()
    }

    /// Gives a key another secret. The one that it has still opens messages until this time; `false` when there is no such
    /// key.
    pub async fn rotate_tunnel_key(&self, name: &str, secret: &TunnelSecret, until: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE tunnel_keys SET previous = sealed, previous_until = $2, sealed = $3, mac = $4, seals = 0 WHERE name = $1";
        let sealed = self.keys().seal(&place(name), secret.reveal());
        Ok(self.db().execute(sql, args![name, until, sealed, self.tunnel_code(secret)]).await? > 0)
    }

    /// Changes what a key may be used for; `false` when there is no such key.
    pub async fn scope_tunnel_key(&self, name: &str, scopes: &Scopes) -> Result<bool, StoreError> {
        Ok(self.db().execute("UPDATE tunnel_keys SET scopes_json = $2 WHERE name = $1", args![name, json(scopes)?]).await? > 0)
    }

    /// Notes ahead how far a key will get: what it takes, and how much is sealed with it.
    pub async fn advance_tunnel_key(&self, name: &str, accepted_until: Time, seals: i64, used: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE tunnel_keys SET accepted_until = $2, seals = $3, used_at = $4 WHERE name = $1 AND accepted_until <= $2";
        Ok(self.db().execute(sql, args![name, accepted_until, seals, used]).await? > 0)
    }

    /// Whether several copies of doorward may use this store at once, so that what one of them took the others must know.
    pub fn is_shared(&self) -> bool {
        matches!(self.db(), Db::Pg(_))
    }

    /// Notes that a nonce was used; `false` when it had been. It is kept until this time.
    pub async fn take_tunnel_nonce(&self, key: &str, nonce: &[u8], until: Time) -> Result<bool, StoreError> {
        let sql = "INSERT INTO tunnel_nonces (key, nonce, kept_until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        Ok(self.db().execute(sql, args![key, nonce.to_vec(), until]).await? > 0)
    }

    /// Forgets nonces that were kept until now.
    pub async fn purge_tunnel_nonces(&self, now: Time) -> Result<(), StoreError> {
        self.db().execute("DELETE FROM tunnel_nonces WHERE kept_until < $1", args![now]).await.map(|_| ())
    }

    /// Removes a key; `false` when there is none.
    pub async fn remove_tunnel_key(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM tunnel_keys WHERE name = $1", args![name]).await? > 0)
    }

    fn read_tunnel_key(&self, row: &Row) -> Result<TunnelKey, StoreError> {
        let name: String = row.get("name")?;
        let open = |sealed: Vec<u8>| -> Result<TunnelSecret, StoreError> {
            let plain = self.keys().open(&place(&name), &sealed)?;
            let bytes: [u8; 32] = plain.reveal().as_slice().try_into().map_err(|_| StoreError::corrupt(format!("tunnel key {name}")))?;
            Ok(Secret::new(bytes))
        };
        let until = row.get::<Option<i64>>("previous_until")?.map(Time::from_micros);
        Ok(TunnelKey {
            person: row.get("person")?,
            secret: open(row.get("sealed")?)?,
            previous: row.get::<Option<Vec<u8>>>("previous")?.map(open).transpose()?.zip(until),
            scopes: row.json("scopes_json")?,
            created: row.time("created_at")?,
            used: row.get::<Option<i64>>("used_at")?.map(Time::from_micros),
            accepted_until: row.time("accepted_until")?,
            seals: row.get("seals")?,
            name,
        })
    }

    /// Finds a secret that is there already without opening the others.
    fn tunnel_code(&self, secret: &TunnelSecret) -> Vec<u8> {
        self.keys().code("tunnel", secret.reveal())
    }
}

fn json(scopes: &Scopes) -> Result<String, StoreError> {
    serde_json::to_string(scopes).map_err(|error| StoreError::Bug(format!("scopes: {error}")))
}

fn place(name: &str) -> String {
    format!("tunnel_keys|{name}|secret")
}
