//! Every event, at `doorward/event`, in its order.
//!
//! For a broker elsewhere the audit is the queue: how far it has them is noted in the store, so nothing is kept twice, and
//! what happened while it was away, or doorward was not running, is published when both are there again.

use crate::line::{Line, Message};
use doorward_core::{keeper::Notice, record::NewEvent};
use doorward_engine::Handle;
use doorward_store::{EventQuery, StoreError};
use doorward_wire::{
    event::{Event, EventKind},
    topic::Topic,
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};

/// Under which name it is noted how far the broker has them.
const CURSOR: &str = "mqtt events";
/// Events that are made up for at most; older ones are dropped, counted and told.
const MOST: u32 = 10_000;
/// Bytes that are made up for at most.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Events that are read at once.
const PAGE: u32 = 200;
/// How far the broker is, is noted this much after it went on.
const NOTE_AFTER: Duration = Duration::from_secs(5);
/// When the store could not be read, it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// Publishes events until it is stopped.
pub(crate) struct Events {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Events {
    pub(crate) fn start(house: Handle, line: Line) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(house, line, stopped));
        Self { stop, running }
    }

    /// Publishes what is there, and stops.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.running.await;
    }
}

async fn run(house: Handle, line: Line, stopped: watch::Receiver<bool>) {
    match line {
        Line::Embedded(_) => live(&house, &line, stopped).await,
        Line::External(_) => {
            let mut reader = Reader { house, line, cursor: None, noted: None };
            reader.run(stopped).await;
            reader.note().await;
        }
    }
}

/// The embedded broker is there whenever doorward is: only what was too fast is made up for.
async fn live(house: &Handle, line: &Line, mut stopped: watch::Receiver<bool>) {
    let mut notices = house.subscribe();
    let cursor = house.store().last_event_id().await.ok();
    let mut reader = Reader { house: house.clone(), line: line.clone(), cursor, noted: None };
    let mut made_up = 0;
    loop {
        let notice = tokio::select! {
            biased;
            notice = notices.recv() => notice,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match notice {
            Ok(notice) => {
                if let Notice::Event(event) = notice.as_ref()
                    && event.id > made_up
                {
                    line.publish(message(event)).await;
                    reader.cursor = reader.cursor.max(Some(event.id));
                }
            }
            Err(RecvError::Lagged(_)) => {
                if let Err(error) = reader.publish().await {
                    tracing::warn!(%error, "events could not be read for MQTT");
                }
                made_up = reader.cursor.unwrap_or_default();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Reads the audit for a broker that comes and goes, or for whoever was too slow.
struct Reader {
    house: Handle,
    line: Line,
    /// The last event that the broker has.
    cursor: Option<i64>,
    /// How far that is noted.
    noted: Option<i64>,
}

impl Reader {
    async fn run(&mut self, mut stopped: watch::Receiver<bool>) {
        let mut notices = self.house.subscribe();
        let mut up = self.line.up();
        loop {
            let stop = *stopped.borrow();
            if self.line.is_up()
                && let Err(error) = self.publish().await
            {
                tracing::warn!(%error, "events could not be read for MQTT");
                tokio::select! {
                    () = self.house.clock().sleep_until(self.house.now().mono.plus(AGAIN)) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            } else if stop {
                return;
            }
            let later = self.house.now().mono.plus(NOTE_AFTER);
            loop {
                tokio::select! {
                    notice = notices.recv() => match notice {
                        Ok(notice) if matches!(*notice, Notice::Event(_)) => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                    changed = up.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    () = self.house.clock().sleep_until(later), if self.noted != self.cursor => self.note().await,
                    _ = stopped.changed() => break,
                }
            }
        }
    }

    /// Publishes what the broker does not have yet.
    async fn publish(&mut self) -> Result<(), StoreError> {
        let behind = self.begin().await?;
        let store = self.house.store().clone();
        let mut cursor = store.backlog(behind, MOST, MOST_BYTES).await?;
        if cursor > behind {
            self.cursor = Some(cursor);
            dropped(&self.house, cursor - behind).await?;
        }
        loop {
            let query = EventQuery { after: Some(cursor), limit: PAGE, ..EventQuery::default() };
            let events = store.events(&query).await?;
            for event in &events {
                if !self.line.publish(message(event)).await {
                    return Ok(());
                }
                cursor = event.id;
                self.cursor = Some(cursor);
            }
            if events.is_empty() {
                return Ok(());
            }
        }
    }

    /// Where to go on. The first time of all nothing is behind.
    async fn begin(&mut self) -> Result<i64, StoreError> {
        if let Some(cursor) = self.cursor {
            return Ok(cursor);
        }
        let store = self.house.store();
        let noted = store.note(CURSOR).await?.and_then(|noted| noted.parse().ok());
        let cursor = match noted {
            Some(cursor) => cursor,
            None => store.last_event_id().await?,
        };
        self.noted = noted;
        self.cursor = Some(cursor);
        Ok(cursor)
    }

    /// Notes how far the broker is. A `kill -9` before it repeats a few events rather than losing one.
    async fn note(&mut self) {
        let Some(cursor) = self.cursor.filter(|_| self.noted != self.cursor) else { return };
        match self.house.store().set_note(CURSOR, &cursor.to_string()).await {
            Ok(()) => self.noted = Some(cursor),
            Err(error) => tracing::warn!(%error, "how far events were published over MQTT could not be noted"),
        }
    }
}

fn message(event: &Event) -> Message {
    Message { topic: Topic::Event.to_string(), payload: json!(event).to_string().into_bytes(), retain: false }
}

async fn dropped(house: &Handle, count: i64) -> Result<(), StoreError> {
    metrics::counter!("doorward_mqtt_dropped_total", "what" => "event").increment(count.unsigned_abs());
    tracing::warn!(count, "events were too many to be published when the MQTT broker came back");
    let event = NewEvent::new(house.now().utc, EventKind::MqttEventsDropped).data(json!({ "count": count }));
    house.record(vec![event]).await.map(drop)
}
