//! Webhooks: servers of others that are told what happened.

use crate::{id::slug_id, words::words};

slug_id! {
    /// A webhook's identifier: `[a-z0-9_]{1,40}`, made once, never changed.
    WebhookId
}

words! {
    /// How a webhook stands.
    pub enum WebhookState {
        /// Nothing was sent yet.
        Waiting = "waiting",
        /// What was sent last was taken.
        Working = "working",
        /// A try failed, and there will be another one.
        Retrying = "retrying",
        /// What was sent last was given up.
        Failing = "failing",
        /// Nothing is sent.
        Disabled = "disabled",
    }
}

words! {
    /// Why nothing is sent any more.
    pub enum DisabledWhy {
        /// Somebody said so.
        Person = "person",
        /// Its endpoint answered 410 Gone.
        Gone = "gone",
    }
}

words! {
    /// What became of an event on its way to an endpoint.
    pub enum DeliveryState {
        /// It will be sent, or sent again.
        Pending = "pending",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}
