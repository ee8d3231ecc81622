//! Rights to open, of people, groups and passes.
//!
//! Whoever asks [`Store::rights_of`] gets what holds at that moment. What counts in the end is [`spend`]: the use of a grant is
//! written in the commit of the intent that it allows, and there a grant that was taken back or used up allows nothing.

use crate::{
    Person, Store, StoreError,
    db::{Row, Tx, args},
    dice,
};
use doorward_core::{
    policy::{Grant, Rights},
    record::NewEvent,
};
use doorward_wire::{
    Time,
    attempt::{AttemptId, Reason},
    event::Event,
    grant::{Actions, Doors, Terms},
};

/// The role of those who may do everything.
pub const ADMINISTRATOR: &str = "administrator";

const SELECT: &str = "SELECT id, person, grp, pass, doors_json, actions, terms_json, used, created_at, used_at, revoked_at FROM grants";

/// Who holds a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A person.
    Person(String),
    /// Everybody in a group.
    Group(String),
    /// Whoever has a pass.
    Pass(String),
}

/// A grant as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGrant {
    /// Identifier: a UUID.
    pub id: String,
    /// Who holds it.
    pub holder: Holder,
    /// The doors that it covers.
    pub doors: Vec<Doors>,
    /// What may be asked of them.
    pub actions: Actions,
    /// When, how often, and with whom.
    pub terms: Terms,
    /// How often it has opened.
    pub used: u32,
    /// When it was made.
    pub created: Time,
    /// When it last opened.
    pub last_used: Option<Time>,
    /// When it was taken back.
    pub revoked: Option<Time>,
}

impl StoredGrant {
    /// The same as policy sees it; `source` is what `explain` shows.
    pub fn grant(&self, source: impl Into<String>) -> Grant {
        Grant {
            id: Some(self.id.clone()),
            source: source.into(),
            doors: self.doors.clone(),
            actions: self.actions,
            terms: self.terms.clone(),
            used: self.used,
            revoked: self.revoked,
        }
    }
}

impl Holder {
    /// Person, group and pass, as the columns have them.
    fn columns(&self) -> [Option<&str>; 3] {
        match self {
            Self::Person(id) => [Some(id), None, None],
            Self::Group(id) => [None, Some(id), None],
            Self::Pass(id) => [None, None, Some(id)],
        }
    }
}

impl Store {
    /// Gives somebody a right, and tells of it.
    pub async fn add_grant(
        &self,
        holder: Holder,
        doors: Vec<Doors>,
        actions: Actions,
        terms: Terms,
        event: &NewEvent,
    ) -> Result<(StoredGrant, Event), StoreError> {
        let (id, created) = (dice::uuid().to_string(), event.time);
        let grant = StoredGrant { id, holder, doors, actions, terms, used: 0, created, last_used: None, revoked: None };
        let (mut tx, chain) = self.begin().await?;
        insert(&mut tx, &grant).await?;
        let event = self.end(tx, chain, &with_grant(event, &grant.id)).await?;
        Ok((grant, event))
    }

    /// Changes what a grant allows, and tells of it; `None` when there is none that stands.
    pub async fn change_grant(
        &self,
        id: &str,
        doors: &[Doors],
        actions: Actions,
        terms: &Terms,
        event: &NewEvent,
    ) -> Result<Option<Event>, StoreError> {
        let sql = "UPDATE grants SET doors_json = $2, actions = $3, terms_json = $4, uses = $5 WHERE id = $1 AND revoked_at IS NULL";
        let args = args![id, json(&doors)?, actions.as_str(), json(terms)?, terms.uses.map(i64::from)];
        self.change(sql, args, &with_grant(event, id)).await
    }

    /// Takes a grant back, and tells of it; `None` when there is none that stands.
    pub async fn revoke_grant(&self, id: &str, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let sql = "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        self.change(sql, args![id, event.time], &with_grant(event, id)).await
    }

    /// Every grant, in the order in which they were made.
    pub async fn grants(&self) -> Result<Vec<StoredGrant>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY created_at, id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// One grant.
    pub async fn grant(&self, id: &str) -> Result<Option<StoredGrant>, StoreError> {
        self.db().one(format!("{SELECT} WHERE id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// The grant of a pass.
    pub async fn grant_of_pass(&self, pass: &str) -> Result<Option<StoredGrant>, StoreError> {
        self.db().one(format!("{SELECT} WHERE pass = $1"), args![pass]).await?.as_ref().map(read).transpose()
    }

    /// What a person may do at doors: by their role, by grants of their own, by those of their groups.
    pub async fn rights_of(&self, person: &Person) -> Result<Rights, StoreError> {
        let mut grants = Vec::new();
        if person.role == ADMINISTRATOR {
            grants.push(Grant::administrator());
        }
        let sql = format!(
            "{SELECT} WHERE person = $1 OR grp IN (SELECT grp FROM group_members WHERE group_members.person = $1) ORDER BY created_at, id"
        );
        let rows = self.db().all(sql, args![&person.id]).await?;
        let groups = if rows.is_empty() { Vec::new() } else { self.groups().await? };
        for row in rows {
            let stored = read(&row)?;
            let source = match &stored.holder {
                Holder::Group(id) => {
                    groups.iter().find(|group| group.id == *id).map_or_else(|| "a group".into(), |group| format!("group {}", group.name))
                }
                Holder::Person(_) | Holder::Pass(_) => format!("grant to {}", person.name),
            };
            grants.push(stored.grant(source));
        }
        Ok(Rights::of(grants).held_by(&person.id))
    }
}

/// Counts a use, in the commit of the intent that the grant allows; the reason when it allows nothing any more.
pub(crate) async fn spend(tx: &mut Tx, grant: &str, now: Time) -> Result<Result<(), Reason>, StoreError> {
    let sql = "UPDATE grants SET used = used + 1, used_at = $2 WHERE id = $1 AND revoked_at IS NULL AND (uses IS NULL OR used < uses)";
    if tx.execute(sql, args![grant, now]).await? > 0 {
        return Ok(Ok(()));
    }
    let row = tx.one("SELECT revoked_at FROM grants WHERE id = $1", args![grant]).await?;
    let revoked = row.map(|row| row.get::<Option<i64>>("revoked_at")).transpose()?.is_none_or(|revoked| revoked.is_some());
    Ok(Err(if revoked { Reason::Revoked } else { Reason::UsesExhausted }))
}

/// Gives back the use of an attempt that opened nothing for certain. To be asked before its end is written.
pub(crate) async fn give_back(tx: &mut Tx, attempt: AttemptId) -> Result<(), StoreError> {
    let sql = "UPDATE grants SET used = used - 1 \
               WHERE id = (SELECT grant_id FROM attempts WHERE id = $1 AND state IN ('pending', 'unconfirmed')) AND used > 0";
    tx.execute(sql, args![attempt]).await.map(drop)
}

pub(crate) async fn insert(tx: &mut Tx, grant: &StoredGrant) -> Result<(), StoreError> {
    let [person, group, pass] = grant.holder.columns();
    let sql = "INSERT INTO grants (id, person, grp, pass, doors_json, actions, terms_json, uses, used, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let uses = grant.terms.uses.map(i64::from);
    let (doors, terms) = (json(&grant.doors)?, json(&grant.terms)?);
    let args = args![&grant.id, person, group, pass, doors, grant.actions.as_str(), terms, uses, i64::from(grant.used), grant.created];
    tx.execute(sql, args).await.map(drop)
}

/// The event of a change names the grant.
fn with_grant(event: &NewEvent, id: &str) -> NewEvent {
    let mut event = event.clone();
    if event.data.is_null() {
        event.data = serde_json::json!({});
    }
    event.data["grant"] = id.into();
    event
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Bug(format!("a grant: {error}")))
}

fn read(row: &Row) -> Result<StoredGrant, StoreError> {
    let holder = match (row.get("person")?, row.get("grp")?, row.get("pass")?) {
        (Some(person), ..) => Holder::Person(person),
        (_, Some(group), _) => Holder::Group(group),
        (.., Some(pass)) => Holder::Pass(pass),
        (None, None, None) => return Err(StoreError::corrupt("a grant that nobody holds")),
    };
    Ok(StoredGrant {
        id: row.get("id")?,
        holder,
        doors: row.json("doors_json")?,
        actions: row.parse("actions")?,
        terms: row.json("terms_json")?,
        used: u32::try_from(row.get::<i64>("used")?).unwrap_or(u32::MAX),
        created: row.time("created_at")?,
        last_used: row.time_option("used_at")?,
        revoked: row.time_option("revoked_at")?,
    })
}
