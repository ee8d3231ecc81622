//! Writes records. What is ready in one turn shares one commit, so a slow disk slows a batch, not each door in turn.

use crate::{clock::Clock, message::Message};
use doorward_core::{
    keeper::{Input, StoreFailed, Ticket},
    record::{NewEvent, Record, Written},
};
use doorward_store::{Store, StoreError};
use doorward_wire::event::Event;
use std::sync::Arc;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Jobs in one commit.
const BATCH: usize = 256;

/// Something to write, and who waits for it.
#[derive(Debug)]
pub(crate) enum Job {
    /// From the keeper: everything of one turn, so that it shares a commit.
    Records(Vec<(Ticket, Record)>),
    /// From beside it: people, settings, refusals.
    Events(Vec<NewEvent>, oneshot::Sender<Result<Vec<Event>, StoreError>>),
    /// Nothing more comes.
    End,
}

/// Starts it on a thread of its own, since it waits for the disk most of the time. What is given back ends when it does.
pub(crate) fn start(
    store: Store,
    clock: Arc<dyn Clock>,
    jobs: mpsc::UnboundedReceiver<Job>,
    inputs: mpsc::UnboundedSender<Message>,
) -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::Builder::new().name("scribe".into()).spawn(move || {
        runtime.block_on(run(store, clock, jobs, inputs));
        let _ = ended.send(());
    })?;
    Ok(end)
}

/// Runs until it is told that nothing more comes; then everything that was sent is written.
async fn run(store: Store, clock: Arc<dyn Clock>, mut jobs: mpsc::UnboundedReceiver<Job>, inputs: mpsc::UnboundedSender<Message>) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.recv_many(&mut batch, BATCH).await > 0 {
        let ends = batch.iter().any(|job| matches!(job, Job::End));
        let (records, waiting): (Vec<Record>, Vec<Waiting>) = batch.drain(..).flat_map(split).unzip();
        if records.is_empty() {
            return;
        }
        let result = store.write(&records, clock.now().utc).await;
        if let Err(error) = &result {
            tracing::error!(error = %error, records = records.len(), "the store could not write");
            metrics::counter!("doorward_store_failures_total").increment(1);
        }
        answer(result, waiting, &inputs);
        if ends {
            return;
        }
    }
}

enum Waiting {
    Keeper(Ticket),
    Caller(oneshot::Sender<Result<Vec<Event>, StoreError>>),
}

fn split(job: Job) -> Vec<(Record, Waiting)> {
    match job {
        Job::Records(records) => records.into_iter().map(|(ticket, record)| (record, Waiting::Keeper(ticket))).collect(),
        Job::Events(events, caller) => vec![(Record::Events { events, told: None }, Waiting::Caller(caller))],
        Job::End => Vec::new(),
    }
}

fn answer(result: Result<Vec<Written>, StoreError>, waiting: Vec<Waiting>, inputs: &mpsc::UnboundedSender<Message>) {
    let mut written = result.map(Vec::into_iter);
    for waiting in waiting {
        let one = match &mut written {
            Ok(written) => written.next().ok_or_else(|| StoreError::Bug("the store answered fewer records than were written".into())),
            Err(error) => Err(error.clone()),
        };
        match waiting {
            Waiting::Keeper(ticket) => {
                let result = one.map_err(|error| StoreFailed(error.person().into()));
                let _ = inputs.send(Message::Input(Input::Stored { ticket, result }));
            }
            Waiting::Caller(caller) => {
                if let Ok(one) = &one {
                    let _ = inputs.send(Message::Told(one.events.clone()));
                }
                let _ = caller.send(one.map(|one| one.events));
            }
        }
    }
}
