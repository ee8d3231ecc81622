//! Passkeys: the public halves of keys that authenticators keep, and how each person is known to those.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use doorward_wire::Time;

/// Passkeys of one person: one for each device that they have, and some more.
const MOST: i64 = 20;

const SELECT: &str = "SELECT passkeys.id AS id, credential, passkeys.person AS person, name, rp_id, alg, public_key, signatures, \
                      backup_eligible, backed_up, transports, created_at, used_at";

/// A passkey as it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPasskey {
    /// What the authenticator calls it.
    pub credential: Vec<u8>,
    /// Whose it is.
    pub person: String,
    /// Its name, for people.
    pub name: String,
    /// The name of doorward that it works at.
    pub rp_id: String,
    /// How it signs: a number of the COSE registry.
    pub alg: i64,
    /// Its public key, as whoever verifies takes it.
    pub key: Vec<u8>,
    /// How many signatures it says it made.
    pub signatures: u32,
    /// Whether it may be copied to other devices of its owner.
    pub backup_eligible: bool,
    /// Whether it is.
    pub backed_up: bool,
    /// By which ways browsers reach its authenticator.
    pub transports: Vec<String>,
}

/// A passkey as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPasskey {
    /// Identifier: a UUID.
    pub id: String,
    /// What was added, with the counter of the last signature.
    pub key: NewPasskey,
    /// When it was added.
    pub created: Time,
    /// When somebody last signed in with it.
    pub used: Option<Time>,
}

/// What came of adding one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedPasskey {
    /// It is there, with this identifier.
    Added(String),
    /// Somebody has it already.
    Known,
    /// The person has as many as there may be.
    TooMany,
}

impl Store {
    /// How a person is known to authenticators: 32 random bytes, the same for all of theirs. `None` when there is no such person.
    pub async fn user_handle(&self, person: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "INSERT INTO user_handles (person, handle) SELECT $1, $2 WHERE EXISTS (SELECT 1 FROM people WHERE id = $1) \
                   ON CONFLICT (person) DO NOTHING";
        self.db().execute(sql, args![person, dice::bytes::<32>()]).await?;
        let row = self.db().one("SELECT handle FROM user_handles WHERE person = $1", args![person]).await?;
        row.map(|row| row.get("handle")).transpose()
    }

    /// Adds a passkey, unless anybody has it.
    pub async fn add_passkey(&self, new: &NewPasskey, now: Time) -> Result<AddedPasskey, StoreError> {
        let mut tx = self.db().write().await?;
        let count = tx.one("SELECT COUNT(*) AS passkeys FROM passkeys WHERE person = $1", args![&new.person]).await?;
        if count.map_or(Ok(0), |row| row.get::<i64>("passkeys"))? >= MOST {
            return Ok(AddedPasskey::TooMany);
        }
        let id = dice::uuid().to_string();
        let sql = "INSERT INTO passkeys (id, credential, person, name, rp_id, alg, public_key, signatures, backup_eligible, backed_up, \
                   transports, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (credential) DO NOTHING";
        let values = args![
            &id,
            new.credential.as_slice(),
            &new.person,
            &new.name,
            &new.rp_id,
            new.alg,
            new.key.as_slice(),
            i64::from(new.signatures),
            new.backup_eligible,
            new.backed_up,
            new.transports.join(" "),
            now
        ];
        if tx.execute(sql, values).await? == 0 {
            return Ok(AddedPasskey::Known);
        }
        tx.commit().await?;
        Ok(AddedPasskey::Added(id))
    }

    /// The passkeys of a person, in the order in which they were added.
    pub async fn passkeys(&self, person: &str) -> Result<Vec<StoredPasskey>, StoreError> {
        let sql = format!("{SELECT} FROM passkeys WHERE person = $1 ORDER BY created_at, id");
        self.db().all(sql, args![person]).await?.iter().map(read).collect()
    }

    /// A passkey by what its authenticator calls it, with the handle of its owner.
    pub async fn find_passkey(&self, credential: &[u8]) -> Result<Option<(StoredPasskey, Vec<u8>)>, StoreError> {
        let sql =
            format!("{SELECT}, handle FROM passkeys JOIN user_handles ON user_handles.person = passkeys.person WHERE credential = $1");
        let row = self.db().one(sql, args![credential]).await?;
        row.map(|row| Ok((read(&row)?, row.get("handle")?))).transpose()
    }

    /// Notes a signature of a passkey; `false` when it was removed or made another one meanwhile.
    pub async fn use_passkey(&self, before: &StoredPasskey, signatures: u32, backed_up: bool, now: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE passkeys SET signatures = $3, backed_up = $4, used_at = $5 WHERE id = $1 AND signatures = $2";
        let values = args![&before.id, i64::from(before.key.signatures), i64::from(signatures), backed_up, now];
        Ok(self.db().execute(sql, values).await? > 0)
    }

    /// Gives a passkey of a person another name; `false` when they have none with this identifier.
    pub async fn rename_passkey(&self, person: &str, id: &str, name: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("UPDATE passkeys SET name = $3 WHERE person = $1 AND id = $2", args![person, id, name]).await? > 0)
    }

    /// Removes a passkey of a person; `false` when they have none with this identifier.
    pub async fn remove_passkey(&self, person: &str, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM passkeys WHERE person = $1 AND id = $2", args![person, id]).await? > 0)
    }
}

fn read(row: &Row) -> Result<StoredPasskey, StoreError> {
    let signatures: i64 = row.get("signatures")?;
    Ok(StoredPasskey {
        id: row.get("id")?,
        key: NewPasskey {
            credential: row.get("credential")?,
            person: row.get("person")?,
            name: row.get("name")?,
            rp_id: row.get("rp_id")?,
            alg: row.get("alg")?,
            key: row.get("public_key")?,
            signatures: u32::try_from(signatures).map_err(|_| StoreError::corrupt(format!("passkeys.signatures holds {signatures}")))?,
            backup_eligible: row.switch("backup_eligible")?,
            backed_up: row.switch("backed_up")?,
            transports: row.get::<String>("transports")?.split_whitespace().map(ToOwned::to_owned).collect(),
        },
        created: row.time("created_at")?,
        used: row.time_option("used_at")?,
    })
}
