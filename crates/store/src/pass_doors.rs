//! What became of passes at their doors: what each lock keeps for one, or should not keep any more.

use crate::{
    Store, StoreError,
    db::{Row, args},
};
use doorward_core::Secret;
use doorward_wire::{
    Time,
    door::DoorId,
    grant::{Means, PassDoorState},
};

const SELECT: &str = "SELECT pass, door, means, state, detail, external, sealed, wish, tries, next_at, changed_at FROM pass_doors";

/// A pass at one of its doors, by one means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassDoor {
    /// The pass.
    pub pass: String,
    /// The door.
    pub door: DoorId,
    /// By which means.
    pub means: Means,
    /// How it stands.
    pub state: PassDoorState,
    /// Why, for people.
    pub detail: Option<String>,
    /// The lock's own identifier of what it keeps.
    pub external: Option<String>,
    /// The code that the guest types in.
    pub pin: Option<Secret<String>>,
    /// What was asked of the lock, to tell a change.
    pub wish: String,
    /// How often it was tried in vain.
    pub tries: u32,
    /// When it is looked at again.
    pub next: Option<Time>,
    /// When it changed.
    pub changed: Time,
}

impl Store {
    /// What became of passes at doors: of one, or of all.
    pub async fn pass_doors(&self, pass: Option<&str>) -> Result<Vec<PassDoor>, StoreError> {
        let sql = format!("{SELECT} WHERE $1 IS NULL OR pass = $1 ORDER BY pass, door, means");
        self.db().all(sql, args![pass]).await?.iter().map(|row| self.read_pass_door(row)).collect()
    }

    /// Writes how a pass stands at a door; nothing when the pass is gone.
    pub async fn put_pass_door(&self, row: &PassDoor) -> Result<(), StoreError> {
        let sql = "INSERT INTO pass_doors (pass, door, means, state, detail, external, sealed, wish, tries, next_at, changed_at) \
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE EXISTS (SELECT 1 FROM passes WHERE id = $1) \
                   ON CONFLICT (pass, door, means) DO UPDATE SET state = excluded.state, detail = excluded.detail, external = excluded.external, \
                   sealed = excluded.sealed, wish = excluded.wish, tries = excluded.tries, next_at = excluded.next_at, \
                   changed_at = excluded.changed_at";
        let sealed = row.pin.as_ref().map(|pin| self.keys().seal(&place(row), pin.reveal().as_bytes()));
        let args = args![
            &row.pass,
            &row.door,
            row.means.as_str(),
            row.state.as_str(),
            row.detail.as_ref(),
            row.external.as_ref(),
            sealed,
            &row.wish,
            i64::from(row.tries),
            row.next,
            row.changed,
        ];
        self.db().execute(sql, args).await.map(drop)
    }

    /// Forgets a pass at a door.
    pub async fn remove_pass_door(&self, row: &PassDoor) -> Result<(), StoreError> {
        let sql = "DELETE FROM pass_doors WHERE pass = $1 AND door = $2 AND means = $3";
        self.db().execute(sql, args![&row.pass, &row.door, row.means.as_str()]).await.map(drop)
    }

    fn read_pass_door(&self, row: &Row) -> Result<PassDoor, StoreError> {
        let mut found = PassDoor {
            pass: row.get("pass")?,
            door: row.parse("door")?,
            means: row.parse("means")?,
            state: row.parse("state")?,
            detail: row.get("detail")?,
            external: row.get("external")?,
            pin: None,
            wish: row.get("wish")?,
            tries: u32::try_from(row.get::<i64>("tries")?).unwrap_or(u32::MAX),
            next: row.time_option("next_at")?,
            changed: row.time("changed_at")?,
        };
        if let Some(sealed) = row.get::<Option<Vec<u8>>>("sealed")? {
            let plain = self.keys().open(&place(&found), &sealed)?;
            let pin =
                String::from_utf8(plain.reveal().clone()).map_err(|_| StoreError::corrupt(format!("a code of pass {}", found.pass)))?;
            found.pin = Some(Secret::new(pin));
        }
        Ok(found)
    }
}

fn place(row: &PassDoor) -> String {
    format!("pass_doors|{}|{}|{}", row.pass, row.door, row.means)
}
