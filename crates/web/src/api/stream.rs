//! The live stream of events.
//!
//! 1. Subscribe to what is told from now on.
//! 2. Read the store from the last event that the reader has, until there is no more.
//! 3. Pass on what is told. Numbers have no gaps, so a number that was not expected means: go to 2.
//!
//! So a reader that lags, a reconnect, and an event that another copy of doorward wrote all end at the store, and
//! nothing comes twice. Each second the reader's credentials are looked at again: a stream ends with them.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    http::request::Parts,
    response::sse::{Event as Message, Sse},
};
use doorward_core::{Mono, keeper::Notice, scope::Scope};
use doorward_store::EventQuery;
use doorward_wire::{
    door::DoorId,
    event::{Event, EventKind},
};
use futures_util::Stream;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};

/// Streams at once. Each asks the store once a second.
const STREAMS: usize = 64;
/// Events that are read from the store at once.
const PAGE: u32 = 200;
/// How often credentials are looked at again.
const CHECK: Duration = Duration::from_secs(1);
/// How long a stream is silent at most.
const SILENCE: Duration = Duration::from_secs(15);

static OPEN: Semaphore = Semaphore::const_new(STREAMS);

/// What a reader wants.
pub(super) struct Follow {
    pub(super) after: Option<i64>,
    pub(super) door: Option<DoorId>,
    pub(super) kind: Option<EventKind>,
}

struct Reader {
    web: Web,
    caller: Caller,
    parts: Parts,
    follow: Follow,
    /// The last event that was passed on, or was not to be.
    cursor: i64,
    live: broadcast::Receiver<Arc<Notice>>,
    checked: Mono,
    spoken: Mono,
    _permit: SemaphorePermit<'static>,
}

/// What a reader does next.
enum Next {
    Tell(Box<Event>),
    ReadStore,
    Comment,
    Wait,
    End,
}

/// Opens a stream.
pub(super) async fn open(
    web: Web,
    caller: Caller,
    parts: Parts,
    follow: Follow,
) -> ApiResult<Sse<impl Stream<Item = Result<Message, Infallible>>>> {
    let permit = OPEN.try_acquire().map_err(|_| ApiError::RateLimited(10))?;
    let live = web.house().subscribe();
    let last = web.house().store().last_event_id().await?;
    // A number from the future belongs to a database that is no more.
    let cursor = follow.after.unwrap_or(last).min(last);
    let now = web.house().now().mono;
    let reader = Reader { web, caller, parts, follow, cursor, live, checked: now, spoken: now, _permit: permit };
    Ok(Sse::new(reader.run()))
}

impl Reader {
    fn run(mut self) -> impl Stream<Item = Result<Message, Infallible>> {
        async_stream::stream! {
            yield Ok(Message::default().comment("doorward"));
            let mut behind = true;
            loop {
                while behind {
                    let Some(page) = self.page().await else { return };
                    behind = page.len() == PAGE as usize;
                    for event in page {
                        self.cursor = event.id;
                        if self.web.is_stopping() || !self.still().await {
                            return;
                        }
                        if let Some(message) = self.message(&event) {
                            yield Ok(message);
                        }
                    }
                }
                match self.next().await {
                    Next::Tell(event) => {
                        self.cursor = event.id;
                        if !self.still().await {
                            return;
                        }
                        if let Some(message) = self.message(&event) {
                            yield Ok(message);
                        }
                    }
                    Next::ReadStore => behind = true,
                    Next::Comment => yield Ok(Message::default().comment("")),
                    Next::Wait => {}
                    Next::End => return,
                }
            }
        }
    }

    /// What comes next in the store. `None` when it cannot be read: the reader comes back with its last number.
    async fn page(&mut self) -> Option<Vec<Event>> {
        let query = EventQuery { after: Some(self.cursor), limit: PAGE, ..EventQuery::default() };
        let page = self.web.house().store().events(&query).await;
        page.inspect_err(|error| tracing::warn!(%error, "an event stream ends: the store cannot be read")).ok()
    }

    async fn next(&mut self) -> Next {
        let house = self.web.house().clone();
        tokio::select! {
            notice = self.live.recv() => match notice {
                Ok(notice) => self.told(&notice),
                Err(broadcast::error::RecvError::Lagged(_)) => Next::ReadStore,
                Err(broadcast::error::RecvError::Closed) => Next::End,
            },
            () = house.clock().sleep_until(self.checked.plus(CHECK)) => {
                if !self.still().await {
                    return Next::End;
                }
                match house.store().last_event_id().await {
                    Ok(last) if last > self.cursor => Next::ReadStore,
                    Ok(_) if house.now().mono.since(self.spoken) >= SILENCE => {
                        self.spoken = house.now().mono;
                        Next::Comment
                    }
                    Ok(_) => Next::Wait,
                    Err(_) => Next::End,
                }
            }
        }
    }

    fn told(&self, notice: &Notice) -> Next {
        let Notice::Event(event) = notice else { return Next::Wait };
        match event.id - self.cursor {
            1 => Next::Tell(Box::new(event.clone())),
            behind if behind <= 0 => Next::Wait,
            _ => Next::ReadStore,
        }
    }

    /// Whether the reader may go on; looked up at most once a second, also while a slow reader makes it wait.
    async fn still(&mut self) -> bool {
        let now = self.web.house().now().mono;
        if now.since(self.checked) < CHECK {
            return true;
        }
        self.checked = now;
        match Caller::find(&self.parts, &self.web).await {
            Ok(Some(caller)) if caller.has(&Scope::EventsRead) => {
                self.caller = caller;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn message(&mut self, event: &Event) -> Option<Message> {
        let wanted = self.follow.door.as_ref().is_none_or(|door| event.door.as_ref() == Some(door))
            && self.follow.kind.is_none_or(|kind| event.kind == kind);
        if !wanted || !self.caller.reads(&self.web, event) {
            return None;
        }
        self.spoken = self.web.house().now().mono;
        let message = Message::default().id(event.id.to_string()).json_data(event);
        message.inspect_err(|error| tracing::error!(%error, id = event.id, "an event cannot be written as JSON")).ok()
    }
}
