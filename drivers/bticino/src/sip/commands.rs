//! Commands that were sent to the gates of one gateway, whose answers come later, on whatever connection.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Commands whose answers are still known.
const REMEMBERED: usize = 256;

/// The last commands of a gateway. Its connections share them: an answer may come after a hand-over.
#[derive(Debug, Default)]
pub struct Commands(Mutex<VecDeque<Command>>);

#[derive(Debug)]
struct Command {
    key: String,
    gate: String,
}

impl Commands {
    /// Remembers a command that is sent now.
    pub(super) fn sent(&self, key: &str, gate: &str) {
        let mut commands = self.all();
        if commands.len() == REMEMBERED {
            commands.pop_front();
        }
        commands.push_back(Command { key: key.to_owned(), gate: gate.to_owned() });
    }

    /// The gate that answers by this key. An answer is believed once.
    pub(super) fn answered(&self, key: &str) -> Option<String> {
        let mut commands = self.all();
        let at = commands.iter().position(|command| command.key == key)?;
        commands.remove(at).map(|command| command.gate)
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Command>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_once_and_only_to_what_was_sent() {
        let commands = Commands::default();
        commands.sent("1", "20#2");
        assert_eq!(commands.answered("2"), None);
        assert_eq!(commands.answered("1").as_deref(), Some("20#2"));
        assert_eq!(commands.answered("1"), None);
    }

    #[test]
    fn the_oldest_commands_are_forgotten() {
        let commands = Commands::default();
        (0..=REMEMBERED).for_each(|key| commands.sent(&key.to_string(), "20#2"));
        assert_eq!(commands.answered("0"), None);
        assert!(commands.answered("1").is_some());
        assert_eq!(commands.all().len(), REMEMBERED - 1);
    }
}
