//! Listing and changing the codes at a lock.

use crate::{
    client::{self, COMMAND, Care, Reply},
    driver::{Utec, refuse},
    shapes::with,
    states,
    users::{self, Book, LOCK_USER},
};
use doorward_core::{
    Secret,
    driver::{Credential, Ctx, Done, Fault},
};
use doorward_wire::{
    attempt::Reason,
    code::{Code, CodeKind, CodeState},
};
use serde_json::{Map, Value, json};

/// Where the book of codes is kept.
const KEY: &str = "codes";

impl Utec {
    /// Lists or changes the codes at a lock.
    pub(crate) async fn codes(&self, ctx: &dyn Ctx, lock: &str, site_zone: &str, what: Credential) -> Result<Done, Fault> {
        let zone = self.cloud.config.time_zone.as_deref().unwrap_or(site_zone);
        let now = ctx.now().utc;
        // Nothing is asked of the cloud before the wish is known to make sense.
        let wished = match &what {
            Credential::Add(wish) => users::fields(wish, true, zone, now)?,
            Credential::Update { wish, .. } => users::fields(wish, false, zone, now)?,
            Credential::List | Credential::Delete { .. } => Map::new(),
        };
        // One change at a time, so that lists and book agree.
        let mut guard = self.book.lock().await;
        if guard.is_none() {
            let kept = ctx.kept(KEY).await?;
            *guard = kept.and_then(|bytes| serde_json::from_slice(bytes.reveal()).ok());
        }
        let book = guard.get_or_insert_default();
        let shown = match what {
            Credential::List => json!(self.list(ctx, lock, book).await?.1),
            Credential::Add(wish) => {
                let code = Code {
                    id: String::new(),
                    name: wish.name.as_deref().unwrap_or_default().trim().to_owned(),
                    kind: users::kind_of(&Value::Object(wished.clone())),
                    state: CodeState::Setting,
                    schedule: wish.schedule.clone(),
                };
                self.tell_lock(ctx, lock, "add", json!({ "user": wished }), Care::ADD).await?;
                book.sent(lock, code.clone(), now);
                self.keep_book(ctx, book).await;
                // The lock gives the identifier; until it lists the code there is none.
                let listed = self.list(ctx, lock, book).await.map(|(_, codes)| codes).unwrap_or_default();
                let listed = listed.into_iter().rev().find(|listed| listed.name == code.name);
                json!({ "code": Code { state: CodeState::Setting, ..listed.unwrap_or(code) } })
            }
            Credential::Update { id, wish } => {
                let (user, mut code) = self.code(ctx, lock, &id, book).await?;
                let mut fields = wished;
                fields.insert("id".into(), user);
                let kind = fields.contains_key("type").then(|| users::kind_of(&Value::Object(fields.clone())));
                self.tell_lock(ctx, lock, "update", json!({ "user": fields }), Care::CHANGE).await?;
                code.name = wish.name.map_or(code.name, |name| name.trim().to_owned());
                code.kind = kind.unwrap_or(code.kind);
                code.schedule = wish.schedule.or(code.schedule).filter(|_| code.kind == CodeKind::Temporary);
                code.state = CodeState::Setting;
                book.changed(lock, code.clone());
                self.keep_book(ctx, book).await;
                json!({ "code": code })
            }
            Credential::Delete { id } => {
                let (user, code) = self.code(ctx, lock, &id, book).await?;
                if !book.is_removing(lock, &id) {
                    self.tell_lock(ctx, lock, "delete", json!({ "id": user }), Care::CHANGE).await?;
                    book.removed(lock, &id);
                    self.keep_book(ctx, book).await;
                }
                json!({ "code": Code { state: CodeState::Removing, ..code } })
            }
        };
        Ok(Done::said(shown))
    }

    /// One code that the lock lists, with its identifier as the vendor writes it.
    async fn code(&self, ctx: &dyn Ctx, lock: &str, id: &str, book: &mut Book) -> Result<(Value, Code), Fault> {
        let (users, codes) = self.list(ctx, lock, book).await?;
        let user = users.iter().find(|user| users::user_id(user).as_deref() == Some(id)).and_then(|user| user.get("id").cloned());
        let code = codes.into_iter().find(|code| code.id == id);
        user.zip(code).filter(|_| !id.is_empty()).ok_or_else(|| refuse("The lock has no such code.", Reason::BadRequest).status(404))
    }

    async fn list(&self, ctx: &dyn Ctx, lock: &str, book: &mut Book) -> Result<(Vec<Value>, Vec<Code>), Fault> {
        let answer = self.ask_lock(ctx, lock, json!({ "capability": LOCK_USER, "name": "list" }), Care::ASK).await?;
        let Some(users) = answer.as_ref().and_then(|answer| users::listed(answer, lock)) else {
            return Err(Fault::protocol(
                "The vendor's cloud did not list the codes of this lock. Is it connected?",
                "st.lockUser list: no users in the answer",
            ));
        };
        let (codes, changed) = book.read(lock, users, ctx.now().utc);
        if changed {
            self.keep_book(ctx, book).await;
        }
        Ok((users.clone(), codes))
    }

    async fn tell_lock(&self, ctx: &dyn Ctx, lock: &str, name: &str, arguments: Value, care: Care) -> Result<(), Fault> {
        self.ask_lock(ctx, lock, json!({ "capability": LOCK_USER, "name": name, "arguments": arguments }), care).await.map(|_| ())
    }

    async fn ask_lock(&self, ctx: &dyn Ctx, lock: &str, command: Value, care: Care) -> Result<Option<Value>, Fault> {
        let payload = json!({ "devices": [with(self.device(lock), "command", command)] });
        let Reply { body, .. } = self.cloud.call(ctx, COMMAND, &payload, care).await?;
        match body.as_ref().and_then(|body| states::device_error(states::device(body, lock)?)) {
            Some(said) => Err(client::refused(&said.shown()).status(502)),
            None => Ok(body),
        }
    }

    async fn keep_book(&self, ctx: &dyn Ctx, book: &Book) {
        let bytes = serde_json::to_vec(book).unwrap_or_default();
        if let Err(error) = ctx.keep(KEY, Secret::new(bytes)).await {
            tracing::warn!(%error, "what is known about codes could not be written down");
        }
    }
}
