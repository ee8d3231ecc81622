//! `doorward device serial`: a device on a cable gets its identity, its broker and, where its firmware speaks Improv, its Wi-Fi.

use super::port::{self, Port};
use crate::{
    client::{Client, segment},
    commands::{ask, deadline::Deadline},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_core::Secret;
use doorward_wire::{
    device::{DeviceId, Provisioned},
    improv::{self, Heard, Reader, State, Trouble},
};
use serde_json::{Value, json};
use std::{collections::VecDeque, path::PathBuf, time::Duration};

/// How long a device may take to say who it is: it may just have been plugged in.
const HELLO: Duration = Duration::from_secs(20);
/// How often it is asked.
const ASK: Duration = Duration::from_secs(3);
/// How long it may take to answer a command.
const ANSWER: Duration = Duration::from_secs(8);
/// How long it may take to connect to its Wi-Fi.
const WIFI: Duration = Duration::from_secs(45);
/// What a device says before its identifier.
const ID: &str = "Device ID:";

/// What is asked for.
pub(super) struct Wish {
    pub(super) port: String,
    pub(super) wifi_ssid: Option<String>,
    pub(super) wifi_password_file: Option<PathBuf>,
    pub(super) clear: bool,
    pub(super) ota: Option<String>,
    pub(super) wait: Option<Duration>,
    pub(super) name: Option<String>,
    pub(super) verbose: bool,
}

pub(super) async fn run(client: &Client, as_json: bool, wish: &Wish) -> Outcome {
    let path = port::find(&wish.port)?;
    let wifi = match &wish.wifi_ssid {
        Some(ssid) => Some((ssid.clone(), ask::secret(wish.wifi_password_file.as_deref(), "Password of the Wi-Fi")?)),
        None => None,
    };
    let mut line =
        Line { port: Port::open(&path)?, reader: Reader::default(), heard: VecDeque::new(), hidden: Vec::new(), shown: wish.verbose };
    let say = |text: &str| {
        if !as_json {
            output::note(text);
        }
    };
    say(&format!("{}: waiting for the device to say who it is", path.display()));
    let id = line.who()?;
    say(&format!("It is {id}."));
    if wish.clear {
        line.command("CLEAR", &["All credentials cleared"])?;
        say("Its credentials are cleared, also those of its Wi-Fi.");
    }
    let told: Provisioned = client.post("/devices", json!({ "id": id, "name": wish.name })).await?;
    line.provision(&told)?;
    say("It has stored its credentials.");
    if let Some((ssid, password)) = &wifi {
        line.wifi(ssid, password)?;
        say(&format!("It is connected to {ssid}."));
    }
    if let Some(address) = &wish.ota {
        line.port.write(format!("OTA:{address}\n").as_bytes())?;
        say("It was told to fetch its firmware.");
    } else {
        line.port.write(b"REBOOT\n")?;
        say("It starts again.");
    }
    let online = match wish.wait {
        Some(wait) => Some(online(client, &id, wait).await?),
        None => None,
    };
    if as_json {
        output::json(&json!({ "device_id": id, "port": path, "online": online }));
    } else {
        output::line(&match online {
            Some(true) => format!("{id} is provisioned, and connected to the broker."),
            Some(false) => {
                format!("{id} is provisioned. It did not connect to the broker in time: look at its Wi-Fi and at fleet.mqtt_host.")
            }
            None => format!("{id} is provisioned."),
        });
    }
    Ok(if online == Some(false) { Exit::Pending } else { Exit::Done })
}

/// Waits until a device is at the broker.
pub(super) async fn online(client: &Client, id: &DeviceId, wait: Duration) -> Result<bool, Failure> {
    let deadline = Deadline::within(wait);
    while !deadline.is_over() {
        let device: Value = client.get(&format!("/devices/{}", segment(id.as_str()))).await?;
        if device["state"] == "online" {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(false)
}

/// The line to a device.
struct Line {
    port: Port,
    reader: Reader,
    heard: VecDeque<Heard>,
    /// What is never shown, in whatever it echoes.
    hidden: Vec<Secret<String>>,
    shown: bool,
}

impl Line {
    /// The next thing that it says.
    fn next(&mut self, until: &Deadline) -> Result<Option<Heard>, Failure> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                if let Heard::Line(text) = &heard {
                    self.show(text);
                }
                return Ok(Some(heard));
            }
            if until.is_over() {
                return Ok(None);
            }
            let bytes = self.port.read(until.left().min(Duration::from_millis(250)))?;
            self.heard.extend(self.reader.take(&bytes));
        }
    }

    fn show(&self, text: &str) {
        if self.shown {
            let masked = self.hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal().as_str(), "***"));
            output::note(&format!("  | {masked}"));
        }
    }

    /// Who it is: it says so when it starts, and when it is asked how it stands.
    fn who(&mut self) -> Result<DeviceId, Failure> {
        let end = Deadline::within(HELLO);
        while !end.is_over() {
            let again = Deadline::within(ASK);
            while let Some(heard) = self.next(&again)? {
                if let Heard::Line(text) = &heard
                    && let Some((_, id)) = text.split_once(ID)
                    && let Ok(id) = id.trim().parse()
                {
                    return Ok(id);
                }
            }
            self.port.write(b"STATUS\n")?;
        }
        Err(Failure::failed("the device did not say “Device ID: …”").and("is it the right port? Press its reset button, and try again"))
    }

    /// Gives a command, and waits for one of these answers.
    fn command(&mut self, command: &str, good: &[&str]) -> Result<(), Failure> {
        self.port.write(format!("{command}\n").as_bytes())?;
        let until = Deadline::within(ANSWER);
        while let Some(heard) = self.next(&until)? {
            let Heard::Line(text) = heard else { continue };
            if good.iter().any(|good| text.contains(good)) {
                return Ok(());
            }
            if text.contains("Invalid format") || text.contains("Invalid credentials") {
                return Err(
                    Failure::failed("the device refused what it was told").and("is its firmware one that takes credentials over serial?")
                );
            }
        }
        Err(Failure::failed("the device did not answer").and("firmware A takes no commands: use its portal, or a factory image"))
    }

    fn provision(&mut self, told: &Provisioned) -> Result<(), Failure> {
        let Provisioned { mqtt_user, mqtt_password, device_token, .. } = told;
        if [mqtt_user, mqtt_password, device_token].iter().any(|part| part.contains(':')) {
            return Err(Failure::failed("its credentials hold a colon, which cannot be told over serial; rotate them"));
        }
        self.hidden.extend([mqtt_password, device_token].map(|secret| Secret::from(secret.as_str())));
        self.command(&format!("PROVISION:{mqtt_user}:{mqtt_password}:{device_token}"), &["Credentials stored successfully"])
    }

    /// Tells it its Wi-Fi by Improv.
    fn wifi(&mut self, ssid: &str, password: &Secret<String>) -> Result<(), Failure> {
        if !password.reveal().is_empty() {
            self.hidden.push(password.clone());
        }
        self.port.write(&improv::ask())?;
        let until = Deadline::within(ANSWER);
        let speaks = loop {
            match self.next(&until)? {
                Some(Heard::State(State::Locked)) => return Err(Failure::failed("press the button on the device first, and try again")),
                Some(Heard::State(_)) => break true,
                Some(Heard::Trouble(_) | Heard::Answer(_) | Heard::Line(_)) => {}
                None => break false,
            }
        };
        if !speaks {
            let hint = "leave --wifi-ssid out, and tell it its Wi-Fi by its portal: doorward device portal";
            return Err(Failure::failed("the firmware does not speak Improv, and takes its Wi-Fi by its portal alone").and(hint));
        }
        let frame = improv::wifi(ssid, password.reveal()).map_err(|error| Failure::usage(error.to_string()))?;
        self.port.write(&frame)?;
        let until = Deadline::within(WIFI);
        while let Some(heard) = self.next(&until)? {
            match heard {
                Heard::State(State::Connected) | Heard::Answer(_) => return Ok(()),
                Heard::Trouble(Trouble::CannotConnect) => {
                    return Err(Failure::failed(format!("the device cannot connect to {ssid}: is the password right?")));
                }
                Heard::Trouble(Trouble::None) | Heard::State(_) | Heard::Line(_) => {}
                Heard::Trouble(Trouble::Locked) => return Err(Failure::failed("press the button on the device first, and try again")),
                Heard::Trouble(Trouble::Invalid | Trouble::Unknown | Trouble::Other) => {
                    return Err(Failure::failed("the device did not take its Wi-Fi: its firmware says no more than that"));
                }
            }
        }
        Err(Failure::failed(format!("the device did not connect to {ssid} in time")))
    }
}
