//! What works while everything is there.

use crate::{CHARACTERISTIC, Lab, SERVICE, hear};
use anyhow::{Context as _, Result, ensure};
use doorward_ble::radio::{
    Advertisement, Connection, Fields, Incoming, Notifications, PeerId, Radio as _, RadioError, Scan, Server, uuid16,
};
use doorward_wire::ble::{ADVERTISED_SERVICE, COMPANY, ISSUER_NAME};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Bytes of a body, and of one of its pieces.
const BODY: usize = 300;
const PIECE: usize = 120;

/// The guest finds the issuer, connects, writes, is notified and reads.
pub(crate) async fn talk(lab: &Lab) -> Result<()> {
    let (_beacon, server) = lab.beacon().await?;
    let mut sightings = lab.listen(&lab.guest).await?;
    let heard = lab.hear_beacon(&mut sightings).await?;
    ensure!(heard.rssi.is_none(), "a signal strength of 127 is none: {heard:?}");
    ensure!(heard.name.as_deref() == Some(ISSUER_NAME), "its name: {heard:?}");
    ensure!(heard.services.contains(&uuid16(ADVERTISED_SERVICE)), "its service: {heard:?}");

    // The controllers of the lab say everything once to each scan, and a connection begins when something is heard.
    drop(sightings);
    let connection = lab.timed("connected, and known what it has", async { Ok(lab.guest.connect(heard.address).await?) }).await?;
    ensure!(connection.has(SERVICE, CHARACTERISTIC), "what it has: {:?}", connection.services());
    println!("             MTU {}, {} services", connection.mtu(), connection.services().len());
    let again = lab.guest.connect(heard.address).await.err();
    ensure!(matches!(again, Some(RadioError::Busy(_))), "a second connection: {again:?}");
    let mut told = lab.timed("subscribed", async { Ok(connection.subscribe(CHARACTERISTIC).await?) }).await?;

    let peer = exchange(lab, &*server, &*connection, &mut told).await?;
    let gone = lab.timed("disconnected", async {
        connection.disconnect().await;
        loop {
            if let Incoming::Gone(id) = server.next().await.context("the server ended")? {
                return Ok(id);
            }
        }
    });
    ensure!(gone.await? == peer, "it is the one that asked");
    ensure!(told.next().await.is_none(), "nothing is told after the end");
    let late = connection.read(CHARACTERISTIC).await;
    ensure!(matches!(late, Err(RadioError::Disconnected(_))), "a read after the end: {late:?}");
    let gone = server.notify(peer, CHARACTERISTIC, b"late").await;
    ensure!(matches!(gone, Err(RadioError::Disconnected(_))), "a notification after the end: {gone:?}");

    let nobody = "0A:0B:0C:0D:0E:0F".parse()?;
    let nobody = lab.timed("nobody has an address", async { Ok(lab.guest.connect(nobody).await.err()) }).await?;
    ensure!(matches!(nobody, Some(RadioError::NotFound(_))), "{nobody:?}");
    // BlueZ starts its scan anew every ten seconds.
    let mut sightings = lab.listen(&lab.guest).await?;
    let still = timeout(Duration::from_secs(12), async { while sightings.next().await.is_some() {} }).await;
    ensure!(still.is_err(), "the scan goes on");
    Ok(())
}

/// Three writes, an echo of each, a read of all.
async fn exchange(lab: &Lab, server: &dyn Server, connection: &dyn Connection, told: &mut Notifications) -> Result<PeerId> {
    let body: Vec<u8> = (0..BODY).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
    let answers = async {
        let (mut whole, mut peer) = (Vec::new(), None);
        loop {
            match server.next().await.context("the server ended")? {
                Incoming::Write { peer: who, characteristic, value, reply } => {
                    ensure!(characteristic == CHARACTERISTIC, "what is written: {characteristic}");
                    ensure!(who.address.to_string() == "00:AA:01:01:00:01", "who writes: {who:?}");
                    ensure!(peer.replace(who.id).is_none_or(|before| before == who.id), "one connection is one peer");
                    whole.extend(&value);
                    reply.give(Ok(()));
                    // Twice the same: both are told.
                    server.notify(who.id, CHARACTERISTIC, &value).await?;
                    server.notify(who.id, CHARACTERISTIC, &value).await?;
                }
                Incoming::Read { peer: who, reply, .. } => {
                    reply.give(Ok(whole.clone()));
                    return Ok(who.id);
                }
                Incoming::Subscribed { .. } | Incoming::Gone(_) => {}
            }
        }
    };
    let asks = async {
        for piece in body.chunks(PIECE) {
            lab.timed("a piece is written, and told twice", async {
                connection.write(CHARACTERISTIC, piece).await?;
                for _ in 0..2 {
                    let back = told.next().await.context("the notifications ended")?;
                    ensure!(back == piece, "what is told is what was written: {back:02x?}");
                }
                Ok(())
            })
            .await?;
        }
        let read = lab.timed("all is read", async { Ok(connection.read(CHARACTERISTIC).await?) }).await?;
        ensure!(read == body, "what is read: {} bytes", read.len());
        let echo = timeout(Duration::from_millis(500), told.next()).await;
        ensure!(echo.is_err(), "what is read is not told: {echo:?}");
        Ok(())
    };
    let (peer, ()) = tokio::try_join!(answers, asks)?;
    whole_write(lab, server, connection, &body).await?;
    Ok(peer)
}

/// One write of all of it, which takes the MTU or several parts; and one that is refused.
async fn whole_write(lab: &Lab, server: &dyn Server, connection: &dyn Connection, body: &[u8]) -> Result<()> {
    let taken = async {
        let mut taken = Vec::new();
        while taken.len() < 2 {
            if let Incoming::Write { value, reply, .. } = server.next().await.context("the server ended")? {
                reply.give(if taken.is_empty() { Ok(()) } else { Err(doorward_ble::radio::AttError::NotPermitted) });
                taken.push(value);
            }
        }
        Ok(taken)
    };
    let writes = async {
        lab.timed("300 bytes are written at once", async { Ok(connection.write(CHARACTERISTIC, body).await?) }).await?;
        let refused = connection.write(CHARACTERISTIC, b"no").await;
        ensure!(matches!(refused, Err(RadioError::Refused(_))), "a write that is refused: {refused:?}");
        Ok(())
    };
    let (taken, ()) = tokio::try_join!(taken, writes)?;
    ensure!(taken == [body, b"no"], "what was written");
    Ok(())
}

/// The guest advertises tokens that change, and the issuer's adapter hears each.
pub(crate) async fn roll(lab: &Lab) -> Result<()> {
    let mut sightings = lab.listen(&lab.issuer).await?;
    let token = |number: u8| {
        let data = Fields::new().manufacturer(COMPANY, &[number; 16]);
        Advertisement::new(data).response(Fields::new().service16(ADVERTISED_SERVICE).name("Unlocker"))
    };
    let first = lab.timed("advertised", async { Ok(lab.guest.advertise(token(0)).await?) });
    let mut advertising = first.await?;
    let heard = lab.timed("the first token is heard", hear(&mut sightings, &[0; 16])).await?;
    ensure!(heard.name.as_deref() == Some("Unlocker"), "its name: {heard:?}");
    ensure!(heard.services == [uuid16(ADVERTISED_SERVICE)], "its service: {heard:?}");
    // Who cannot be connected to advertises from random addresses.
    let mut addresses = vec![heard.address];
    for number in 1..=8 {
        let heard = lab.timed("a token is replaced, and heard", async {
            advertising.replace(token(number)).await?;
            hear(&mut sightings, &[number; 16]).await
        });
        addresses.push(heard.await?.address);
    }
    addresses.dedup();
    println!("             from {} addresses", addresses.len());
    let second = lab.guest.scan(Scan::default()).await?;
    drop((advertising, second));
    // What is dropped is taken back by itself.
    sleep(Duration::from_millis(500)).await;
    let left = std::process::Command::new("dbus-send")
        .args(["--system", "--print-reply", "--dest=org.bluez", "/org/bluez/hci1", "org.freedesktop.DBus.Properties.Get"])
        .args(["string:org.bluez.LEAdvertisingManager1", "string:ActiveInstances"])
        .output()?;
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    ensure!(left.contains("byte 0"), "nothing is advertised any more: {left}");
    Ok(())
}
