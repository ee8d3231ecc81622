//! Serving.

use super::{ADDRESS, DEVICE, up, waits};
use crate::fake::{
    Back, Fake, PATIENCE,
    bytes::{Out, Raw, body},
};
use doorward_ble::radio::{
    AttError, Can, Characteristic, Incoming, MOST_REQUESTS, Peer, PeerId, Radio, RadioError, Server, Service, bluez::Waits,
};
use std::time::Duration;
use tokio::time::timeout;
use uuid::{Uuid, uuid};

const SERVICE: Uuid = uuid!("c0de0001-0000-1000-8000-00805f9b34fb");
const BOTH: Uuid = uuid!("c0de0002-0000-1000-8000-00805f9b34fb");
const SILENT: Uuid = uuid!("c0de0003-0000-1000-8000-00805f9b34fb");
const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
const OTHER: &str = "/org/bluez/hci0/dev_AA_00_00_00_00_02";

async fn serve(radio: &dyn Radio) -> Result<Box<dyn Server>, RadioError> {
    let both = Characteristic { uuid: BOTH, can: Can { read: true, write: true, notify: true, write_without_response: true } };
    let silent = Characteristic { uuid: SILENT, can: Can::default() };
    radio.serve(vec![Service { uuid: SERVICE, characteristics: vec![both, silent] }]).await
}

/// Where the first characteristic is.
fn path(fake: &Fake) -> String {
    let call = fake.called("RegisterApplication").pop().unwrap();
    let roots = (0..20).map(|number| format!("/org/doorward/ble/services{number}\0"));
    format!("{}/service0/char0", roots.into_iter().find(|path| call.says(path)).unwrap().trim_end_matches('\0'))
}

fn options(out: &mut Out, device: &str, offset: Option<u16>, kind: &str) {
    out.dict(|out| {
        out.pair("device", "o", |out| _ = out.text(device));
        out.pair("mtu", "q", |out| _ = out.u16(247));
        out.pair("link", "s", |out| _ = out.text("LE"));
        out.pair("type", "s", |out| _ = out.text(kind));
        if let Some(offset) = offset {
            out.pair("offset", "q", |out| _ = out.u16(offset));
        }
    });
}

async fn read(fake: &Fake, path: &str, device: &str, offset: Option<u16>) -> Raw {
    fake.call(path, CHARACTERISTIC, "ReadValue", "a{sv}", body(|out| options(out, device, offset, "request"))).await
}

fn writing(device: &str, value: &[u8], kind: &str) -> Vec<u8> {
    body(|out| options(out.bytes(value), device, None, kind))
}

async fn write(fake: &Fake, path: &str, device: &str, value: &[u8]) -> Raw {
    fake.call(path, CHARACTERISTIC, "WriteValue", "aya{sv}", writing(device, value, "request")).await
}

async fn next(server: &dyn Server) -> Incoming {
    timeout(PATIENCE, server.next()).await.unwrap().unwrap()
}

fn connected(fake: &Fake, device: &str, is: bool) {
    fake.changed(device, "org.bluez.Device1", |out| _ = out.pair("Connected", "b", |out| _ = out.u32(is.into())));
}

/// Somebody writes, and it is taken.
async fn met(fake: &Fake, server: &dyn Server, path: &str, device: &str) -> Peer {
    let taken = async {
        let Incoming::Write { peer, value, reply, .. } = next(server).await else { panic!("no write") };
        assert_eq!(value, b"hello");
        reply.give(Ok(()));
        peer
    };
    let (peer, answer) = tokio::join!(taken, write(fake, path, device, b"hello"));
    assert_eq!(answer.kind, 2);
    peer
}

#[tokio::test]
async fn bluez_reads_what_is_served() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let root = path.strip_suffix("/service0/char0").unwrap();
    let all = fake.call(root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", vec![]).await;
    assert_eq!(all.signature, "a{oa{sa{sv}}}");
    for part in [&SERVICE.to_string(), &BOTH.to_string(), &SILENT.to_string(), "Primary", "read", "notify", "write-without-response", &path]
    {
        assert!(all.says(part), "{part}");
    }
    let get = async |path: &str, interface: &str| {
        fake.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", body(|out| _ = out.text(interface))).await
    };
    assert!(get(&path, CHARACTERISTIC).await.says(&BOTH.to_string()));
    assert!(get(&format!("{root}/service0"), "org.bluez.GattService1").await.says("Primary"));
    assert_eq!(get(&path, "org.bluez.GattService1").await.kind, 3);

    let refused = serve(&radio).await.err();
    assert!(matches!(refused, Some(RadioError::Busy(_))), "{refused:?}");
    drop(server);
    assert!(fake.until_called("UnregisterApplication", 1).await[0].says(root));
    let _server = serve(&radio).await.unwrap();
    let twice = radio.serve(vec![Service { uuid: SERVICE, characteristics: vec![Characteristic { uuid: BOTH, can: Can::default() }; 2] }]);
    assert!(matches!(twice.await.err(), Some(RadioError::Refused(_))));
}

#[tokio::test]
async fn a_read_in_parts_is_one_value() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let answer = async {
        let Incoming::Read { peer, characteristic, reply } = next(&*server).await else { panic!("no read") };
        assert_eq!((peer.address.to_string().as_str(), peer.mtu, characteristic), (ADDRESS, 247, BOTH));
        reply.give(Ok((0..=255).collect()));
    };
    let ((), first) = tokio::join!(answer, read(&fake, &path, DEVICE, None));
    assert_eq!((first.kind, first.body.len(), first.body[4..8].to_vec()), (2, 260, vec![0, 1, 2, 3]));
    // What follows is of that value, and nobody is asked again.
    let rest = read(&fake, &path, DEVICE, Some(246)).await;
    assert_eq!(rest.body[4..], (246..=255).collect::<Vec<u8>>());
    assert_eq!(read(&fake, &path, DEVICE, Some(256)).await.body, [0, 0, 0, 0]);
    assert_eq!(read(&fake, &path, DEVICE, Some(257)).await.error, "org.bluez.Error.InvalidOffset");
    assert_eq!(read(&fake, &path, OTHER, Some(1)).await.error, "org.bluez.Error.InvalidOffset");
}

#[tokio::test]
async fn what_is_not_taken_is_an_error_of_att() {
    let fake = Fake::start();
    let radio = up(&fake, Waits { gatt: Duration::from_millis(200), ..waits() }).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    for (error, name) in [
        (Some(AttError::NotPermitted), "org.bluez.Error.NotPermitted"),
        (Some(AttError::InvalidLength), "org.bluez.Error.InvalidValueLength"),
        (Some(AttError::Unlikely), "org.bluez.Error.Failed"),
        (None, "org.bluez.Error.Failed"),
    ] {
        let refuse = async {
            let Incoming::Write { reply, .. } = next(&*server).await else { panic!("no write") };
            // A reply that is dropped is an answer too.
            if let Some(error) = error {
                reply.give(Err(error));
            }
        };
        let ((), answer) = tokio::join!(refuse, write(&fake, &path, DEVICE, b"x"));
        assert_eq!(answer.error, name);
    }
    // One that never comes.
    let forgotten = async { next(&*server).await };
    let (_forgotten, answer) = tokio::join!(forgotten, read(&fake, &path, DEVICE, None));
    assert_eq!(answer.error, "org.bluez.Error.Failed");
    // What nobody is asked about.
    let silent = path.replace("char0", "char1");
    assert_eq!(read(&fake, &silent, DEVICE, None).await.error, "org.bluez.Error.NotPermitted");
    assert_eq!(write(&fake, &silent, DEVICE, b"x").await.error, "org.bluez.Error.NotPermitted");
    assert_eq!(write(&fake, &path, DEVICE, &[0; 513]).await.error, "org.bluez.Error.InvalidValueLength");
    assert_eq!(write(&fake, &path, "/org/bluez/hci1/dev_AA_00_00_00_00_01", b"x").await.error, "org.bluez.Error.Failed");
    let part = body(|out| options(out.bytes(b"x"), DEVICE, Some(1), "request"));
    assert_eq!(fake.call(&path, CHARACTERISTIC, "WriteValue", "aya{sv}", part).await.error, "org.bluez.Error.InvalidValueLength");
    assert_eq!(fake.call(&path, CHARACTERISTIC, "WriteValue", "u", vec![0; 4]).await.error, "org.freedesktop.DBus.Error.UnknownMethod");
    assert_eq!(fake.call(&path, CHARACTERISTIC, "AcquireWrite", "", vec![]).await.error, "org.freedesktop.DBus.Error.UnknownMethod");
}

#[tokio::test]
async fn one_connection_is_one_peer_and_its_end_is_told() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let first = met(&fake, &*server, &path, DEVICE).await;
    assert_eq!(met(&fake, &*server, &path, DEVICE).await, first);
    let other = met(&fake, &*server, &path, OTHER).await;
    assert_ne!(other.id, first.id);
    connected(&fake, DEVICE, false);
    let Incoming::Gone(gone) = next(&*server).await else { panic!("nobody is gone") };
    assert_eq!(gone, first.id);
    assert_ne!(met(&fake, &*server, &path, DEVICE).await.id, first.id);
    // Also when BlueZ forgets the device.
    fake.removed(OTHER, "org.bluez.Device1");
    let Incoming::Gone(gone) = next(&*server).await else { panic!("nobody is gone") };
    assert_eq!(gone, other.id);
    assert!(!server.tells_one());
}

#[tokio::test]
async fn what_is_told_goes_out_as_a_changed_value() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let peer = met(&fake, &*server, &path, DEVICE).await;
    for _ in 0..2 {
        server.notify(peer.id, BOTH, b"the same twice").await.unwrap();
    }
    let told = |heard: &[Raw]| heard.iter().filter(|raw| raw.kind == 4 && raw.path == path && raw.says("the same twice")).count();
    fake.until("two changes", |heard| (told(heard) == 2).then_some(())).await;
    let long = server.notify(peer.id, BOTH, &[0; 245]).await;
    assert_eq!(long, Err(RadioError::TooLong { what: "a notification", have: 245, most: 244 }));
    assert!(matches!(server.notify(peer.id, SERVICE, b"").await, Err(RadioError::NotFound(_))));
    assert!(matches!(server.notify(PeerId(99), BOTH, b"").await, Err(RadioError::Disconnected(_))));
    connected(&fake, DEVICE, false);
    let Incoming::Gone(_) = next(&*server).await else { panic!("nobody is gone") };
    assert!(matches!(server.notify(peer.id, BOTH, b"").await, Err(RadioError::Disconnected(_))));
}

#[tokio::test]
async fn who_subscribes_is_told_while_one_is_connected() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let subscribe = async |member: &str| fake.call(&path, CHARACTERISTIC, member, "", vec![]).await.kind;
    assert_eq!(subscribe("StartNotify").await, 2, "by nobody who is known");
    connected(&fake, DEVICE, true);
    assert_eq!(subscribe("StartNotify").await, 2);
    let Incoming::Subscribed { peer, characteristic, on } = next(&*server).await else { panic!("nobody subscribed") };
    assert_eq!((peer.address.to_string().as_str(), characteristic, on), (ADDRESS, BOTH, true));
    assert_eq!(met(&fake, &*server, &path, DEVICE).await.id, peer.id);
    connected(&fake, OTHER, true);
    assert_eq!(subscribe("StopNotify").await, 2, "by one of two");
    connected(&fake, DEVICE, false);
    // The next that is told is the end.
    let Incoming::Gone(gone) = next(&*server).await else { panic!("nobody is gone") };
    assert_eq!(gone, peer.id);
    let silent = path.replace("char0", "char1");
    assert_eq!(fake.call(&silent, CHARACTERISTIC, "StartNotify", "", vec![]).await.error, "org.bluez.Error.NotSupported");
}

#[tokio::test]
async fn requests_that_nobody_takes_are_refused_and_ends_are_told_all_the_same() {
    let fake = Fake::start();
    fake.on("Ping", |_| Back::nothing());
    let radio = up(&fake, waits()).await;
    let server = serve(&radio).await.unwrap();
    let path = path(&fake);
    let peer = met(&fake, &*server, &path, DEVICE).await;
    for number in 0..MOST_REQUESTS {
        let value = writing(DEVICE, &number.to_be_bytes(), "command");
        assert_eq!(fake.call(&path, CHARACTERISTIC, "WriteValue", "aya{sv}", value).await.kind, 2);
    }
    assert_eq!(write(&fake, &path, DEVICE, b"one more").await.error, "org.bluez.Error.Failed");
    connected(&fake, DEVICE, false);
    for _ in 0..MOST_REQUESTS {
        assert!(matches!(next(&*server).await, Incoming::Write { .. }));
    }
    let Incoming::Gone(gone) = next(&*server).await else { panic!("nobody is gone") };
    assert_eq!(gone, peer.id);
}
