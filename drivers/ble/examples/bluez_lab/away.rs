//! What happens when something goes away and comes back.

use crate::{Lab, PATIENCE};
use anyhow::{Context as _, Result, ensure};
use doorward_ble::radio::{Down, Incoming, Radio as _, RadioError, bluez::BlueZ};
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How the machine of the tests starts its `bluetoothd`.
const DAEMON: &str = "exec bluetoothd --nodetach --experimental --configfile /run/bluetooth.conf";

fn shell(script: &str) -> Result<()> {
    let status = Command::new("bash").arg("-c").arg(script).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}

/// Starts something that stays.
fn start(script: &str) -> Result<()> {
    Command::new("bash").arg("-c").arg(script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(())
}

/// Waits until an adapter is down for this reason.
async fn down(radio: &BlueZ, why: Down) -> Result<()> {
    let mut last = None;
    let waited = timeout(PATIENCE, async {
        loop {
            last = radio.state().now().trouble;
            if matches!(last, Some(RadioError::Down(own, _)) if own == why) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.ok().with_context(|| format!("not {why:?} but {last:?}"))
}

/// Something ends all that goes on; then it comes back.
async fn interrupt(lab: &Lab, why: Down, away: impl FnOnce() -> Result<()>, back: impl FnOnce() -> Result<()>) -> Result<()> {
    let (mut beacon, server) = lab.beacon().await?;
    let mut sightings = lab.listen(&lab.guest).await?;
    let heard = lab.hear_beacon(&mut sightings).await?;
    drop(sightings);
    let connection = lab.timed("connected", async { Ok(lab.guest.connect(heard.address).await?) }).await?;
    let mut sightings = lab.listen(&lab.guest).await?;
    let before = lab.issuer.state().now().generation;

    away()?;
    lab.timed("it is noticed", async {
        down(&lab.issuer, why).await?;
        connection.closed().await;
        Ok(())
    })
    .await?;
    lab.timed("all that went on has ended", async {
        // Of the requests that wait, none is new.
        while let Some(left) = server.next().await {
            ensure!(matches!(left, Incoming::Gone(_) | Incoming::Subscribed { .. }), "after the end: {left:?}");
        }
        if why != Down::NotPowered {
            while sightings.next().await.is_some() {}
        }
        let replaced = beacon.replace(doorward_ble::radio::Advertisement::new(doorward_ble::radio::Fields::new())).await;
        ensure!(matches!(replaced, Err(RadioError::Gone(_))), "an advertisement after the end: {replaced:?}");
        let refused = lab.issuer.serve(vec![]).await.err();
        ensure!(matches!(refused, Some(RadioError::Down(..))), "serving after the end: {refused:?}");
        Ok(())
    })
    .await?;
    drop((beacon, server, sightings, connection));
    sleep(Duration::from_secs(1)).await;

    back()?;
    lab.both_up().await?;
    ensure!(lab.issuer.state().now().generation == before + 1, "one generation after the other: {:?}", lab.issuer.state().now());
    let (_beacon, _server) = lab.beacon().await?;
    let mut sightings = lab.listen(&lab.guest).await?;
    let heard = lab.hear_beacon(&mut sightings).await?;
    drop(sightings);
    let connection = lab.timed("connected again", async { Ok(lab.guest.connect(heard.address).await?) }).await?;
    lab.timed("disconnected", async {
        connection.disconnect().await;
        Ok(())
    })
    .await
}

/// `bluetoothd` ends and is started again.
pub(crate) async fn restart(lab: &Lab, how: &str) -> Result<()> {
    interrupt(lab, Down::NoDaemon, || shell(how), || start(DAEMON)).await
}

/// Somebody switches the adapter off and on.
pub(crate) async fn power(lab: &Lab) -> Result<()> {
    let switch = |on: bool| {
        shell(&format!(
            "dbus-send --system --print-reply --dest=org.bluez /org/bluez/hci0 org.freedesktop.DBus.Properties.Set \
             string:org.bluez.Adapter1 string:Powered variant:boolean:{on}"
        ))
    };
    interrupt(lab, Down::NotPowered, || switch(false), || switch(true)).await
}

/// The bus itself ends, and `bluetoothd` with it.
pub(crate) async fn bus(lab: &Lab) -> Result<()> {
    let back = || start(&format!("dbus-daemon --system --nopidfile; {DAEMON}"));
    interrupt(lab, Down::NoBus, || shell("kill -9 $(pidof dbus-daemon); kill -9 $(pidof bluetoothd) || true"), back).await
}
