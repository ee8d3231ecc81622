//! How a command ends: exit codes, and errors with what a person can do.

use std::{path::Path, process::ExitCode};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; also `unconfirmed`, with a warning.
    Done = 0,
    /// Failed or contradicted.
    Failed = 1,
    /// Wrong use or configuration.
    Usage = 2,
    /// Refused by policy.
    Refused = 3,
    /// Nobody answers.
    Unreachable = 4,
    /// Still pending when `--wait` ran out.
    Pending = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) lines: Vec<String>,
}

/// What a command ends with.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, lines: vec![message.into()] }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The same failure with one more line.
    pub(crate) fn and(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub(crate) fn print(&self, json: bool) {
        if json {
            eprintln!("{}", serde_json::json!({ "error": self.lines.join("\n"), "exit": self.exit as u8 }));
            return;
        }
        for (number, line) in self.lines.iter().enumerate() {
            eprintln!("{}{line}", if number == 0 { "doorward: " } else { "  " });
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// Every mistake of a configuration.
pub(crate) fn mistakes(mistakes: &[doorward_core::driver::Mistake], file: &Path) -> Failure {
    let count = if mistakes.len() == 1 { "a mistake".into() } else { format!("{} mistakes", mistakes.len()) };
    let mut failure = Failure::usage(format!("the configuration ({}) has {count}:", file.display()));
    for mistake in mistakes {
        failure = failure.and(format!("{}: {}", mistake.key, mistake.hint));
    }
    failure
}
