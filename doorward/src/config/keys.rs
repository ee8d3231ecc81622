//! Looks keys up where they may be set, and remembers everything about them.

use doorward_core::driver::Mistake;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
};

/// Where values may come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The file, whether it is there or not.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) file: toml::Table,
    /// `DOORWARD_…`.
    pub(crate) environment: BTreeMap<String, String>,
    /// What names of the originals in the environment say: path → value.
    pub(crate) originals: BTreeMap<String, String>,
    /// What was set on the settings page: path → value.
    pub(crate) database: BTreeMap<String, String>,
    /// What stands in for a key's own default, as in the demo: path → value.
    pub(crate) defaults: BTreeMap<String, String>,
}

/// A key as it was asked for.
#[derive(Debug)]
struct Known {
    section: &'static str,
    name: &'static str,
    default: String,
    help: &'static str,
    kind: Kind,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Switch,
    /// A switch, or “auto”.
    Auto,
    List,
    /// A text that is never shown.
    Secret,
}

/// Reads keys one by one.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) shown: Vec<(String, String, String)>,
    known: Vec<Known>,
    sections: Vec<(&'static str, &'static str)>,
    tables: BTreeSet<&'static str>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self { sources, mistakes: Vec::new(), shown: Vec::new(), known: Vec::new(), sections: Vec::new(), tables: BTreeSet::new() }
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, name: &'static str, help: &'static str) -> Section<'_, 'a> {
        self.sections.push((name, help));
        Section { keys: self, name }
    }

    /// The tables of an array such as `[[doors]]`.
    pub(crate) fn tables(&mut self, name: &'static str) -> Vec<(String, toml::Table)> {
        self.tables.insert(name);
        match self.sources.file.get(name) {
            None => Vec::new(),
            Some(toml::Value::Array(items)) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| item.as_table().map(|table| (format!("{name}[{index}]"), table.clone())))
                .collect(),
            Some(_) => {
                self.mistake(name, format!("write it as [[{name}]], once for each"));
                Vec::new()
            }
        }
    }

    pub(crate) fn mistake(&mut self, key: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake { key: key.into(), hint: hint.into() });
    }

    /// Says what is set but was never asked for.
    pub(crate) fn refuse_unknown(&mut self) {
        let sources = self.sources;
        let paths: Vec<String> = self.known.iter().map(|known| format!("{}.{}", known.section, known.name)).collect();
        for (section, value) in &sources.file {
            if self.tables.contains(section.as_str()) {
                continue;
            }
            let is_section = self.sections.iter().any(|(name, _)| name == section);
            if let Some(table) = value.as_table().filter(|_| is_section) {
                for name in table.keys() {
                    let path = format!("{section}.{name}");
                    let twin = path.strip_suffix("_file").is_some_and(|path| paths.iter().any(|known| known == path));
                    if !paths.contains(&path) && !twin {
                        self.unknown(path, &paths);
                    }
                }
            } else {
                let sections: Vec<String> = self.sections.iter().map(|(name, _)| (*name).into()).collect();
                self.unknown(section.clone(), &sections);
            }
        }
        let names: Vec<String> = paths.iter().map(|path| environment_name(path)).collect();
        for name in sources.environment.keys() {
            if name.contains("__")
                && !names.contains(name)
                && !name.strip_suffix("_FILE").is_some_and(|name| names.iter().any(|known| known == name))
            {
                self.unknown(name.clone(), &names);
            }
        }
    }

    fn unknown(&mut self, key: String, known: &[String]) {
        let near = known.iter().map(|known| (distance(known, &key), known)).min().filter(|(distance, _)| *distance <= 3);
        let hint = near.map_or_else(
            || "there is no such key; `doorward config sample` lists them all".to_owned(),
            |(_, near)| format!("there is no such key; did you mean {near}?"),
        );
        self.mistake(key, hint);
    }

    /// A commented file with every key at its default.
    pub(crate) fn sample(&self) -> String {
        let mut text = String::from("# doorward.toml: every key with its default. Uncomment what you change.\n");
        for (section, help) in &self.sections {
            let _ = write!(text, "\n# {help}\n[{section}]\n");
            for known in self.known.iter().filter(|known| known.section == *section) {
                let _ = writeln!(text, "## {}\n# {} = {}", known.help, known.name, known.literal());
            }
        }
        text
    }

    pub(crate) fn schema(&self) -> serde_json::Map<String, Value> {
        let mut sections = serde_json::Map::new();
        for (section, help) in &self.sections {
            let own = self.known.iter().filter(|known| known.section == *section);
            let properties: serde_json::Map<String, Value> = own.flat_map(Known::schemas).collect();
            let value = json!({ "type": "object", "description": help, "additionalProperties": false, "properties": properties });
            sections.insert((*section).into(), value);
        }
        sections
    }
}

impl Known {
    fn literal(&self) -> String {
        match self.kind {
            Kind::Text | Kind::Auto | Kind::Secret => format!("{:?}", self.default),
            Kind::Number | Kind::Switch => self.default.clone(),
            Kind::List if self.default.is_empty() => "[]".into(),
            Kind::List => format!("[{}]", self.default.split(',').map(|item| format!("{:?}", item.trim())).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The key, and the twin that names a file for a secret.
    fn schemas(&self) -> Vec<(String, Value)> {
        let mut schemas = vec![(self.name.to_owned(), self.schema())];
        if self.kind == Kind::Secret {
            let help = format!("A file that holds {}.", self.name);
            schemas.push((format!("{}_file", self.name), json!({ "type": "string", "description": help })));
        }
        schemas
    }

    fn schema(&self) -> Value {
        let (kind, default) = match self.kind {
            Kind::Text | Kind::Secret => (json!({ "type": "string" }), json!(self.default)),
            Kind::Number => (json!({ "type": "integer" }), json!(self.default.parse::<i64>().ok())),
            Kind::Switch => (json!({ "type": "boolean" }), json!(self.default == "true")),
            Kind::Auto => (json!({ "enum": ["auto", true, false] }), json!(self.default)),
            Kind::List => {
                let default: Vec<&str> = self.default.split(',').filter(|item| !item.is_empty()).collect();
                (json!({ "type": "array", "items": { "type": "string" } }), json!(default))
            }
        };
        let mut schema = kind;
        schema["description"] = json!(self.help);
        schema["default"] = default;
        schema
    }
}

/// A section while it is read.
pub(crate) struct Section<'s, 'a> {
    keys: &'s mut Keys<'a>,
    name: &'static str,
}

impl Section<'_, '_> {
    /// One key: found, parsed, remembered. A value that does not parse is a mistake, and the default stands in for it.
    pub(crate) fn value<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        default: &str,
        help: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let path = format!("{}.{name}", self.name);
        self.keys.known.push(Known { section: self.name, name, default: default.into(), help, kind });
        let (text, origin) = self.find(&path, name, kind).unwrap_or_else(|| (default.to_owned(), "default"));
        let parsed = parse(&text).unwrap_or_else(|hint| {
            let key = if origin == "environment" { environment_name(&path) } else { path.clone() };
            self.keys.mistake(key, hint);
            #[expect(clippy::expect_used, reason = "a test reads every default")]
            parse(default).map_err(|hint| format!("{path}: {hint}")).expect("defaults parse")
        });
        let shown = match kind {
            Kind::Secret if text.is_empty() => text,
            Kind::Secret => "(set)".into(),
            Kind::Text if path == "store.url" => without_password(&text),
            Kind::Text | Kind::Number | Kind::Switch | Kind::Auto | Kind::List => text,
        };
        self.keys.shown.push((path, shown, origin.into()));
        parsed
    }

    fn find(&mut self, path: &str, name: &str, kind: Kind) -> Option<(String, &'static str)> {
        let environment = environment_name(path);
        if let Some(value) = self.keys.sources.environment.get(&environment) {
            return Some((value.clone(), "environment"));
        }
        if let Some(file) = self.keys.sources.environment.get(&format!("{environment}_FILE")) {
            return self.in_file(path, file).map(|value| (value, "environment"));
        }
        let section = self.keys.sources.file.get(self.name).and_then(toml::Value::as_table);
        if let Some(value) = section.and_then(|section| section.get(name)) {
            return if let Some(text) = text(value, kind) {
                Some((text, "file"))
            } else {
                self.keys.mistake(path, format!("must be {}", kind.describe()));
                None
            };
        }
        if let Some(file) = section.and_then(|section| section.get(&format!("{name}_file"))).and_then(toml::Value::as_str) {
            return self.in_file(path, file).map(|value| (value, "file"));
        }
        let sources = self.keys.sources;
        let last = [(&sources.database, "database"), (&sources.originals, "environment"), (&sources.defaults, "default")];
        last.into_iter().find_map(|(values, origin)| Some((values.get(path)?.clone(), origin)))
    }

    fn in_file(&mut self, path: &str, file: &str) -> Option<String> {
        match std::fs::read_to_string(file) {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(error) => {
                self.keys.mistake(format!("{path}_file"), format!("{file} cannot be read: {error}"));
                None
            }
        }
    }
}

impl Kind {
    const fn describe(self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "a text in quotes",
            Self::Number => "a whole number",
            Self::Switch => "true or false",
            Self::Auto => "true, false or \"auto\"",
            Self::List => "a list of texts in quotes",
        }
    }
}

/// A value of the file as the text that the environment would hold.
fn text(value: &toml::Value, kind: Kind) -> Option<String> {
    match (kind, value) {
        (Kind::Text | Kind::Secret | Kind::Auto, toml::Value::String(text)) => Some(text.clone()),
        (Kind::Number, toml::Value::Integer(number)) => Some(number.to_string()),
        (Kind::Switch | Kind::Auto, toml::Value::Boolean(on)) => Some(on.to_string()),
        (Kind::List, toml::Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        _ => None,
    }
}

fn environment_name(path: &str) -> String {
    format!("DOORWARD_{}", path.to_uppercase().replace('.', "__"))
}

fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => match url[scheme + 3..at].find(':') {
            Some(colon) => format!("{}…{}", &url[..scheme + 4 + colon], &url[at..]),
            None => url.to_owned(),
        },
        _ => url.to_owned(),
    }
}

/// How many letters must change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let change = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = change.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}
