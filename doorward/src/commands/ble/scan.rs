//! `doorward ble scan`: who advertises here.

use super::{Clock, no_radio, radio};
use crate::{
    cli::{Global, RadioAt},
    failure::{Exit, Failure, Outcome},
    output, serve,
};
use doorward_ble::{
    clock::Clock as _,
    radio::{Address, Radio, RadioError, Scan, Sighting},
};
use doorward_core::Mono;
use doorward_wire::ble::{COMPANY, ISSUER_DATA, v2::LOCK_SERVICE};
use serde_json::json;
use std::{collections::HashMap, fmt::Write as _, time::Duration};
use uuid::Uuid;

/// What has not changed is said again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// Addresses that are remembered. Who fills them all is said more often.
const MOST: usize = 4096;

pub(super) async fn run(global: &Global, at: &RadioAt, span: Option<Duration>) -> Outcome {
    let clock = Clock::start();
    let stop = serve::told_to_stop()?;
    let radio = radio(at, "scan", &clock).await?;
    if !global.json {
        output::line(&format!("{:<17}  {:>8}  {:<14}  {:<20}  DATA", "ADDRESS", "RSSI", "WHAT", "NAME"));
    }
    let over = async {
        match span {
            Some(span) => clock.sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop => {}
        () = over => {}
        error = listen(&*radio, global.json) => return Err(no_radio(&error)),
    }
    // Who asked for a while and had no adapter for all of it heard nothing, which is another thing than nobody being there.
    match radio.state().now().trouble {
        Some(error) => Err(no_radio(&error)),
        None => Ok::<_, Failure>(Exit::Done),
    }
}

/// Listens for as long as there may be an adapter.
async fn listen(radio: &dyn Radio, as_json: bool) -> RadioError {
    let (mut state, mut said) = (radio.state(), HashMap::<Address, (String, Mono)>::new());
    loop {
        if let Some(trouble) = state.now().trouble {
            output::note(&format!("Waiting: {}", trouble.person()));
        }
        if let Err(error) = state.up().await {
            return error;
        }
        let mut sightings = match radio.scan(Scan::default()).await {
            Ok(sightings) => sightings,
            Err(RadioError::Gone(_)) => continue,
            Err(error) => return error,
        };
        while let Some(sighting) = sightings.next().await {
            if said.len() >= MOST {
                said.clear();
            }
            let text = data(&sighting);
            let known = said.get(&sighting.address);
            if known.is_some_and(|(before, at)| *before == text && sighting.at.since(*at) < AGAIN) {
                continue;
            }
            say(&sighting, &text, as_json);
            said.insert(sighting.address, (text, sighting.at));
        }
    }
}

fn say(sighting: &Sighting, data: &str, as_json: bool) {
    let what = what(sighting);
    // A name is a stranger's: nothing in it may move the cursor.
    let name: String = sighting.name.as_deref().unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(40).collect();
    if as_json {
        let line = json!({ "address": sighting.address.to_string(), "rssi": sighting.rssi, "what": what, "name": sighting.name,
            "data": data });
        output::line(&line.to_string());
        return;
    }
    let rssi = sighting.rssi.map_or_else(|| "unknown".into(), |rssi| format!("{rssi} dBm"));
    output::line(format!("{:<17}  {rssi:>8}  {what:<14}  {name:<20}  {data}", sighting.address.to_string()).trim_end());
}

/// What it says that it is. Anybody can say any of it.
fn what(sighting: &Sighting) -> &'static str {
    let is_lock = LOCK_SERVICE.parse::<Uuid>().is_ok_and(|service| sighting.services.contains(&service));
    match &sighting.manufacturer {
        Some(data) if data.company == COMPANY && data.bytes() == ISSUER_DATA => "issuer",
        Some(data) if data.company == COMPANY && data.bytes().len() == 16 => "token",
        Some(data) if data.company == COMPANY && data.bytes().len() == 24 => "token of v2",
        Some(_) | None if is_lock => "lock",
        Some(_) | None => "something else",
    }
}

fn data(sighting: &Sighting) -> String {
    sighting.manufacturer.as_ref().map_or_else(String::new, |data| {
        data.bytes().iter().fold(format!("{:04x}:", data.company), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}
