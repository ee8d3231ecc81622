//! A connection to a broker for a program that is not a house, and shows no doors there: it hears, it says, and it comes back.

use super::{
    HELD, LONGEST_PAUSE, PAUSE, RemoteOptions, WAITING,
    dial::{connect, is_about_credentials, next_version, person},
    lock, publish,
    subscriptions::Subscriptions,
};
use doorward_core::driver::{BoxFuture, Fault, Heard, Message};
use doorward_engine::{Clock, Line};
use doorward_wire::topic::Filter;
use mqtt5::{MqttClient, MqttError, ProtocolVersion};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// Filters that are listened to, which may change.
type Filters = watch::Receiver<BTreeSet<Filter>>;

/// A connection that is kept up until it is stopped. Nothing waits in it: what cannot be said now is an error.
pub struct Alone {
    options: RemoteOptions,
    clock: Arc<dyn Clock>,
    client: Mutex<Option<MqttClient>>,
    up: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Alone {
    /// Connects, and listens to these filters. `hear` is told what comes, and first of all that it can: by then all filters are
    /// subscribed to.
    pub fn start(
        options: RemoteOptions,
        filters: Filters,
        clock: Arc<dyn Clock>,
        hear: impl Fn(Heard) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let alone = Arc::new(Self {
            options,
            clock,
            client: Mutex::default(),
            up: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            running: Mutex::default(),
        });
        let running = tokio::spawn(Arc::clone(&alone).run(filters, hear));
        *lock(&alone.running) = Some(running);
        alone
    }

    /// Changes whenever the broker goes or comes back.
    pub fn up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Says good-bye and ends.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        let running = lock(&self.running).take();
        if let Some(running) = running {
            let _ = running.await;
        }
    }

    async fn run(self: Arc<Self>, filters: Filters, hear: impl Fn(Heard) + Send + Sync) {
        let mut stopped = self.stop.subscribe();
        let (mut version, mut pause, mut known) = (ProtocolVersion::V5, PAUSE, String::new());
        loop {
            let begun = self.clock.now().mono;
            let end = tokio::select! {
                end = self.connection(version, filters.clone(), &hear) => Some(end),
                _ = stopped.wait_for(|stop| *stop) => None,
            };
            let was_up = self.went_down(&hear).await;
            let why = match end {
                None => return,
                Some(Ok(why)) => why,
                Some(Err(error)) => {
                    version = next_version(version, &error);
                    let hint = if is_about_credentials(&error) { ": look at --broker (MQTT_BROKER)" } else { "" };
                    person(&error) + hint
                }
            };
            if was_up || why != known {
                tracing::warn!(host = self.options.host, port = self.options.port, why, "the MQTT broker cannot be reached");
            }
            known = why;
            if self.clock.now().mono.since(begun) >= HELD {
                pause = PAUSE;
            }
            let mut dice = [0];
            self.clock.fill(&mut dice);
            // Jitter, so that not everybody comes at once when a broker starts.
            let wait = pause.mul_f64(0.5 + f64::from(dice[0]) / 512.0);
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = self.clock.sleep_until(self.clock.now().mono.plus(wait)) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// One connection from its beginning to its end; says how it was lost.
    async fn connection(&self, version: ProtocolVersion, mut filters: Filters, hear: &impl Fn(Heard)) -> Result<String, MqttError> {
        let (lost, mut told) = mpsc::channel(1);
        let client = connect(&self.options, version, None, lost).await?;
        let (incoming, mut arrivals) = mpsc::channel(WAITING);
        *lock(&self.client) = Some(client.clone());
        let mut subscriptions = Subscriptions::new(client, version, incoming);
        let wanted = filters.borrow_and_update().clone();
        subscriptions.listen(&wanted).await?;
        tracing::info!(host = self.options.host, port = self.options.port, "connected to the MQTT broker");
        self.up.send_replace(true);
        hear(Heard::Connected(true));
        loop {
            tokio::select! {
                Some(message) = arrivals.recv() => {
                    hear(Heard::Message { topic: message.topic, payload: message.payload, kept: message.retain });
                }
                why = told.recv() => return Ok(why.unwrap_or_default()),
                Ok(()) = filters.changed() => {
                    let wanted = filters.borrow_and_update().clone();
                    subscriptions.listen(&wanted).await?;
                }
            }
        }
    }

    /// Says whether it was up.
    async fn went_down(&self, hear: &impl Fn(Heard)) -> bool {
        let client = lock(&self.client).take();
        let was_up = self.up.send_if_modified(|up| std::mem::replace(up, false));
        if was_up {
            hear(Heard::Connected(false));
        }
        if let Some(client) = client {
            // A connection that is gone cannot be told so.
            let _ = tokio::time::timeout(Duration::from_secs(1), client.disconnect()).await;
        }
        was_up
    }
}

impl Line for Alone {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let client = lock(&self.client).clone().filter(|_| *self.up.borrow());
            publish(client, message).await
        })
    }
}
