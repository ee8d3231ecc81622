//! What opens a door: a message, a program, a pin of the machine, or another door of the house.

use super::config::Actuator;
use doorward_core::driver::{Ctx, Fault, Message, Once};
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

/// How long a program may take. Whoever stands at the door has gone by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker that knows MQTT 5 drops the message after this time.
const FRESH: Duration = Duration::from_secs(5);

/// Opens the door, at most once.
pub(super) async fn open(ctx: &dyn Ctx, door: &str, actuator: &Actuator, once: Once) -> Result<(), Fault> {
    once.check(ctx.now())?;
    match actuator {
        Actuator::Mqtt { topic, payload } => {
            let message = Message { topic: topic.clone(), payload: payload.clone(), retain: false, fresh_for: Some(FRESH) };
            ctx.publish(message).await
        }
        Actuator::Command(words) => run(ctx, door, words).await,
        Actuator::Gpio(line) => line.open(ctx).await,
        Actuator::Door(other) => ctx.open_for(door, other, once).await,
    }
}

/// Runs a program as it is written: no shell reads it, so nothing that a guest says can be a command.
async fn run(ctx: &dyn Ctx, door: &str, words: &[String]) -> Result<(), Fault> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Fault::refused("The lock has no command to open with.", "the command is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("DOORWARD_DOOR", door).kill_on_drop(true);
    command.envs(["PATH", "LANG", "TZ"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let cannot = "The lock's command cannot be started. See whether it is there and may be run.";
    let mut child = command.spawn().map_err(|error| Fault::refused(cannot, format!("{program} cannot be started: {error}")))?;
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = ctx.sleep(PATIENCE) => {
            let log = format!("{program} did not end within {} s and was ended", PATIENCE.as_secs());
            return Err(Fault::timeout("The lock's command did not end in time. Nobody knows whether the door opened.", log));
        }
    };
    match ended {
        Ok(status) if status.success() => Ok(()),
        // It ran, and may have opened before it failed.
        Ok(status) => {
            Err(Fault::timeout("The lock's command failed. Nobody knows whether the door opened.", format!("{program}: {status}")))
        }
        Err(error) => {
            Err(Fault::timeout("The lock's command was lost. Nobody knows whether the door opened.", format!("{program}: {error}")))
        }
    }
}
