//! The account's locks: listing them and asking for their state.

use crate::{
    client::{self, Care, DISCOVERY, QUERY, Reply},
    driver::Utec,
    shapes::with,
    states,
};
use doorward_core::driver::{Ctx, Done, Fault, Found, How, Report, Sight};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

/// The locks as they were last listed.
#[derive(Default)]
pub(crate) struct Roster {
    pub(crate) locks: BTreeMap<String, Value>,
    /// Those that were seen to have a contact.
    contacts: BTreeSet<String>,
    /// A listing was asked for before its time.
    pub(crate) wanted: bool,
}

impl Utec {
    /// Asks one lock for its state.
    pub(crate) async fn look(&self, ctx: &dyn Ctx, lock: &str) -> Result<Done, Fault> {
        let Reply { body, requested } = self.cloud.call(ctx, QUERY, &json!({ "devices": [self.device(lock)] }), Care::ASK).await?;
        let Some(device) = body.as_ref().and_then(|body| states::device(body, lock)) else {
            return Err(Fault::protocol(
                "The vendor's cloud said nothing about this lock. Is it still in the account?",
                "Query: the lock is missing in the answer",
            ));
        };
        let sight = self.seen(lock, device, How::Polled { requested });
        if let Some(said) = states::device_error(device).filter(|_| sight.online != Some(false)) {
            return Err(client::refused(&said.shown()).status(502));
        }
        Ok(Done { sight: Some(sight), raw: body, ..Done::default() })
    }

    /// Asks all locks for their state and reports it.
    pub(crate) async fn poll(&self, ctx: &dyn Ctx, care: Care) -> Result<Option<Value>, Fault> {
        if self.roster().locks.is_empty() {
            self.discover(ctx, care).await?;
        }
        let locks: Vec<String> = self.roster().locks.keys().cloned().collect();
        if locks.is_empty() {
            return Ok(Some(json!({ "payload": { "devices": [] } })));
        }
        let devices: Vec<Value> = locks.iter().map(|lock| self.device(lock)).collect();
        let contacts = self.roster().contacts.len();
        let Reply { body, requested } = self.cloud.call(ctx, QUERY, &json!({ "devices": devices }), care).await?;
        let Some(answer) = &body else { return Ok(None) };
        let sights: Vec<(String, Sight)> = locks
            .into_iter()
            .filter_map(|lock| {
                let sight = self.seen(&lock, states::device(answer, &lock)?, How::Polled { requested });
                Some((lock, sight))
            })
            .collect();
        if self.roster().contacts.len() != contacts {
            ctx.report(Report::Found(self.found()));
        }
        for (external, sight) in sights {
            ctx.report(Report::Seen { external, sight });
        }
        Ok(body)
    }

    /// Lists the locks and reports them.
    pub(crate) async fn discover(&self, ctx: &dyn Ctx, care: Care) -> Result<Option<Value>, Fault> {
        let Reply { body, .. } = self.cloud.call(ctx, DISCOVERY, &json!({}), care).await?;
        let Some(answer) = &body else {
            return Err(Fault::protocol("The vendor's cloud listed nothing. It is asked again later.", "Discovery: an empty answer"));
        };
        let locks = states::devices(answer)
            .iter()
            .filter_map(|device| states::found(device, false).map(|found| (found.external, found.raw)))
            .collect();
        {
            let mut roster = self.roster();
            roster.locks = locks;
            roster.wanted = false;
        }
        ctx.report(Report::Found(self.found()));
        Ok(body)
    }

    /// The identifier under which a lock is listed, whatever case it is written in.
    pub(crate) fn known(&self, id: &str) -> Option<String> {
        let roster = self.roster();
        let exact = roster.locks.contains_key(id).then(|| id.to_owned());
        exact.or_else(|| roster.locks.keys().find(|lock| lock.eq_ignore_ascii_case(id)).cloned())
    }

    fn found(&self) -> Vec<Found> {
        let roster = self.roster();
        roster.locks.iter().filter_map(|(lock, raw)| states::found(raw, roster.contacts.contains(lock))).collect()
    }

    /// What an answer says about a lock; remembers a contact when there is one.
    pub(crate) fn seen(&self, lock: &str, device: &Value, how: How) -> Sight {
        let sight = states::sight(device, how);
        if sight.contact_open.is_some() {
            self.roster().contacts.insert(lock.to_owned());
        }
        sight
    }

    /// A lock as requests name it. The vendor wants `customData` of the listing back when there is any.
    pub(crate) fn device(&self, lock: &str) -> Value {
        let device = json!({ "id": lock });
        let custom = self.roster().locks.get(lock).and_then(|raw| raw.get("customData").cloned());
        match custom {
            Some(custom) if !custom.is_null() => with(device, "customData", custom),
            _ => device,
        }
    }

    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
