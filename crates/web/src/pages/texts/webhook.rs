//! Sentences of the webhooks' pages.

use super::{
    Texts,
    state::{Face, Tone, face},
};
use doorward_store::Delivery;
use doorward_wire::webhook::{DeliveryState, WebhookState};

impl Texts {
    /// How a webhook stands.
    pub(crate) const fn webhook_state(&self, state: WebhookState) -> Face {
        match state {
            WebhookState::Waiting => face("Nothing sent yet", "clock", "calm"),
            WebhookState::Working => face("Working", "check", "ok"),
            WebhookState::Retrying => face("Trying again", "refresh", "warn"),
            WebhookState::Failing => face("Failing", "alert", "bad"),
            WebhookState::Disabled => face("Disabled", "x", "calm"),
        }
    }

    /// What is wrong with an address; `what` goes on after it.
    pub(crate) fn webhook_url_wrong(&self, what: &str) -> String {
        self.sentence(&format!("The address {what}"))
    }

    pub(crate) fn webhook_secret_of(&self, name: &str) -> String {
        format!("Secret of {name}")
    }

    pub(crate) fn webhook_rotated_text(&self, until: &str) -> String {
        format!("Messages are signed with it from now on. The one before signs along until {until}; change the receiver until then.")
    }

    pub(crate) fn webhook_previous_until(&self, until: &str) -> String {
        format!("the one before signs along until {until}")
    }

    pub(crate) fn remove_webhook_title(&self, name: &str) -> String {
        format!("Remove {name}?")
    }

    /// What an endpoint made of a test.
    pub(crate) fn webhook_tested(&self, status: Option<u16>, error: Option<&str>) -> String {
        match (error, status) {
            (Some(error), _) => self.sentence(&format!("The test was not taken: {error}")),
            (None, Some(status)) => format!("The test was taken: the endpoint answered {status}."),
            (None, None) => "The test was taken.".into(),
        }
    }

    /// The icon and tone of a delivery.
    pub(crate) const fn delivery_face(&self, delivery: &Delivery) -> (&'static str, Tone) {
        match (delivery.state, &delivery.error) {
            (DeliveryState::Delivered, _) => ("check", "ok"),
            (DeliveryState::Failed, _) => ("x", "bad"),
            (DeliveryState::Pending, Some(_)) => ("clock", "warn"),
            (DeliveryState::Pending, None) => ("send", "busy"),
        }
    }

    /// What became of a delivery; the time of the next try follows where there is one.
    pub(crate) fn delivery_note(&self, delivery: &Delivery) -> String {
        let tries = if delivery.attempts == 1 { "1 try".to_owned() } else { format!("{} tries", delivery.attempts) };
        let error = delivery.error.as_deref().map(|error| self.sentence(error));
        match (delivery.state, error) {
            (DeliveryState::Delivered, _) => {
                let status = delivery.status.map_or_else(String::new, |status| format!(": answered {status}"));
                if delivery.attempts > 1 { format!("Delivered after {tries}{status}") } else { format!("Delivered{status}") }
            }
            (DeliveryState::Failed, error) => format!("Given up after {tries}. {}", error.unwrap_or_default()),
            (DeliveryState::Pending, Some(error)) => format!("{error} {}, the next one", self.sentence(&tries).trim_end_matches('.')),
            (DeliveryState::Pending, None) => "On its way".into(),
        }
    }

    pub(crate) fn retry_aria(&self, what: &str) -> String {
        format!("Send again: {what}")
    }

    /// An event that is not kept any more.
    pub(crate) fn event_number(&self, number: i64) -> String {
        format!("Event {number}")
    }
}
