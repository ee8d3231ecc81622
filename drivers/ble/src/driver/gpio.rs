//! A line of the machine's pins (GPIO character device) that opens for a moment.
//!
//! The line is taken at the start, switched off, and held: between two openings it is driven, and no other program has it. It is
//! switched off again whatever ends an opening. A process that is killed in the middle switches nothing: the kernel takes the
//! line back, and most chips leave it as it is until the next start. So what hangs on it should release by itself, as a strike
//! with a time relay does.

use doorward_core::driver::{Ctx, Fault};
use gpiocdev_uapi::v2::{LineConfig, LineFlags, LineRequest, LineValues, Name, Offsets, get_chip_info, get_line, set_line_values};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::Mutex;

/// The shortest and the longest opening, in milliseconds.
const PULSE: std::ops::RangeInclusive<u32> = 10..=10_000;
/// How long it opens when nothing is said.
const USUAL: u32 = 500;

/// A line, as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpioSpec {
    /// The chip: `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line's number on that chip.
    pub line: u32,
    /// For how many milliseconds it is switched on; 500 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse_ms: Option<u32>,
    /// On is low voltage, as many relay boards want it.
    #[serde(default)]
    pub active_low: bool,
}

/// A line that opens.
#[derive(Debug)]
pub(super) struct Gpio {
    spec: GpioSpec,
    pulse: Duration,
    /// Held from the first time that it was needed.
    line: Mutex<Option<Held>>,
}

/// What can be switched.
trait Switch: Send {
    fn switch(&mut self, on: bool) -> io::Result<()>;
}

/// A line that is ours. It goes back to the kernel when this is dropped.
#[derive(Debug)]
struct Held(File);

impl Gpio {
    /// A line that is there, or what is there instead.
    pub(super) fn find(spec: &GpioSpec) -> Result<Self, (&'static str, String)> {
        let pulse = spec.pulse_ms.unwrap_or(USUAL);
        if !PULSE.contains(&pulse) {
            return Err(("gpio.pulse_ms", format!("must be {} to {} milliseconds", PULSE.start(), PULSE.end())));
        }
        let chip = open(&spec.chip).and_then(|chip| get_chip_info(&chip).map_err(other));
        let chip = chip.map_err(|error| ("gpio.chip", format!("cannot be used ({error}): {}", there(Path::new("/dev")))))?;
        if spec.line >= chip.num_lines {
            let most = chip.num_lines.saturating_sub(1);
            return Err(("gpio.line", format!("must be 0 to {most}: {} has {} lines", spec.chip.display(), chip.num_lines)));
        }
        Ok(Self { spec: spec.clone(), pulse: Duration::from_millis(pulse.into()), line: Mutex::default() })
    }

    /// Takes the line, and switches it off. One that is in use is taken when it is needed.
    pub(super) async fn ready(&self, door: &str) {
        let mut line = self.line.lock().await;
        if line.is_none() {
            match Held::take(&self.spec) {
                Ok(held) => *line = Some(held),
                Err(error) => tracing::error!(door, %error, line = self.spec.line, "the line that opens the door cannot be taken"),
            }
        }
    }

    /// Switches it on for its time, and off again.
    pub(super) async fn open(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        let mut line = self.line.lock().await;
        let held = match line.take() {
            Some(held) => held,
            None => Held::take(&self.spec).map_err(|error| {
                let person = "The line that opens the lock cannot be used. See whether another program has it.";
                Fault::refused(person, format!("line {} of {}: {error}", self.spec.line, self.spec.chip.display()))
            })?,
        };
        pulse(line.insert(held), self.pulse, ctx).await
    }
}

impl Held {
    fn take(spec: &GpioSpec) -> io::Result<Self> {
        let low = if spec.active_low { LineFlags::ACTIVE_LOW } else { LineFlags::empty() };
        let request = LineRequest {
            offsets: Offsets::from_slice(&[spec.line]),
            consumer: Name::from("doorward"),
            config: LineConfig { flags: LineFlags::OUTPUT | low, ..LineConfig::default() },
            num_lines: 1,
            ..LineRequest::default()
        };
        // An output begins switched off unless the request says otherwise.
        get_line(&open(&spec.chip)?, request).map(Self).map_err(other)
    }
}

impl Switch for Held {
    fn switch(&mut self, on: bool) -> io::Result<()> {
        set_line_values(&self.0, &LineValues::from_slice(&[on])).map_err(other)
    }
}

/// On while this lives, and then off.
struct On<'a, S: Switch>(Option<&'a mut S>);

impl<S: Switch> On<'_, S> {
    fn off(&mut self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), |line| line.switch(false))
    }
}

impl<S: Switch> Drop for On<'_, S> {
    fn drop(&mut self) {
        if let Err(error) = self.off() {
            tracing::error!(%error, "the line that opens a door cannot be switched off");
        }
    }
}

async fn pulse<S: Switch>(line: &mut S, span: Duration, ctx: &dyn Ctx) -> Result<(), Fault> {
    let mut on = On(Some(line));
    let Some(line) = &mut on.0 else { return Ok(()) };
    line.switch(true).map_err(|error| Fault::refused("The line that opens the lock cannot be switched.", error.to_string()))?;
    ctx.sleep(span).await;
    let stuck = "The line that opens the lock cannot be switched off: the door may stand open. Look at it.";
    on.off().map_err(|error| Fault::timeout(stuck, error.to_string()))
}

fn open(chip: &Path) -> io::Result<File> {
    if !chip.starts_with("/dev") {
        return Err(io::Error::other("a chip is a device, as /dev/gpiochip0"));
    }
    File::options().read(true).write(true).open(chip)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err wants")]
fn other(error: gpiocdev_uapi::v2::Error) -> io::Error {
    io::Error::other(error.to_string())
}

/// The chips of a machine, for a person who has named another one.
fn there(folder: &Path) -> String {
    let mut chips: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gpiochip")))
        .map(|path| match open(&path).and_then(|chip| get_chip_info(&chip).map_err(other)) {
            Ok(chip) => format!("{} ({}, {} lines)", path.display(), String::from(&chip.label), chip.num_lines),
            Err(error) => format!("{} ({error})", path.display()),
        })
        .collect();
    chips.sort();
    if chips.is_empty() { "this machine has no /dev/gpiochip…".into() } else { format!("there is {}", chips.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_core::conformance::Bench;
    use doorward_wire::Time;
    use futures_util::FutureExt as _;
    use std::sync::{Arc, Mutex as Plain};

    /// A line that notes what it is told, and breaks before this word of it.
    #[derive(Default)]
    struct Noted {
        told: Arc<Plain<Vec<bool>>>,
        breaks: Option<bool>,
    }

    impl Switch for Noted {
        fn switch(&mut self, on: bool) -> io::Result<()> {
            self.told.lock().unwrap().push(on);
            if self.breaks == Some(on) { Err(io::Error::other("broken")) } else { Ok(()) }
        }
    }

    const SPAN: Duration = Duration::from_millis(500);

    fn bench() -> Bench {
        Bench::new(Time::from_micros(0))
    }

    #[tokio::test]
    async fn a_line_is_on_for_its_time_and_off_again() {
        let (bench, mut line) = (bench(), Noted::default());
        let told = Arc::clone(&line.told);
        let mut opening = Box::pin(pulse(&mut line, SPAN, &bench));
        assert!(opening.as_mut().now_or_never().is_none());
        bench.advance(Duration::from_millis(499));
        assert!(opening.as_mut().now_or_never().is_none());
        assert_eq!(*told.lock().unwrap(), [true]);
        bench.advance(Duration::from_millis(1));
        assert_eq!(opening.await, Ok(()));
        assert_eq!(*told.lock().unwrap(), [true, false]);
    }

    #[tokio::test]
    async fn a_line_is_off_again_when_nobody_waits_any_more() {
        let (bench, mut line) = (bench(), Noted::default());
        let told = Arc::clone(&line.told);
        let mut opening = Box::pin(pulse(&mut line, SPAN, &bench));
        assert!(opening.as_mut().now_or_never().is_none());
        drop(opening);
        assert_eq!(*told.lock().unwrap(), [true, false]);
    }

    #[tokio::test]
    async fn a_line_that_cannot_be_switched_is_told_for_what_it_is() {
        let bench = bench();
        let mut line = Noted { breaks: Some(true), ..Noted::default() };
        let fault = pulse(&mut line, SPAN, &bench).await.unwrap_err();
        assert_eq!(fault.family, doorward_core::driver::Family::Refused, "it did not open");
        assert_eq!(*line.told.lock().unwrap(), [true, false], "and is off to be sure");

        let mut line = Noted { breaks: Some(false), ..Noted::default() };
        let mut opening = Box::pin(pulse(&mut line, SPAN, &bench));
        assert!(opening.as_mut().now_or_never().is_none());
        bench.advance(SPAN);
        let fault = opening.await.unwrap_err();
        assert_eq!(fault.family, doorward_core::driver::Family::Timeout, "it opened, and may stand open");
    }

    #[test]
    fn a_chip_that_is_none_is_named_with_those_that_are_there() {
        let spec = |chip: &str| GpioSpec { chip: chip.into(), line: 17, ..GpioSpec::default() };
        for chip in ["/dev/null", "/dev/gpiochip99", "/etc/passwd", "gpiochip0"] {
            let (key, hint) = Gpio::find(&spec(chip)).unwrap_err();
            assert_eq!(key, "gpio.chip");
            assert!(hint.contains("gpiochip"), "{hint}");
        }
        let (key, _) = Gpio::find(&GpioSpec { pulse_ms: Some(60_000), ..spec("/dev/gpiochip0") }).unwrap_err();
        assert_eq!(key, "gpio.pulse_ms");
        let folder = tempfile::tempdir().unwrap();
        assert!(there(folder.path()).contains("has no"));
        std::fs::write(folder.path().join("gpiochip3"), b"").unwrap();
        assert!(there(folder.path()).contains("gpiochip3"));
    }
}
