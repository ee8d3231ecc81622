//! Recent log lines, for the logs page and the local API. Secrets never reach a log line in the first place.

use doorward_wire::Time;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// Lines that are remembered.
const LINES: usize = 500;
/// Characters of a line that are remembered.
const WIDTH: usize = 500;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: Time,
    /// `ERROR`, `WARN`, `INFO`, …
    pub level: &'static str,
    /// The part of the program.
    pub target: String,
    /// The message with its fields.
    pub text: String,
}

/// The last lines of the log. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Logbook {
    lines: Arc<Mutex<VecDeque<LogLine>>>,
}

impl Logbook {
    /// Adds a line; the oldest one goes when there are too many.
    pub fn push(&self, mut line: LogLine) {
        if let Some((end, _)) = line.text.char_indices().nth(WIDTH) {
            line.text.truncate(end);
            line.text.push('…');
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Every line, oldest first.
    pub fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Forgets all lines. The log on standard error is not touched.
    pub fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:5} {}: {}", self.time, self.level, self.target, self.text)
    }
}
