//! Connecting, and asking.

use super::{ADDRESS, DEVICE, up, waits};
use crate::fake::{
    Back, Fake, PATIENCE,
    bytes::{Out, body},
};
use doorward_ble::radio::{Connection, MOST_VALUE, Notifications, Radio as _, RadioError, bluez::Waits};
use std::time::Duration;
use tokio::time::timeout;
use uuid::{Uuid, uuid};

const SERVICE: Uuid = uuid!("c0de0001-0000-1000-8000-00805f9b34fb");
const BOTH: Uuid = uuid!("c0de0002-0000-1000-8000-00805f9b34fb");
const DEVICE1: &str = "org.bluez.Device1";
const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
const SAYS: &str = "/org/bluez/hci0/dev_AA_00_00_00_00_01/service0001/char0002";

fn truth(out: &mut Out, name: &str, is: bool) {
    out.pair(name, "b", |out| _ = out.u32(is.into()));
}

fn description(names: &[&str]) -> Back {
    let nodes = names.iter().fold(String::new(), |nodes, name| nodes + "<node name=\"" + name + "\"/>");
    let text = format!("<node><interface name=\"org.bluez.Device1\"></interface>{nodes}</node>");
    Back::Values("s", body(|out| _ = out.text(&text)))
}

/// A device that is connected to at once, with one service and one characteristic of ours.
pub(super) fn tree(fake: &Fake) {
    fake.on("Introspect", |call| match call.path.as_str() {
        DEVICE => description(&["service0001", "service0009", "media0"]),
        "/org/bluez/hci0/dev_AA_00_00_00_00_01/service0001" => description(&["char0002"]),
        _ => description(&[]),
    });
    fake.on("GetAll", |call| {
        let texts: [(&str, &str); 1] = match call.path.as_str() {
            "/org/bluez/hci0" => return Back::Values("a{sv}", body(|out| _ = out.dict(|out| truth(out, "Powered", true)))),
            DEVICE => {
                let all = |out: &mut Out| {
                    truth(out, "Connected", true);
                    truth(out, "ServicesResolved", true);
                };
                return Back::Values("a{sv}", body(|out| _ = out.dict(all)));
            }
            SAYS => [("UUID", "c0de0002-0000-1000-8000-00805f9b34fb")],
            _ => [("UUID", "c0de0001-0000-1000-8000-00805f9b34fb")],
        };
        let all = |out: &mut Out| {
            for (name, text) in texts {
                out.pair(name, "s", |out| _ = out.text(text));
            }
            out.pair("Flags", "as", |out| _ = out.texts(&["read", "write", "notify"]));
            out.pair("MTU", "q", |out| _ = out.u16(247));
        };
        Back::Values("a{sv}", body(|out| _ = out.dict(all)))
    });
}

fn told(fake: &Fake, value: &[u8]) {
    fake.changed(SAYS, CHARACTERISTIC, |out| _ = out.pair("Value", "ay", |out| _ = out.bytes(value)));
}

fn connected(fake: &Fake, is: bool) {
    fake.changed(DEVICE, DEVICE1, |out| truth(out, "Connected", is));
}

async fn next(notifications: &mut Notifications) -> Vec<u8> {
    timeout(PATIENCE, notifications.next()).await.unwrap().unwrap()
}

async fn connect(fake: &Fake, waits: Waits) -> (impl Sized, Box<dyn Connection>) {
    tree(fake);
    let radio = up(fake, waits).await;
    let connection = radio.connect(ADDRESS.parse().unwrap()).await.unwrap();
    (radio, connection)
}

#[tokio::test]
async fn what_the_other_side_has_is_known() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, waits()).await;
    assert!(connection.has(SERVICE, BOTH) && !connection.has(BOTH, SERVICE));
    let can = connection.services()[0].characteristics[0].can;
    assert!(can.read && can.write && can.notify && !can.write_without_response);
    assert_eq!((connection.mtu(), connection.address().to_string().as_str()), (247, ADDRESS));
    assert_eq!(fake.called("StartDiscovery").len(), 0, "who is known is not looked for");
}

#[tokio::test]
async fn one_who_is_not_known_is_looked_for_and_one_that_is_lost_at_once_is_tried_again() {
    let fake = Fake::start();
    tree(&fake);
    let mut tries = 0;
    fake.on("Connect", move |_| {
        tries += 1;
        match tries {
            1 | 2 => Back::Error("org.freedesktop.DBus.Error.UnknownObject", "there is none"),
            3 => Back::Error("org.bluez.Error.Failed", "le-connection-abort-by-local"),
            4 => Back::Error("org.bluez.Error.InProgress", "In Progress"),
            _ => Back::nothing(),
        }
    });
    let radio = up(&fake, waits()).await;
    let address = ADDRESS.parse().unwrap();
    let appear = async {
        fake.until_called("Connect", 2).await;
        fake.appeared(DEVICE, |_| {});
    };
    let (connection, ()) = tokio::join!(radio.connect(address), appear);
    assert!(connection.unwrap().has(SERVICE, BOTH));
    assert_eq!((fake.called("Connect").len(), fake.called("StartDiscovery").len()), (5, 1));
    fake.until_called("StopDiscovery", 1).await;
}

#[tokio::test]
async fn services_that_are_not_known_yet_are_waited_for() {
    let fake = Fake::start();
    tree(&fake);
    let mut asked = 0;
    fake.on("GetAll", move |call| {
        if call.path == "/org/bluez/hci0" {
            return Back::Values("a{sv}", body(|out| _ = out.dict(|out| truth(out, "Powered", true))));
        }
        asked += 1;
        Back::Values("a{sv}", body(|out| _ = out.dict(|out| truth(out, "Connected", asked > 1))))
    });
    let radio = up(&fake, waits()).await;
    let resolve = async {
        // It was lost once; after the second time it stays.
        fake.until_called("Connect", 2).await;
        fake.until("its properties", |heard| {
            (heard.iter().filter(|raw| raw.member == "GetAll" && raw.path == DEVICE).count() == 2).then_some(())
        })
        .await;
        fake.changed(DEVICE, DEVICE1, |out| truth(out, "ServicesResolved", true));
    };
    let (connection, ()) = tokio::join!(radio.connect(ADDRESS.parse().unwrap()), resolve);
    assert!(connection.unwrap().services().is_empty());
}

#[tokio::test]
async fn nobody_and_one_that_does_not_answer_are_told_apart() {
    let fake = Fake::start();
    let radio = up(&fake, Waits { connect: Duration::from_millis(300), ..waits() }).await;
    let address = ADDRESS.parse().unwrap();
    fake.on("Connect", |_| Back::Error("org.freedesktop.DBus.Error.UnknownObject", "there is none"));
    let nobody = radio.connect(address).await.err();
    assert!(matches!(nobody, Some(RadioError::NotFound(_))), "{nobody:?}");
    fake.on("Connect", |_| Back::Silence);
    let silent = radio.connect(address).await.err();
    assert!(matches!(silent, Some(RadioError::Timeout(_))), "{silent:?}");
    fake.on("Connect", |_| Back::Error("org.bluez.Error.Failed", "Host is down"));
    let refused = radio.connect(address).await.err();
    assert!(matches!(refused, Some(RadioError::Refused(_))), "{refused:?}");
    // What was on its way is taken back, and nothing is left of it.
    fake.until_called("Disconnect", 3).await;
    fake.usual("Connect");
    tree(&fake);
    radio.connect(address).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_nobody_waits_for_any_more_is_taken_back() {
    let fake = Fake::start();
    tree(&fake);
    fake.on("Connect", |_| Back::Silence);
    let radio = up(&fake, waits()).await;
    tokio::select! {
        _ = radio.connect(ADDRESS.parse().unwrap()) => panic!("nobody answered"),
        _ = fake.until_called("Connect", 1) => {}
    }
    assert_eq!(fake.until_called("Disconnect", 1).await[0].path, DEVICE);
    fake.usual("Connect");
    let connection = radio.connect(ADDRESS.parse().unwrap()).await.unwrap();
    let again = radio.connect(ADDRESS.parse().unwrap()).await.err();
    assert!(matches!(again, Some(RadioError::Busy(_))), "{again:?}");
    drop(connection);
    fake.until_called("Disconnect", 2).await;
}

#[tokio::test]
async fn values_are_read_and_written() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, Waits { gatt: Duration::from_millis(500), ..waits() }).await;
    fake.on("ReadValue", |_| Back::Values("ay", body(|out| _ = out.bytes(b"value"))));
    assert_eq!(connection.read(BOTH).await.unwrap(), b"value");
    connection.write(BOTH, &[7; 300]).await.unwrap();
    connection.write_without_response(BOTH, &[8; 244]).await.unwrap();
    let writes = fake.called("WriteValue");
    assert!(writes[0].has(&[7; 300]) && writes[0].says("request") && writes[1].has(&[8; 244]) && writes[1].says("command"));
    let long = connection.write(BOTH, &[0; MOST_VALUE + 1]).await;
    assert!(matches!(long, Err(RadioError::TooLong { have: 513, most: 512, .. })), "{long:?}");
    let long = connection.write_without_response(BOTH, &[0; 245]).await;
    assert!(matches!(long, Err(RadioError::TooLong { have: 245, most: 244, .. })), "{long:?}");
    assert!(matches!(connection.read(SERVICE).await, Err(RadioError::NotFound(_))));

    fake.on("WriteValue", |_| Back::Error("org.bluez.Error.NotPermitted", "Write not permitted"));
    assert!(matches!(connection.write(BOTH, b"x").await, Err(RadioError::Refused(_))));
    fake.on("WriteValue", |_| Back::Error("org.bluez.Error.Failed", "Not connected"));
    assert!(matches!(connection.write(BOTH, b"x").await, Err(RadioError::Disconnected(_))));
    fake.on("WriteValue", |_| Back::Silence);
    assert!(matches!(connection.write(BOTH, b"x").await, Err(RadioError::Timeout(_))));
    fake.on("ReadValue", |_| Back::Values("s", body(|out| _ = out.text("value"))));
    assert!(matches!(connection.read(BOTH).await, Err(RadioError::Protocol(_))));
    fake.on("ReadValue", |_| Back::Error("org.freedesktop.DBus.Error.UnknownObject", "it is gone"));
    assert!(matches!(connection.read(BOTH).await, Err(RadioError::Disconnected(_))));
}

#[tokio::test]
async fn what_is_read_is_not_taken_for_something_that_was_told() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, waits()).await;
    let mut notifications = connection.subscribe(BOTH).await.unwrap();
    told(&fake, b"one");
    fake.on("ReadValue", |_| Back::Silence);
    let answer = async {
        let call = fake.until_called("ReadValue", 1).await.remove(0);
        // Told meanwhile, twice what is read, the second time as its echo; then the answer.
        for value in [b"two", b"new", b"new"] {
            told(&fake, value);
        }
        let raw = crate::fake::bytes::Raw {
            kind: 2,
            reply_to: call.serial,
            sender: crate::fake::DAEMON.into(),
            signature: "ay".into(),
            ..Default::default()
        };
        fake.send(crate::fake::bytes::Raw { body: body(|out| _ = out.bytes(b"new")), ..raw });
        told(&fake, b"three");
    };
    let (read, ()) = tokio::join!(connection.read(BOTH), answer);
    assert_eq!(read.unwrap(), b"new");
    for value in [&b"one"[..], b"two", b"new", b"three"] {
        assert_eq!(next(&mut notifications).await, value);
    }
}

#[tokio::test]
async fn who_tells_faster_than_anybody_reads_is_disconnected() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, waits()).await;
    let mut notifications = connection.subscribe(BOTH).await.unwrap();
    for number in 0..200u32 {
        told(&fake, &number.to_be_bytes());
    }
    timeout(PATIENCE, connection.closed()).await.unwrap();
    assert_eq!(fake.until_called("Disconnect", 1).await[0].path, DEVICE);
    let mut whole = 0u32;
    while let Some(value) = notifications.next().await {
        assert_eq!(value, whole.to_be_bytes());
        whole += 1;
    }
    assert!((1..200).contains(&whole), "{whole}");
}

#[tokio::test]
async fn notifications_that_are_dropped_are_not_asked_for_any_more() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, waits()).await;
    drop(connection.subscribe(BOTH).await.unwrap());
    told(&fake, b"nobody hears");
    fake.until_called("StopNotify", 1).await;
    fake.on("StartNotify", |_| Back::Error("org.bluez.Error.NotSupported", "Operation is not supported"));
    assert!(matches!(connection.subscribe(BOTH).await, Err(RadioError::Refused(_))));
}

#[tokio::test]
async fn the_end_of_a_connection_ends_all_that_waits_on_it() {
    let fake = Fake::start();
    let (_radio, connection) = connect(&fake, waits()).await;
    let mut notifications = connection.subscribe(BOTH).await.unwrap();
    fake.on("ReadValue", |_| Back::Silence);
    let end = async {
        fake.until_called("ReadValue", 1).await;
        connected(&fake, false);
    };
    let (read, ()) = tokio::join!(connection.read(BOTH), end);
    assert!(matches!(read, Err(RadioError::Disconnected(_))), "{read:?}");
    timeout(PATIENCE, connection.closed()).await.unwrap();
    assert_eq!(timeout(PATIENCE, notifications.next()).await.unwrap(), None);
    assert!(matches!(connection.write(BOTH, b"x").await, Err(RadioError::Disconnected(_))));
}
