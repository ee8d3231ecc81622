//! The way to the broker, wherever it is: the embedded one, or another one in its place.

use crate::{broker::Broker, remote::Remote};
use doorward_core::driver::{self, BoxFuture, Fault};
use doorward_engine::Line as HouseLine;
use std::sync::Arc;
use tokio::sync::watch;

/// A message of doorward's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Kept for whoever subscribes later.
    pub retain: bool,
}

/// The broker.
#[derive(Clone)]
pub(crate) enum Line {
    Embedded(Arc<Broker>),
    External(Arc<Remote>),
}

impl Line {
    /// Publishes past all rights, and says whether the broker has it.
    pub(crate) async fn publish(&self, message: Message) -> bool {
        match self {
            Self::Embedded(broker) => {
                broker.publish(message).await;
                true
            }
            Self::External(remote) => remote.publish(message.into()).await.is_ok(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::External(remote) => remote.is_up(),
        }
    }

    /// Changes whenever the broker goes or comes back.
    pub(crate) fn up(&self) -> watch::Receiver<bool> {
        match self {
            Self::Embedded(broker) => broker.up(),
            Self::External(remote) => remote.up(),
        }
    }
}

impl HouseLine for Line {
    fn publish(&self, message: driver::Message) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            match self {
                Self::Embedded(broker) => {
                    broker.publish_within(message).await;
                    Ok(())
                }
                Self::External(remote) => remote.publish(message).await,
            }
        })
    }
}

impl From<Message> for driver::Message {
    fn from(Message { topic, payload, retain }: Message) -> Self {
        Self { topic, payload, retain, fresh_for: None }
    }
}
