//! What commands print.

use doorward_wire::attempt::{Attempt, AttemptState};
use serde::Serialize;
use std::io::Write as _;

/// Prints JSON, with line breaks.
pub(crate) fn json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string_pretty(value) {
        line(&text);
    }
}

/// Prints a line. A reader that went away is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says something beside the answer, where it is in nobody's way.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what a person should know beside the answer.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}

/// Prints columns that are as wide as their widest cell; the last one is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let print = |cells: &[String]| {
        let text: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| if column + 1 == head.len() { cell.clone() } else { format!("{cell:<width$}", width = widths[column]) })
            .collect();
        line(text.join("  ").trim_end());
    };
    print(&head.iter().map(|cell| cell.to_uppercase()).collect::<Vec<_>>());
    for row in rows {
        print(row);
    }
}

/// `1 door`, `2 doors`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// One attempt as a sentence.
pub(crate) fn attempt(attempt: &Attempt) -> String {
    let seen = attempt.evidence.iter().rev().find_map(|evidence| evidence.state.map(|state| format!("{state}, {}", evidence.kind)));
    let took =
        attempt.finished.map(|finished| format!(" after {:.1} s", finished.since(attempt.created).as_secs_f64())).unwrap_or_default();
    match attempt.state {
        AttemptState::Pending => format!("{} {}: pending", attempt.door, attempt.action),
        AttemptState::Confirmed => format!("{} {}: confirmed ({}){took}", attempt.door, attempt.action, seen.unwrap_or_default()),
        AttemptState::Unconfirmed | AttemptState::Contradicted | AttemptState::Refused | AttemptState::Failed => {
            let reason = attempt.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let detail = attempt.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            format!("{} {}: {}{reason}{took}{detail}", attempt.door, attempt.action, attempt.state)
        }
    }
}
