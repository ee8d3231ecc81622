//! Hands notices to everybody who listens: the board, live pages, event streams, metrics.

use crate::Board;
use doorward_core::keeper::Notice;
use doorward_wire::event::EventKind;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Notices that a slow listener may lag behind; then it is told how many it missed and reads the store instead.
const LAG: usize = 1024;

#[derive(Debug, Clone)]
pub(crate) struct Fan {
    pub(crate) board: Arc<Board>,
    sender: broadcast::Sender<Arc<Notice>>,
}

impl Fan {
    pub(crate) fn new() -> Self {
        Self { board: Arc::default(), sender: broadcast::channel(LAG).0 }
    }

    pub(crate) fn publish(&self, notice: Notice) {
        self.board.put(&notice);
        count(&notice);
        // Nobody may be listening; the board and the store have it all the same.
        let _ = self.sender.send(Arc::new(notice));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.sender.subscribe()
    }
}

fn count(notice: &Notice) {
    let Notice::Event(event) = notice else { return };
    if event.kind == EventKind::AttemptFinished
        && let (Some(door), Some(action), Some(result)) = (&event.door, event.data["action"].as_str(), event.data["state"].as_str())
    {
        let labels = [("door", door.to_string()), ("action", action.to_owned()), ("result", result.to_owned())];
        metrics::counter!("doorward_actions_total", &labels).increment(1);
    }
    if event.kind == EventKind::DoorRingEnded
        && let (Some(door), Some(state)) = (&event.door, event.data["state"].as_str())
    {
        metrics::counter!("doorward_rings_total", &[("door", door.to_string()), ("state", state.to_owned())]).increment(1);
    }
    if event.kind == EventKind::DoorRefused
        && let Some(reason) = event.reason
    {
        metrics::counter!("doorward_denied_total", "reason" => reason.as_str()).increment(1);
    }
}
