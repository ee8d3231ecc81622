//! People. Their names stand here alone: events and attempts name them by an identifier without meaning, so that a
//! person can be erased.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use doorward_core::Secret;
use doorward_wire::Time;

const SELECT: &str =
    "SELECT id, name, role, CAST(CASE WHEN password_hash IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_password, created_at FROM people";

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Identifier: a UUID.
    pub id: String,
    /// The name, for people.
    pub name: String,
    /// The role, such as `administrator`.
    pub role: String,
    /// Whether a password is set.
    pub has_password: bool,
    /// When the person was added.
    pub created: Time,
}

impl Store {
    /// Adds a person.
    pub async fn add_person(&self, name: &str, role: &str, now: Time) -> Result<Person, StoreError> {
        let id = dice::uuid().to_string();
        let sql = "INSERT INTO people (id, name, role, created_at) VALUES ($1, $2, $3, $4)";
        self.db().execute(sql, args![&id, name, role, now]).await?;
        Ok(Person { id, name: name.into(), role: role.into(), has_password: false, created: now })
    }

    /// Everybody, in the order in which they were added.
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY created_at, id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// One person.
    pub async fn person(&self, id: &str) -> Result<Option<Person>, StoreError> {
        self.db().one(format!("{SELECT} WHERE id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// Changes name and role; `false` when there is no such person.
    pub async fn update_person(&self, id: &str, name: &str, role: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("UPDATE people SET name = $2, role = $3 WHERE id = $1", args![id, name, role]).await? > 0)
    }

    /// The Argon2id hash of a person's password.
    pub async fn password_hash(&self, id: &str) -> Result<Option<Secret<String>>, StoreError> {
        let row = self.db().one("SELECT password_hash FROM people WHERE id = $1", args![id]).await?;
        Ok(row.map(|row| row.get::<Option<String>>("password_hash")).transpose()?.flatten().map(Secret::new))
    }

    /// Sets or removes a person's password; `false` when there is no such person.
    pub async fn set_password_hash(&self, id: &str, hash: Option<&Secret<String>>) -> Result<bool, StoreError> {
        let hash = hash.map(|hash| hash.reveal().as_str());
        Ok(self.db().execute("UPDATE people SET password_hash = $2 WHERE id = $1", args![id, hash]).await? > 0)
    }

    /// Erases a person with sessions, links and tokens; `false` when there is no such person. Events and attempts keep
    /// the identifier, which then means nobody.
    pub async fn remove_person(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM people WHERE id = $1", args![id]).await? > 0)
    }
}

fn read(row: &Row) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.get("role")?,
        has_password: row.switch("has_password")?,
        created: row.time("created_at")?,
    })
}
