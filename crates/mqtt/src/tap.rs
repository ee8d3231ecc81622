//! Hearing what is published at a broker: one subscription for each filter, however many listen.
//!
//! A [`Hub`] holds the subscriptions of one broker. Who asks for a filter gets a [`Tap`]: what the broker has kept, then
//! what comes in. A tap that is not read in time ends ([`TapEnd::Slow`]); nothing is stored for it without end. The last tap
//! of a filter ends the subscription.

use doorward_wire::topic::Filter;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};
use tokio::sync::{broadcast, oneshot};

/// Messages that a tap may be behind.
const BEHIND: usize = 256;
/// Kept messages that a tap begins with.
pub(crate) const KEPT: usize = 10_000;

/// A message that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker had kept it.
    pub retain: bool,
    /// The same, as it is written for whoever listens.
    pub(crate) written: OnceLock<String>,
}

impl Heard {
    /// How it is written for listeners: once, however many there are.
    pub fn written(&self, write: impl FnOnce() -> String) -> &str {
        self.written.get_or_init(write)
    }
}

/// Why a tap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapEnd {
    /// It was read too slowly.
    Slow,
    /// The broker is gone, or doorward stops.
    Gone,
}

/// What one listener hears.
pub struct Tap {
    kept: VecDeque<Arc<Heard>>,
    live: broadcast::Receiver<Arc<Heard>>,
    _subscription: Arc<Subscription>,
}

impl Tap {
    /// The next message.
    pub async fn next(&mut self) -> Result<Arc<Heard>, TapEnd> {
        if let Some(kept) = self.kept.pop_front() {
            return Ok(kept);
        }
        self.live.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(_) => TapEnd::Slow,
            broadcast::error::RecvError::Closed => TapEnd::Gone,
        })
    }
}

/// One subscription at a broker. It ends when nobody holds it.
struct Subscription {
    live: Arc<Live>,
    /// Whoever fills it waits for this to go.
    _held: oneshot::Sender<()>,
}

/// Where what comes in goes to all listeners of a filter.
pub(crate) struct Live(Mutex<Option<broadcast::Sender<Arc<Heard>>>>);

impl Live {
    /// Tells all listeners. Never waits.
    pub(crate) fn tell(&self, heard: Arc<Heard>) {
        if let Some(live) = &*lock(&self.0) {
            // The last listener may just have gone.
            let _ = live.send(heard);
        }
    }

    /// Ends all listeners.
    pub(crate) fn close(&self) {
        lock(&self.0).take();
    }

    fn listen(&self) -> Option<broadcast::Receiver<Arc<Heard>>> {
        lock(&self.0).as_ref().map(broadcast::Sender::subscribe)
    }
}

/// The subscriptions of one broker.
#[derive(Default)]
pub(crate) struct Hub {
    open: tokio::sync::Mutex<HashMap<Filter, Weak<Subscription>>>,
}

/// What makes a subscription at a broker.
pub(crate) trait Source {
    /// What went wrong.
    type Error;
    /// Whether a new subscription is told by itself what the broker has kept.
    const TELLS_KEPT: bool;

    /// Subscribes: tells `live` what comes in until `held` is gone, and then ends it.
    async fn subscribe(&self, filter: &Filter, live: Arc<Live>, held: oneshot::Receiver<()>) -> Result<(), Self::Error>;

    /// What the broker has kept for a filter.
    async fn kept(&self, filter: &Filter) -> VecDeque<Arc<Heard>>;
}

impl Hub {
    /// Listens to a filter.
    pub(crate) async fn tap<S: Source>(&self, source: &S, filter: &Filter) -> Result<Tap, S::Error> {
        let mut open = self.open.lock().await;
        let there = open.get(filter).and_then(Weak::upgrade).and_then(|known| Some((known.live.listen()?, known)));
        let is_told = there.is_none() && S::TELLS_KEPT;
        let (live, subscription) = if let Some(there) = there {
            there
        } else {
            let (sender, receiver) = broadcast::channel(BEHIND);
            let (holder, held) = oneshot::channel();
            let live = Arc::new(Live(Mutex::new(Some(sender))));
            source.subscribe(filter, Arc::clone(&live), held).await?;
            let subscription = Arc::new(Subscription { live, _held: holder });
            open.retain(|_, known| known.strong_count() > 0);
            open.insert(filter.clone(), Arc::downgrade(&subscription));
            (receiver, subscription)
        };
        drop(open);
        // After the subscription, so that nothing is missed in between; what comes in meanwhile may be told twice.
        let kept = if is_told { VecDeque::new() } else { source.kept(filter).await };
        Ok(Tap { kept, live, _subscription: subscription })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Brokerish {
        subscribed: AtomicUsize,
        ended: Arc<AtomicUsize>,
        live: Mutex<Option<Arc<Live>>>,
    }

    impl Source for Brokerish {
        type Error = ();
        const TELLS_KEPT: bool = false;

        async fn subscribe(&self, _: &Filter, live: Arc<Live>, held: oneshot::Receiver<()>) -> Result<(), ()> {
            self.subscribed.fetch_add(1, Ordering::SeqCst);
            *lock(&self.live) = Some(live);
            let ended = Arc::clone(&self.ended);
            tokio::spawn(async move {
                let _ = held.await;
                ended.fetch_add(1, Ordering::SeqCst);
            });
            Ok(())
        }

        async fn kept(&self, _: &Filter) -> VecDeque<Arc<Heard>> {
            VecDeque::from([heard("kept")])
        }
    }

    fn heard(payload: &str) -> Arc<Heard> {
        Arc::new(Heard { topic: "a/b".into(), payload: payload.into(), qos: 1, retain: payload == "kept", written: OnceLock::new() })
    }

    #[tokio::test]
    async fn many_listeners_are_one_subscription_and_the_last_one_ends_it() {
        let (hub, source, filter) = (Hub::default(), Brokerish::default(), "a/#".parse().unwrap());
        let mut taps = Vec::new();
        for _ in 0..100 {
            taps.push(hub.tap(&source, &filter).await.unwrap());
        }
        assert_eq!(source.subscribed.load(Ordering::SeqCst), 1);
        lock(&source.live).as_ref().unwrap().tell(heard("now"));
        for tap in &mut taps {
            assert_eq!(tap.next().await, Ok(heard("kept")));
            assert_eq!(tap.next().await, Ok(heard("now")));
        }
        taps.clear();
        while source.ended.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        hub.tap(&source, &filter).await.unwrap();
        assert_eq!(source.subscribed.load(Ordering::SeqCst), 2, "and who comes later subscribes anew");
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_ends_and_nobody_else_does() {
        let (hub, source, filter) = (Hub::default(), Brokerish::default(), "a/#".parse().unwrap());
        let (mut slow, mut quick) = (hub.tap(&source, &filter).await.unwrap(), hub.tap(&source, &filter).await.unwrap());
        let live = lock(&source.live).clone().unwrap();
        assert_eq!(quick.next().await, Ok(heard("kept")));
        for _ in 0..BEHIND * 2 {
            live.tell(heard("now"));
            assert_eq!(quick.next().await, Ok(heard("now")));
        }
        assert_eq!(slow.next().await, Ok(heard("kept")));
        assert_eq!(slow.next().await, Err(TapEnd::Slow));
        live.close();
        assert_eq!(quick.next().await, Err(TapEnd::Gone));
    }
}
