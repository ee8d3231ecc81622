//! `doorward sim air`: the air between Bluetooth radios, and somebody who moves what is in it.

use crate::{
    failure::{Exit, Failure, Outcome},
    output, serve,
};
use doorward_sim::air::{Air, Config, Eavesdropper, Place};
use std::{io::BufRead as _, str::FromStr};
use tokio::sync::mpsc;

/// Where everybody is until they are carried elsewhere, and where a token is played again.
const DOOR: Place = Place::new(0.0, 0.0, 0.0);
const HELP: &str = "guest 12 · unplug lock · plug lock · restart lock · replay · Enter shows who is there";

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Wish {
    Show,
    Carry(String, f64),
    Unplug(String),
    PlugIn(String),
    Restart(String),
    Replay,
}

impl FromStr for Wish {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        Ok(match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => Self::Show,
            ["replay"] => Self::Replay,
            ["unplug", who] => Self::Unplug(who.into()),
            ["plug", who] => Self::PlugIn(who.into()),
            ["restart", who] => Self::Restart(who.into()),
            [who, metres] => {
                let metres: f64 = metres.parse().map_err(|_| ())?;
                if !(0.0..=10_000.0).contains(&metres) {
                    return Err(());
                }
                Self::Carry(who.into(), metres)
            }
            _ => return Err(()),
        })
    }
}

pub(super) async fn run(config: Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    let listen = config.listen;
    let air = Air::start(config).await.map_err(|error| Failure::failed(format!("the simulator cannot start at {listen}: {error}")))?;
    let place = format!("air:{}", air.address());
    output::line(&format!("The simulated air is at {}", air.address()));
    output::line(&format!("  issuer, guest, lock, scan   --radio {place}"));
    output::line(&format!("  a house                     ble.radio and ble.issuer = \"{place}\""));
    output::line(&format!("  type                        {HELP}"));
    let listener = air.eavesdrop(DOOR);
    let mut wishes = lines();
    let obey = async {
        while let Some(line) = wishes.recv().await {
            match line.parse() {
                Ok(wish) => obey(&air, &listener, &wish),
                Err(()) => output::line(&format!("That is none of: {HELP}")),
            }
        }
        // Whoever types nothing more has not ended it.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stop => {}
        () = obey => {}
    }
    Ok(Exit::Done)
}

/// What is typed, line by line. The thread ends with the input, or with the program.
fn lines() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn obey(air: &Air, listener: &Eavesdropper, wish: &Wish) {
    let radios = air.radios();
    match wish {
        Wish::Show if radios.is_empty() => output::line("nobody is there yet"),
        Wish::Show => radios.iter().for_each(|name| output::line(name)),
        Wish::Carry(who, metres) => {
            each(&radios, who, &format!("is {metres} m away"), |name| air.carry(name, Place::new(*metres, 0.0, 0.0)));
        }
        Wish::Unplug(who) => each(&radios, who, "is unplugged", |name| air.unplug(name)),
        Wish::PlugIn(who) => each(&radios, who, "is plugged in", |name| air.plug_in(name)),
        Wish::Restart(who) => each(&radios, who, "was restarted", |name| air.restart(name)),
        Wish::Replay => output::line(&format!("{} advertisements are played again", listener.replay_each(DOOR, |_| true))),
    }
}

/// Radios are called by what they are and their address: `guest C0:…`. All that are so are meant.
fn each(radios: &[String], who: &str, done: &str, act: impl Fn(&str)) {
    let meant: Vec<_> = radios.iter().filter(|name| name.split(' ').any(|word| word == who)).collect();
    if meant.is_empty() {
        output::line(&format!("there is no {who}; Enter shows who is there"));
    }
    for name in meant {
        act(name);
        output::line(&format!("{name} {done}"));
    }
}

#[cfg(test)]
mod tests {
    use super::Wish;

    #[test]
    fn what_is_typed_is_understood_or_refused() {
        for (line, wish) in [
            ("", Wish::Show),
            ("guest 12", Wish::Carry("guest".into(), 12.0)),
            (" lock  0.5 ", Wish::Carry("lock".into(), 0.5)),
            ("unplug lock", Wish::Unplug("lock".into())),
            ("plug lock", Wish::PlugIn("lock".into())),
            ("restart lock", Wish::Restart("lock".into())),
            ("replay", Wish::Replay),
        ] {
            assert_eq!(line.parse(), Ok(wish), "{line}");
        }
        for wrong in ["guest", "guest far", "guest -1", "guest NaN", "guest inf", "unplug", "guest 1 2"] {
            assert_eq!(wrong.parse::<Wish>(), Err(()), "{wrong}");
        }
    }
}
