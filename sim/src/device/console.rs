//! A device's serial line, as a pseudo-terminal: what it prints when it starts, the commands of firmware B, and Improv.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open as open_file};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::{Firmware, Shared, lock};

/// Bytes of a line that it takes.
const LINE: usize = 512;

pub(super) fn open(shared: Arc<Shared>) -> io::Result<PathBuf> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?;
    let path = PathBuf::from(name);
    // Held open, so that the line does not end with whoever reads it first; raw, as a serial line is.
    let held = open_file(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    let mut modes = tcgetattr(&held)?;
    modes.make_raw();
    tcsetattr(&held, OptionalActions::Now, &modes)?;
    std::thread::Builder::new().name("serial line".into()).spawn(move || {
        let _held = held;
        let mut console = Console { shared, master, line: Vec::new(), greeted: 0 };
        // Whoever pulls the cable ends it.
        let _ = console.run();
    })?;
    Ok(path)
}

struct Console {
    shared: Arc<Shared>,
    master: OwnedFd,
    line: Vec<u8>,
    /// For which start it has printed its greeting.
    greeted: u32,
}

impl Console {
    fn run(&mut self) -> io::Result<()> {
        let mut bytes = [0; 256];
        while !self.shared.is_stopping() {
            let boots = *lock(&self.shared.boots);
            if boots != self.greeted {
                self.greeted = boots;
                self.greet()?;
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&wait))? == 0 {
                continue;
            }
            let length = rustix::io::read(&self.master, &mut bytes)?;
            for byte in &bytes[..length] {
                self.take(*byte)?;
            }
        }
        Ok(())
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.write(format!("{text}\r\n").as_bytes())
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let length = rustix::io::write(&self.master, bytes)?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn greet(&self) -> io::Result<()> {
        self.say("========================================")?;
        self.say(&format!("BLE-Gateway-XIAO v{}", self.shared.version()))?;
        self.say(&format!("Device ID: {}", self.shared.id()))
    }

    fn take(&mut self, byte: u8) -> io::Result<()> {
        self.line.push(byte);
        if self.shared.config.firmware == Firmware::C && self.line.starts_with(b"IMPROV") {
            return self.improv();
        }
        if byte == b'\n' || self.line.len() > LINE {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
            if !line.is_empty() && self.shared.config.firmware != Firmware::A {
                return self.command(&line);
            }
        }
        Ok(())
    }

    fn command(&self, line: &str) -> io::Result<()> {
        // The echo shows the password, as the firmware's does.
        self.say(&format!("> {line}"))?;
        if let Some(rest) = line.strip_prefix("PROVISION:") {
            return self.provision(rest);
        }
        if let Some(url) = line.strip_prefix("OTA:") {
            return self.say(&format!("Starting update from {url}"));
        }
        match line {
            "STATUS" => {
                self.say(&format!("Device ID: {}", self.shared.id()))?;
                self.say(&format!("MAC: {}", self.shared.mac()))?;
                self.say(&format!("MQTT user: {}", lock(&self.shared.memory).mqtt_user))
            }
            "CLEAR" => {
                *lock(&self.shared.memory) = super::Memory::default();
                self.say("✓ All credentials cleared")
            }
            "REBOOT" => {
                self.shared.restart.notify_one();
                self.say("Rebooting...")
            }
            "HELP" => self.say("Commands: PROVISION, STATUS, CLEAR, REBOOT, OTA, HELP"),
            _ => self.say("Unknown command"),
        }
    }

    fn provision(&self, rest: &str) -> io::Result<()> {
        // The second colon is mandatory even without a token.
        let parts: Vec<&str> = rest.split(':').collect();
        let [user, password, token] = parts[..] else { return self.say("✗ Invalid format. Use PROVISION:user:pass:token") };
        if user.is_empty() || password.is_empty() {
            return self.say("✗ Invalid credentials");
        }
        {
            let mut memory = lock(&self.shared.memory);
            (memory.mqtt_user, memory.mqtt_pass) = (user.into(), password.into());
            if !token.is_empty() {
                memory.device_token = token.into();
            }
        }
        self.say("✓ Credentials stored successfully!")
    }

    /// Improv, read as its standard has it: `IMPROV`, 1, type, length, data, sum.
    fn improv(&mut self) -> io::Result<()> {
        let Some(length) = self.line.get(8).map(|length| usize::from(*length)) else { return Ok(()) };
        if self.line.len() < 10 + length {
            return Ok(());
        }
        let frame = std::mem::take(&mut self.line);
        let sum = frame[..9 + length].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        if frame[6] != 1 || frame[7] != 3 || sum != frame[9 + length] {
            return self.frame(2, &[1]);
        }
        let data = &frame[9..9 + length];
        // Every command is first told that nothing is wrong.
        self.frame(2, &[0])?;
        match data {
            [1, _, rest @ ..] => self.join(rest),
            [2, ..] => {
                let joined = !lock(&self.shared.memory).wifi_ssid.is_empty();
                self.frame(1, &[if joined { 4 } else { 2 }])
            }
            _ => self.frame(2, &[2]),
        }
    }

    fn join(&self, data: &[u8]) -> io::Result<()> {
        let mut texts = Vec::new();
        let mut rest = data;
        while let [length, more @ ..] = rest {
            let Some((text, after)) = more.split_at_checked(usize::from(*length)) else { return self.frame(2, &[1]) };
            texts.push(String::from_utf8_lossy(text).into_owned());
            rest = after;
        }
        let [ssid, password] = texts.as_slice() else { return self.frame(2, &[1]) };
        self.frame(1, &[3])?;
        if !self.shared.joins(ssid, password) {
            self.frame(2, &[3])?;
            return self.frame(1, &[2]);
        }
        {
            let mut memory = lock(&self.shared.memory);
            (memory.wifi_ssid, memory.wifi_pass) = (ssid.clone(), password.clone());
        }
        self.frame(1, &[4])?;
        self.frame(4, &[1, 0])
    }

    fn frame(&self, kind: u8, data: &[u8]) -> io::Result<()> {
        let mut frame = b"IMPROV\x01".to_vec();
        frame.extend_from_slice(&[kind, u8::try_from(data.len()).unwrap_or_default()]);
        frame.extend_from_slice(data);
        frame.push(frame.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
        frame.push(b'\n');
        self.write(&frame)
    }
}
