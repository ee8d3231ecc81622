//! What is to be done on a connection, and what waits for one.

use super::news::End;
use doorward_core::{
    Mono,
    driver::{Ctx, Once},
};
use std::{collections::VecDeque, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// How long an order waits for a connection.
const HELD: Duration = Duration::from_secs(5);
/// Orders that may wait.
const MOST_ORDERS: usize = 4096;

/// What is to be done on a connection.
#[derive(Debug)]
pub enum Order {
    /// Open a gate, once.
    Open {
        /// The gate.
        gate: String,
        /// When it is stale.
        once: Once,
        /// Hears how it ended.
        end: oneshot::Sender<End>,
    },
    /// End a call that rings.
    EndCall {
        /// The Call-ID.
        call: String,
        /// What it is told.
        status: u16,
    },
    /// Finish what is under way and go.
    Retire,
    /// Another connection has taken over: finish what is under way, stay while somebody rings, and go.
    Succeeded,
}

/// Makes a pair of ends for orders.
pub fn orders() -> (mpsc::Sender<Order>, Orders) {
    let (sender, receiver) = mpsc::channel(MOST_ORDERS);
    (sender, Orders { receiver, held: VecDeque::new() })
}

/// Orders on their way to a connection, and those that wait for one.
pub struct Orders {
    receiver: mpsc::Receiver<Order>,
    held: VecDeque<(Order, Mono)>,
}

impl Orders {
    /// Holds what comes while there is no connection, and gives up what waited for too long. Never ends.
    pub async fn hold(&mut self, ctx: &dyn Ctx) {
        loop {
            self.hold_on(ctx).await;
        }
    }

    /// Does so until nothing waits any more.
    pub async fn hold_while_any(&mut self, ctx: &dyn Ctx) {
        while !self.is_empty() {
            self.hold_on(ctx).await;
        }
    }

    /// Until one more has come, or the next one has waited for too long.
    async fn hold_on(&mut self, ctx: &dyn Ctx) {
        let next = self.held.front().map(|(_, until)| until.since(ctx.now().mono));
        tokio::select! {
            order = self.receiver.recv() => match order {
                // Who holds no connection has none to retire, and no calls.
                Some(Order::Retire | Order::Succeeded | Order::EndCall { .. }) => {}
                Some(order) => self.held.push_back((order, ctx.now().mono.plus(HELD))),
                None => std::future::pending().await,
            },
            () = sleep(ctx, next) => {}
        }
        let now = ctx.now().mono;
        while self.held.front().is_some_and(|(_, until)| *until <= now) {
            if let Some((order, _)) = self.held.pop_front() {
                not_sent(order);
            }
        }
    }

    /// Says of everything that waits that it was not sent.
    pub fn give_up(&mut self) {
        self.held.drain(..).map(|(order, _)| order).for_each(not_sent);
        while let Ok(order) = self.receiver.try_recv() {
            not_sent(order);
        }
    }

    /// An order that cannot be obeyed now waits for the next connection.
    pub(super) fn put_back(&mut self, order: Order, ctx: &dyn Ctx) {
        self.held.push_front((order, ctx.now().mono.plus(HELD)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.receiver.is_empty()
    }

    /// The next one; `None` when nobody can give any more.
    pub(super) async fn next(&mut self) -> Option<Order> {
        match self.held.pop_front() {
            Some((order, _)) => Some(order),
            None => self.receiver.recv().await,
        }
    }

    /// The next one that is there already.
    pub(super) fn next_now(&mut self) -> Option<Order> {
        self.held.pop_front().map(|(order, _)| order).or_else(|| self.receiver.try_recv().ok())
    }
}

fn not_sent(order: Order) {
    if let Order::Open { end, .. } = order {
        // Whoever asked may have gone.
        let _ = end.send(End::NotSent);
    }
}

/// Waits; for ever when there is nothing to wait for.
pub(super) async fn sleep(ctx: &dyn Ctx, span: Option<Duration>) {
    match span {
        Some(span) => ctx.sleep(span).await,
        None => std::future::pending().await,
    }
}
