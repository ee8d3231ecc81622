//! A serial port, or whatever else is a terminal: 115200 baud, eight bits, no parity, one stop bit.

use crate::failure::Failure;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::{read, write},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

/// An open port.
pub(super) struct Port(OwnedFd);

impl Port {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: rustix::io::Errno| {
            let failure = Failure::failed(format!("{} cannot be opened: {error}", path.display()));
            match error {
                rustix::io::Errno::ACCESS => {
                    failure.and("your user must be in the group dialout, or another one that may use serial ports")
                }
                _ => failure,
            }
        };
        let file = open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).map_err(cannot)?;
        let mut modes = tcgetattr(&file).map_err(|_| Failure::usage(format!("{} is no serial port", path.display())))?;
        modes.make_raw();
        modes.set_speed(115_200).map_err(cannot)?;
        tcsetattr(&file, OptionalActions::Now, &modes).map_err(cannot)?;
        Ok(Self(file))
    }

    /// What has come, waiting for it no longer than so long. Nothing when nothing did.
    pub(super) fn read(&self, wait: Duration) -> Result<Vec<u8>, Failure> {
        let wait = Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait)).map_err(lost)?;
        if ready == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; 1024];
        match read(&self.0, &mut bytes) {
            Ok(0) => Err(Failure::failed("the device was unplugged")),
            Ok(length) => {
                bytes.truncate(length);
                Ok(bytes)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(lost(error)),
        }
    }

    pub(super) fn write(&self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match write(&self.0, bytes) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None).map_err(lost)?;
                }
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }
}

fn lost(error: rustix::io::Errno) -> Failure {
    Failure::failed(format!("the serial port was lost: {error}"))
}

/// The port that is meant: a path, or the only one that there is for `auto`.
pub(super) fn find(wanted: &str) -> Result<PathBuf, Failure> {
    if wanted != "auto" {
        return Ok(wanted.into());
    }
    let names = std::fs::read_dir("/dev").map_err(|error| Failure::failed(format!("/dev: {error}")))?;
    let is_serial = |name: &str| name.starts_with("ttyUSB") || name.starts_with("ttyACM");
    let mut found: Vec<PathBuf> =
        names.filter_map(Result::ok).filter(|entry| entry.file_name().to_str().is_some_and(is_serial)).map(|entry| entry.path()).collect();
    found.sort();
    match found.as_slice() {
        [] => {
            Err(Failure::failed("no device is plugged in: there is no /dev/ttyUSB* and no /dev/ttyACM*").and("name its port with --port"))
        }
        [one] => Ok(one.clone()),
        many => {
            let names: Vec<String> = many.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::usage(format!("several devices are plugged in: {}", names.join(", "))).and("name the right one with --port"))
        }
    }
}
