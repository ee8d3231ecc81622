//! A part of the program that is no driver, and speaks over MQTT too.

use crate::exchange::{Ear, Exchange};
use doorward_core::driver::{Fault, Heard, Message};
use doorward_wire::topic::Filter;
use std::sync::Arc;

/// Hears what it asked for and publishes, for as long as it is kept.
pub struct Part {
    exchange: Arc<Exchange>,
    ear: Arc<Ear>,
    name: &'static str,
}

impl Exchange {
    /// A part with a name of its own, and what it wants to hear. The first that it hears is whether the broker can be reached.
    pub fn part(self: &Arc<Self>, name: &'static str, filters: Vec<Filter>) -> Part {
        let ear = self.open(name);
        self.listen(name, filters);
        Part { exchange: Arc::clone(self), ear, name }
    }
}

impl Part {
    /// The next thing.
    pub async fn hear(&self) -> Heard {
        self.ear.hear().await
    }

    /// Publishes, and ends when the broker has it.
    pub async fn publish(&self, message: Message) -> Result<(), Fault> {
        self.exchange.publish(message).await
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.exchange.close(self.name);
    }
}
