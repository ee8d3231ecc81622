//! `doorward device batch`: a list in, a list of credentials out, from where it broke off.

use crate::{
    client::Client,
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_fleet::csv::{self, Row};
use doorward_wire::{device::Provisioned, nvs::quoted};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{IsTerminal, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Devices of one request.
const SOME: usize = 100;
/// Wrong rows that are printed.
const SHOWN: usize = 10;
const HEAD: &str = "device_id,mqtt_user,mqtt_password,mqtt_host,mqtt_port,device_token,provision_date,status,error";

/// What is asked for.
pub(super) struct Wish {
    pub(super) list: PathBuf,
    pub(super) out: PathBuf,
}

pub(super) async fn run(client: &Client, as_json: bool, wish: &Wish) -> Outcome {
    let text = read(&wish.list)?;
    let rows = csv::read(&text).map_err(|error| Failure::usage(format!("{}: {error}", wish.list.display())))?;
    let done = done_before(&wish.out)?;
    let before = rows.iter().filter(|row| is_done(row, &done)).count();
    let todo: Vec<&Row> = rows.iter().filter(|row| !is_done(row, &done)).collect();
    let mut results = Results::open(&wish.out, done.is_empty())?;
    let progress = Progress { of: rows.len(), shown: !as_json && std::io::stderr().is_terminal() };
    let (mut made, mut wrong) = (0, Vec::new());
    for some in todo.chunks(SOME) {
        let good: Vec<&&Row> = some.iter().filter(|row| row.device.is_ok()).collect();
        let devices: Vec<Value> = good.iter().map(|row| json!({ "id": row.id, "name": row.name })).collect();
        let answer: Value =
            if devices.is_empty() { json!({}) } else { client.post("/devices/batch", json!({ "devices": devices })).await? };
        let mut answers = answer["items"].as_array().cloned().unwrap_or_default().into_iter();
        for row in some {
            match outcome(row, &mut answers) {
                Ok(told) => {
                    results.good(&told)?;
                    made += 1;
                }
                Err(error) => {
                    results.bad(&row.id, &error)?;
                    wrong.push(format!("line {}: {error}", row.line));
                }
            }
        }
        // What is answered is on disk before more is asked for.
        results.file.sync_data().map_err(|error| results.lost(&error))?;
        progress.show(before + made + wrong.len());
    }
    progress.end();
    summary(as_json, wish, before, made, &wrong);
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}

fn read(list: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if list == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        File::open(list).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", list.display())))?;
    Ok(text)
}

fn outcome(row: &Row, answers: &mut impl Iterator<Item = Value>) -> Result<Provisioned, String> {
    row.device.as_ref().map_err(ToString::to_string)?;
    let answer = answers.next().unwrap_or_default();
    match serde_json::from_value(answer["device"].clone()) {
        Ok(told) => Ok(told),
        Err(_) => Err(answer["error"].as_str().unwrap_or("there was no answer for it").to_owned()),
    }
}

/// The devices that an earlier run has provisioned.
fn done_before(out: &Path) -> Result<BTreeSet<String>, Failure> {
    let text = match std::fs::read_to_string(out) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Failure::usage(format!("{} cannot be read: {error}", out.display()))),
    };
    if text.trim().is_empty() {
        return Ok(BTreeSet::new());
    }
    if text.lines().next() != Some(HEAD) {
        let hint = "it holds something else than results; name another file with --out";
        return Err(Failure::usage(format!("{}: {hint}", out.display())));
    }
    // A line that was cut off has no status.
    let good = text.lines().skip(1).filter(|line| line.split(',').nth(7) == Some("ok"));
    Ok(good.filter_map(|line| line.split(',').next()).map(str::to_owned).collect())
}

fn is_done(row: &Row, done: &BTreeSet<String>) -> bool {
    row.device.as_ref().is_ok_and(|device| done.contains(device.id.as_str()))
}

/// The file with what came of each row. Only its owner may read it: it holds passwords.
struct Results {
    file: File,
    path: PathBuf,
}

impl Results {
    fn open(path: &Path, is_new: bool) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", path.display()));
        let kept = if is_new { format!("{HEAD}\n") } else { whole_lines(path).map_err(cannot)? };
        // Beside it and then in its place: what an earlier run wrote is never half there.
        let part = path.with_extension("part");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&part).map_err(cannot)?;
        file.write_all(kept.as_bytes()).and_then(|()| file.sync_data()).map_err(cannot)?;
        std::fs::rename(&part, path).map_err(cannot)?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn good(&mut self, told: &Provisioned) -> Result<(), Failure> {
        let Provisioned { device_id, mqtt_user, mqtt_password, mqtt_host, mqtt_port, provision_date, device_token } = told;
        self.line(&format!(
            "{device_id},{},{},{},{mqtt_port},{device_token},{provision_date},ok,",
            quoted(mqtt_user),
            quoted(mqtt_password),
            quoted(mqtt_host)
        ))
    }

    fn bad(&mut self, id: &str, error: &str) -> Result<(), Failure> {
        self.line(&format!("{},,,,,,,failed,{}", quoted(id), quoted(error)))
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.file, "{text}").map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &std::io::Error) -> Failure {
        Failure::failed(format!("{} cannot be written: {error}; run the same command again, and it goes on", self.path.display()))
    }
}

/// What an earlier run wrote: lines that are whole, and those that failed are tried again.
fn whole_lines(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    let good = text.lines().enumerate().filter(|(at, line)| *at == 0 || line.split(',').nth(7) == Some("ok"));
    Ok(good.flat_map(|(_, line)| [line, "\n"]).collect())
}

/// How far it is, on one line of a terminal.
struct Progress {
    of: usize,
    shown: bool,
}

impl Progress {
    /// Characters of the bar.
    const WIDTH: usize = 40;

    fn show(&self, done: usize) {
        if self.shown {
            let full = done * Self::WIDTH / self.of.max(1);
            let bar: String = (0..Self::WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
            let _ = write!(std::io::stderr(), "\r{bar} {done} of {}", self.of);
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn summary(as_json: bool, wish: &Wish, before: usize, made: usize, wrong: &[String]) {
    if as_json {
        output::json(&json!({ "provisioned": made, "before": before, "failed": wrong.len(), "errors": wrong, "out": wish.out }));
        return;
    }
    let more = if before > 0 { format!(", {before} were there from an earlier run") } else { String::new() };
    output::line(&format!("{made} devices are provisioned{more}. Their credentials are in {}.", wish.out.display()));
    if !wrong.is_empty() {
        output::warn(&format!("{} rows failed:", wrong.len()));
        wrong.iter().take(SHOWN).for_each(|line| output::note(&format!("  {line}")));
        if wrong.len() > SHOWN {
            output::note(&format!("  and {} more; all are in {}", wrong.len() - SHOWN, wish.out.display()));
        }
        output::note("Correct the list and run the same command again: what is done is left alone.");
    }
}
