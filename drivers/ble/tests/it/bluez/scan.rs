//! Listening.

use super::{DEVICE, HCI0, up, waits};
use crate::fake::{
    Back, Fake, PATIENCE,
    bytes::{Out, Raw, body},
};
use doorward_ble::{
    dbus::MOST_MESSAGE,
    radio::{Radio as _, RadioError, Scan, Sighting, Sightings, bluez::Waits, uuid16},
};
use doorward_core::Mono;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const DEVICE1: &str = "org.bluez.Device1";

async fn next(sightings: &mut Sightings) -> Sighting {
    timeout(PATIENCE, sightings.next()).await.unwrap().unwrap()
}

fn rssi(out: &mut Out, rssi: i16) {
    out.pair("RSSI", "n", |out| _ = out.i16(rssi));
}

#[tokio::test]
async fn an_advertisement_is_told_with_what_was_said_before() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    fake.appeared(DEVICE, |out| {
        out.pair("Name", "s", |out| _ = out.text("IssuerBeacon"));
        out.pair("UUIDs", "as", |out| _ = out.texts(&["0000180d-0000-1000-8000-00805f9b34fb", "no uuid"]));
        rssi(out, -40);
        out.manufacturer(0xFFFF, &[1, 0]);
    });
    let first = next(&mut sightings).await;
    assert_eq!((first.address.to_string().as_str(), first.rssi, first.name.as_deref()), (super::ADDRESS, Some(-40), Some("IssuerBeacon")));
    assert_eq!((first.services, first.at), (vec![uuid16(0x180D)], Mono(Duration::from_secs(7))));
    assert_eq!(first.manufacturer.map(|own| (own.company, own.bytes().to_vec())), Some((0xFFFF, vec![1, 0])));

    // A signal strength alone says nothing of the bytes that came with it; one that did not change is not said again.
    fake.changed(DEVICE, DEVICE1, |out| rssi(out, -60));
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(0xFFFF, &[2, 0]));
    let second = next(&mut sightings).await;
    assert_eq!((second.rssi, second.name.as_deref()), (Some(-60), Some("IssuerBeacon")));
    assert_eq!(second.manufacturer.unwrap().bytes(), [2, 0]);
    // 127 is none, and so is what no byte can say.
    for raw in [127, 300] {
        fake.changed(DEVICE, DEVICE1, |out| {
            rssi(out, raw);
            out.manufacturer(0xFFFF, &[3]);
        });
        assert_eq!(next(&mut sightings).await.rssi, None);
    }
    // A device without such data is told by its signal strength.
    let other = "/org/bluez/hci0/dev_AA_00_00_00_00_02";
    fake.changed(other, DEVICE1, |out| rssi(out, -70));
    let plain = next(&mut sightings).await;
    assert_eq!((plain.rssi, plain.manufacturer, plain.name), (Some(-70), None, None));
}

#[tokio::test]
async fn what_is_wrong_or_of_others_is_left_out() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan { company: Some(0xFFFF), ..Scan::default() }).await.unwrap();
    let said = |path: &str, data: &[u8], company| fake.changed(path, DEVICE1, |out| _ = out.manufacturer(company, data));
    said("/org/bluez/hci1/dev_AA_00_00_00_00_01", &[1], 0xFFFF);
    said("/org/bluez/hci01/dev_AA_00_00_00_00_01", &[2], 0xFFFF);
    said("/org/bluez/hci0/dev_AA_00_00_00_00", &[3], 0xFFFF);
    said("/org/bluez/hci0/dev_AA_00_00_00_00_0G", &[4], 0xFFFF);
    said(&format!("{DEVICE}/service0001"), &[5], 0xFFFF);
    said(DEVICE, &[6; 28], 0xFFFF);
    said(DEVICE, &[7], 0x004C);
    fake.changed(DEVICE, DEVICE1, |out| _ = out.pair("ManufacturerData", "as", |out| _ = out.texts(&["8"])));
    fake.changed(DEVICE, DEVICE1, |out| {
        _ = out.pair("ManufacturerData", "a{qv}", |out| {
            out.array(8, |out| _ = out.align(8).u16(0xFFFF).signature("s").text("9"));
        });
    });
    fake.changed(DEVICE, DEVICE1, |out| _ = out.pair("RSSI", "s", |out| _ = out.text("loud")));
    fake.changed(HCI0, DEVICE1, |out| _ = out.manufacturer(0xFFFF, &[10]));
    fake.signal(DEVICE, "org.freedesktop.DBus.Properties", "PropertiesChanged", "u", vec![0; 4]);
    // Two companies are two sightings, and this scan is for one.
    fake.changed(DEVICE, DEVICE1, |out| {
        _ = out.pair("ManufacturerData", "a{qv}", |out| {
            out.array(8, |out| {
                out.align(8).u16(0x004C).signature("ay").bytes(&[11]);
                out.align(8).u16(0xFFFF).signature("ay").bytes(&[12]);
            });
        });
    });
    assert_eq!(next(&mut sightings).await.manufacturer.unwrap().bytes(), [12]);
    assert_eq!((sightings.foreign(), sightings.dropped()), (2, 0));
}

#[tokio::test]
async fn all_who_listen_share_a_discovery_that_ends_with_the_last() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let first = radio.scan(Scan::default()).await.unwrap();
    let mut second = radio.scan(Scan::default()).await.unwrap();
    let filter = &fake.called("SetDiscoveryFilter")[0];
    assert!(filter.says("Transport") && filter.says("le") && filter.says("DuplicateData"), "{filter:?}");
    drop(first);
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[1]));
    next(&mut second).await;
    assert_eq!((fake.called("StartDiscovery").len(), fake.called("StopDiscovery").len()), (1, 0));
    drop(second);
    fake.until_called("StopDiscovery", 1).await;
    let _third = radio.scan(Scan::default()).await.unwrap();
    assert_eq!(fake.called("StartDiscovery").len(), 2);
}

#[tokio::test]
async fn a_scan_that_the_kernel_does_not_start_yet_is_tried_again() {
    let fake = Fake::start();
    let mut refused = 0;
    fake.on("StartDiscovery", move |_| {
        refused += 1;
        if refused <= 3 { Back::Error("org.bluez.Error.InProgress", "Operation already in progress") } else { Back::nothing() }
    });
    let radio = up(&fake, waits()).await;
    let _sightings = radio.scan(Scan::default()).await.unwrap();
    assert_eq!(fake.called("StartDiscovery").len(), 4);
}

#[tokio::test]
async fn a_scan_that_never_starts_ends_with_an_error() {
    let fake = Fake::start();
    fake.on("StartDiscovery", |_| Back::Error("org.bluez.Error.InProgress", "Operation already in progress"));
    let radio = up(&fake, Waits { scan: Duration::from_millis(100), ..waits() }).await;
    let refused = radio.scan(Scan::default()).await.err();
    assert!(matches!(refused, Some(RadioError::Timeout(_))), "{refused:?}");
    fake.on("StartDiscovery", |_| Back::Error("org.bluez.Error.NotReady", "Resource Not Ready"));
    assert!(matches!(radio.scan(Scan::default()).await.err(), Some(RadioError::Down(..))));
    fake.on("StartDiscovery", |_| Back::nothing());
    radio.scan(Scan::default()).await.unwrap();
}

#[tokio::test]
async fn a_scan_that_somebody_stops_ends_and_can_be_started_again() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    fake.changed(HCI0, "org.bluez.Adapter1", |out| _ = out.pair("Discovering", "b", |out| _ = out.u32(0)));
    assert_eq!(timeout(PATIENCE, sightings.next()).await.unwrap(), None);
    let mut again = radio.scan(Scan::default()).await.unwrap();
    // What is left of the first does not end the second.
    drop(sightings);
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[1]));
    next(&mut again).await;
    assert_eq!(fake.called("StartDiscovery").len(), 2);
}

#[tokio::test]
async fn names_of_those_who_are_known_already_are_known_unless_there_are_too_many() {
    let fake = Fake::start();
    let device = |out: &mut Out, path: &str| {
        out.align(8).text(path).array(8, |out| {
            out.align(8).text(DEVICE1).dict(|out| _ = out.pair("Name", "s", |out| _ = out.text("Known")));
        });
    };
    fake.on("GetManagedObjects", move |_| Back::Values("a{oa{sa{sv}}}", body(|out| _ = out.array(8, |out| device(out, DEVICE)))));
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[1]));
    assert_eq!(next(&mut sightings).await.name.as_deref(), Some("Known"));
    drop(sightings);
    fake.until_called("StopDiscovery", 1).await;

    fake.on("GetManagedObjects", move |_| {
        Back::Bytes(Box::new(move |serial| {
            let body = body(|out| _ = out.array(8, |out| (0..MOST_MESSAGE / 64).for_each(|_| device(out, DEVICE))));
            let sender = crate::fake::DAEMON.into();
            Raw { kind: 2, serial: 9, reply_to: serial, sender, signature: "a{oa{sa{sv}}}".into(), body, ..Raw::default() }.bytes()
        }))
    });
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[1]));
    assert_eq!(next(&mut sightings).await.name, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_advertisements_a_second_do_not_stop_anything() {
    const HEARD: u32 = 10_000;
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut slow = radio.scan(Scan { waiting: 100, ..Scan::default() }).await.unwrap();
    let _server = radio.serve(vec![]).await.unwrap();
    let root = fake.called("RegisterApplication")[0].clone();
    let path = (0..10).map(|number| format!("/org/doorward/ble/services{number}")).find(|path| root.says(path)).unwrap();
    let before = Instant::now();
    for number in 0..HEARD {
        let [_, a, b, c] = number.to_be_bytes();
        fake.changed(&format!("/org/bluez/hci0/dev_AA_00_00_{a:02X}_{b:02X}_{c:02X}"), DEVICE1, |out| {
            _ = out.manufacturer(0xFFFF, &[a, b, c]);
        });
    }
    // BlueZ is answered in the middle of it.
    let objects = fake.call(&path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", vec![]).await;
    assert_eq!(objects.kind, 2);
    let answered = before.elapsed();
    fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[]));
    let mut told = 0;
    while next(&mut slow).await.manufacturer.is_some_and(|own| own.company == 0xFFFF) {
        told += 1;
        if told == 100 {
            // From here on there is room: what is said now is heard.
            fake.changed(DEVICE, DEVICE1, |out| _ = out.manufacturer(1, &[]));
        }
    }
    assert!(answered < Duration::from_secs(10), "{answered:?}");
    // What is said behind them may have found no room either.
    assert!(u64::from(HEARD) + 1 >= told + slow.dropped(), "{told} and {}", slow.dropped());
    assert!(slow.dropped() > 0);
}
