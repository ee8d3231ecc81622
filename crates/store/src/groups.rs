//! Groups of people, to whom rights are given together.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use doorward_core::record::NewEvent;
use doorward_wire::{Time, event::Event};

/// A group of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Identifier: a UUID.
    pub id: String,
    /// The name, for people.
    pub name: String,
    /// Who is in it, by identifier.
    pub members: Vec<String>,
    /// When it was made.
    pub created: Time,
}

impl Store {
    /// Makes a group without members, and tells of it.
    pub async fn add_group(&self, name: &str, event: &NewEvent) -> Result<(Group, Event), StoreError> {
        let group = Group { id: dice::uuid().to_string(), name: name.into(), members: Vec::new(), created: event.time };
        let (mut tx, chain) = self.begin().await?;
        tx.execute("INSERT INTO groups (id, name, created_at) VALUES ($1, $2, $3)", args![&group.id, name, event.time]).await?;
        let event = self.end(tx, chain, event).await?;
        Ok((group, event))
    }

    /// Gives a group a name and members, and tells of it; `None` when there is no such group. Nobody joins who is not there.
    pub async fn put_group(&self, id: &str, name: &str, members: &[String], event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        if tx.execute("UPDATE groups SET name = $2 WHERE id = $1", args![id, name]).await? == 0 {
            return Ok(None);
        }
        tx.execute("DELETE FROM group_members WHERE grp = $1", args![id]).await?;
        for member in members {
            let sql = "INSERT INTO group_members (grp, person) SELECT $1, id FROM people WHERE id = $2 ON CONFLICT DO NOTHING";
            tx.execute(sql, args![id, member]).await?;
        }
        self.end(tx, chain, event).await.map(Some)
    }

    /// Removes a group with the rights that were given to it, and tells of it; `None` when there is no such group.
    pub async fn remove_group(&self, id: &str, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        self.change("DELETE FROM groups WHERE id = $1", args![id], event).await
    }

    /// Every group, by name.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let members = self.db().all("SELECT grp, person FROM group_members ORDER BY grp, person", Vec::new()).await?;
        let mut groups = self
            .db()
            .all("SELECT id, name, created_at FROM groups ORDER BY name, id", Vec::new())
            .await?
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()?;
        for member in members {
            let grp: String = member.get("grp")?;
            if let Some(group) = groups.iter_mut().find(|group| group.id == grp) {
                group.members.push(member.get("person")?);
            }
        }
        Ok(groups)
    }
}

fn read(row: &Row) -> Result<Group, StoreError> {
    Ok(Group { id: row.get("id")?, name: row.get("name")?, members: Vec::new(), created: row.time("created_at")? })
}
