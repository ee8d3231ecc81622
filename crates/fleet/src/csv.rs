//! Lists of devices as people keep them: one identifier a line, or CSV from a spreadsheet with commas, semicolons or tabs, quotes, a
//! byte order mark, and a first line that names the columns.

use doorward_wire::device::{DeviceIdError, Named};
use std::collections::BTreeMap;

/// Rows that are read.
pub const MOST: usize = 50_000;
/// What a column with identifiers may be called.
const IDS: [&str; 6] = ["id", "device_id", "deviceid", "device", "mac", "printed_id"];
/// What a column with names may be called.
const NAMES: [&str; 4] = ["name", "label", "title", "description"];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line, from 1.
    pub line: usize,
    /// What stands there for the device.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The device, or why it is none.
    pub device: Result<Named, RowError>,
}

/// Why a row names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It is no identifier.
    #[error("“{0}”: a device's identifier {1}")]
    Id(String, DeviceIdError),
    /// It stands there twice.
    #[error("the same device stands in line {0}")]
    Again(usize),
}

/// Why a whole list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// A quote that is not closed.
    #[error("line {0}: a quote is opened and never closed")]
    Quote(usize),
    /// A first line without a column of identifiers.
    #[error("the first line names no column “id” or “device_id”")]
    Column,
    /// Too many rows.
    #[error("a list may have at most {MOST} devices")]
    TooMany,
    /// No row at all.
    #[error("the list is empty")]
    Empty,
}

/// Reads a list. A row that is wrong is told, and stops no other.
pub fn read(text: &str) -> Result<Vec<Row>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = records(text, separator(text))?.into_iter();
    let Some(first) = records.next() else { return Err(CsvError::Empty) };
    let (ids, names, first) = match columns(&first.1) {
        Some((ids, names)) => (ids, names, None),
        None if first.1.first().is_some_and(|field| looks_like_a_word(field)) => return Err(CsvError::Column),
        None => (0, Some(1), Some(first)),
    };
    let mut seen = BTreeMap::new();
    let mut rows = Vec::new();
    for (line, fields) in first.into_iter().chain(records) {
        if rows.len() >= MOST {
            return Err(CsvError::TooMany);
        }
        let field = |column: usize| fields.get(column).map(|field| field.trim()).unwrap_or_default();
        let id = field(ids);
        let device = id.parse::<Named>().map_err(|error| RowError::Id(id.chars().take(40).collect(), error));
        let device = device.and_then(|named| {
            if let Some(before) = seen.get(&named.id) {
                return Err(RowError::Again(*before));
            }
            seen.insert(named.id.clone(), line);
            Ok(named)
        });
        let name = names.map(field).filter(|name| !name.is_empty()).map(str::to_owned);
        rows.push(Row { line, id: id.to_owned(), name, device });
    }
    if rows.is_empty() { Err(CsvError::Empty) } else { Ok(rows) }
}

/// Reads a table whose first line names its columns: each row by these names.
pub fn named(text: &str) -> Result<Vec<BTreeMap<String, String>>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = records(text, separator(text))?.into_iter();
    let Some((_, names)) = records.next() else { return Err(CsvError::Empty) };
    if records.len() > MOST {
        return Err(CsvError::TooMany);
    }
    Ok(records.map(|(_, fields)| names.iter().cloned().zip(fields).collect()).collect())
}

/// Which columns hold identifiers and names, when this line says so.
fn columns(fields: &[String]) -> Option<(usize, Option<usize>)> {
    let find = |known: &[&str]| {
        fields.iter().position(|field| {
            let word = field.trim().to_ascii_lowercase().replace([' ', '-'], "_");
            known.contains(&word.as_str())
        })
    };
    find(&IDS).map(|ids| (ids, find(&NAMES)))
}

/// A word such as “serial” is a heading; a wrong identifier is a row.
fn looks_like_a_word(field: &str) -> bool {
    let field = field.trim();
    !field.is_empty()
        && field.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b' '))
        && field.bytes().any(|byte| !byte.is_ascii_hexdigit())
}

/// The separator that stands most often in the first line, outside of quotes.
fn separator(text: &str) -> char {
    let mut counts = [(',', 0), (';', 0), ('\t', 0)];
    let mut quoted = false;
    for letter in text.lines().next().unwrap_or_default().chars() {
        quoted ^= letter == '"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && *separator == letter);
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(',', |(separator, _)| separator)
}

/// Records with the line in which each begins (RFC 4180). Empty lines, and those that begin with `#`, are left out.
fn records(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, CsvError> {
    let mut records = Vec::new();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut line, mut began, mut opened) = (1, 1, None);
    let mut letters = text.chars().peekable();
    let mut end = |fields: &mut Vec<String>, field: &mut String, began: usize| {
        fields.push(std::mem::take(field));
        let record = std::mem::take(fields);
        let is_note = record.first().is_some_and(|first| first.trim_start().starts_with('#'));
        if !is_note && record.iter().any(|field| !field.trim().is_empty()) {
            records.push((began, record));
        }
    };
    while let Some(letter) = letters.next() {
        match (letter, opened) {
            ('"', Some(_)) if letters.peek() == Some(&'"') => {
                field.push('"');
                letters.next();
            }
            ('"', Some(_)) => opened = None,
            ('"', None) if field.trim().is_empty() => {
                field.clear();
                opened = Some(line);
            }
            ('\n', _) => {
                line += 1;
                if opened.is_some() {
                    field.push('\n');
                } else {
                    end(&mut fields, &mut field, began);
                    began = line;
                }
            }
            ('\r', None) => {}
            (letter, None) if letter == separator => fields.push(std::mem::take(&mut field)),
            (letter, _) => field.push(letter),
        }
    }
    if let Some(line) = opened {
        return Err(CsvError::Quote(line));
    }
    end(&mut fields, &mut field, began);
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        read(text).unwrap().into_iter().map(|row| row.device.map_or_else(|error| error.to_string(), |named| named.id.to_string())).collect()
    }

    #[test]
    fn lists_as_people_keep_them() {
        assert_eq!(ids("A1B2C3D4E5F6\na1b2c3d4e5f7\n"), ["A1B2C3D4E5F6", "A1B2C3D4E5F7"]);
        assert_eq!(ids("\u{feff}Device-ID;Name\r\nA1B2C3;\"Gate; north\"\r\n\r\nA1B2C4;\r\n"), ["A1B2C3", "A1B2C4"]);
        assert_eq!(ids("name\tmac\nGate\tE8:06:90:9E:9A:B4\n# a note\n"), ["E86909E9AB4"]);
        let rows = read("id,name\n\"A1B2C3\",\"The \"\"old\"\"\ngate\"\nA1B2C4,\n").unwrap();
        assert_eq!((rows[0].name.as_deref(), rows[0].line), (Some("The \"old\"\ngate"), 2));
        assert_eq!((rows[1].name.as_deref(), rows[1].line), (None, 4));
    }

    #[test]
    fn a_table_is_read_by_the_names_of_its_columns() {
        let rows = named("device_id,status\nA1B2C3,ok\n\"A1,B2\",failed\nA1B2C4\n").unwrap();
        assert_eq!((rows[1]["device_id"].as_str(), rows[1]["status"].as_str()), ("A1,B2", "failed"));
        assert_eq!(rows[2].get("status"), None);
        assert_eq!(named(""), Err(CsvError::Empty));
    }

    #[test]
    fn a_wrong_row_is_told_and_stops_no_other() {
        let told = ids("A1B2C3\nnot hex\na1b2c3\nA1:B2\n\nA1B2C4\n");
        assert_eq!(told[0], "A1B2C3");
        assert!(told[1].starts_with("“not hex”"), "{told:?}");
        assert_eq!(told[2], "the same device stands in line 1");
        assert!(told[3].contains("a MAC has six bytes"), "{told:?}");
        assert_eq!(told[4], "A1B2C4");
    }

    #[test]
    fn a_list_that_cannot_be_read_says_why() {
        assert_eq!(read("id,name\nA1B2C3,\"open\nA1B2C4"), Err(CsvError::Quote(2)));
        assert_eq!(read("serial,name\nA1B2C3,x"), Err(CsvError::Column));
        for empty in ["", "\u{feff}", "\n\n", "id,name\n"] {
            assert_eq!(read(empty), Err(CsvError::Empty), "{empty:?}");
        }
        assert_eq!(read(&"A1B2C3\n".repeat(MOST + 1)), Err(CsvError::TooMany));
    }
}
