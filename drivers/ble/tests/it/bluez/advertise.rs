//! Advertising.

use super::{up, waits};
use crate::fake::{
    Back, Fake,
    bytes::{Raw, body},
};
use doorward_ble::radio::{Advertisement, Fields, Radio as _, RadioError};

const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";

/// The object that was registered last.
fn registered(fake: &Fake) -> String {
    let call = fake.called("RegisterAdvertisement").pop().unwrap();
    let numbers = (0..20).map(|number| format!("/org/doorward/ble/advertisement{number}\0"));
    numbers.into_iter().find(|path| call.says(path)).unwrap().trim_end_matches('\0').into()
}

/// What `BlueZ` reads of it.
async fn all(fake: &Fake, path: &str) -> Raw {
    fake.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", body(|out| _ = out.text(ADVERTISEMENT))).await
}

fn token(number: u8) -> Advertisement {
    Advertisement::new(Fields::new().manufacturer(0xFFFF, &[number; 16])).response(Fields::new().service16(0x180D).name("Unlocker"))
}

#[tokio::test]
async fn bluez_reads_what_is_advertised() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let advertising = radio.advertise(token(7)).await.unwrap();
    let path = registered(&fake);
    let all = all(&fake, &path).await;
    assert_eq!((all.kind, all.signature.as_str()), (2, "a{sv}"));
    for part in ["broadcast", "Unlocker", "0000180d-0000-1000-8000-00805f9b34fb", "MinInterval", "MaxInterval", "ManufacturerData"] {
        assert!(all.says(part), "{part}");
    }
    assert!(all.has(&[7; 16]) && !all.says("Appearance") && !all.says("Discoverable"));
    let other = fake.call(&path, "org.freedesktop.DBus.Properties", "GetAll", "s", body(|out| _ = out.text("a.b"))).await;
    assert_eq!((other.kind, other.error.as_str()), (3, "org.freedesktop.DBus.Error.UnknownMethod"));
    drop(advertising);
    assert!(fake.until_called("UnregisterAdvertisement", 1).await[0].says(&path));
    let gone = self::all(&fake, &path).await;
    assert_eq!(gone.error, "org.freedesktop.DBus.Error.UnknownObject");
}

#[tokio::test]
async fn what_is_replaced_is_told_in_place_and_only_what_changed() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut advertising = radio.advertise(token(7)).await.unwrap();
    let path = registered(&fake);
    let all_told = |heard: &[Raw]| heard.iter().filter(|raw| raw.kind == 4 && raw.path == path).cloned().collect::<Vec<_>>();
    advertising.replace(token(8)).await.unwrap();
    // It returns once BlueZ has answered what came after it.
    let changed = fake.until("a change", |heard| all_told(heard).first().cloned()).await;
    let order = fake.until("both", |heard| heard.iter().rposition(|raw| raw.member == "Ping")).await;
    assert!(fake.until("both", |heard| heard.iter().position(|raw| raw.kind == 4)).await < order);
    assert!(changed.has(&[8; 16]) && !changed.says("Unlocker") && !changed.says("Type"), "{changed:?}");
    assert!(all(&fake, &path).await.has(&[8; 16]));

    // The same again is nothing new.
    advertising.replace(token(8)).await.unwrap();
    let less = Advertisement { response: Fields::new(), ..token(8) };
    advertising.replace(less.clone()).await.unwrap();
    let told = fake.until("two changes", |heard| Some(all_told(heard)).filter(|changes| changes.len() >= 2)).await;
    assert_eq!(told.len(), 2);
    assert!(told[1].says("LocalName") && told[1].says("ServiceUUIDs") && !told[1].says("Unlocker"), "{:?}", told[1]);
    assert_eq!(fake.called("RegisterAdvertisement").len(), 1);

    // To another kind it is registered anew.
    advertising.replace(less.connectable()).await.unwrap();
    assert_eq!((fake.called("UnregisterAdvertisement").len(), fake.called("RegisterAdvertisement").len()), (1, 2));
    let all = all(&fake, &path).await;
    assert!(all.says("peripheral") && all.says("Discoverable"));
}

#[tokio::test]
async fn services_of_the_scan_response_that_do_not_fit_are_left_out() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    // 24 bytes of data, with their header 28, and the flags: 31.
    let full = Advertisement::new(Fields::new().manufacturer(0xFFFF, &[9; 24])).response(Fields::new().service16(0x180D).name("Unlocker"));
    let _advertising = radio.advertise(full).await.unwrap();
    let all = all(&fake, &registered(&fake)).await;
    assert!(all.says("Unlocker") && !all.says("ServiceUUIDs"));
}

#[tokio::test]
async fn what_cannot_be_advertised_is_an_error_and_leaves_nothing() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let long = Advertisement::new(Fields::new().manufacturer(0xFFFF, &[0; 25]));
    assert!(matches!(radio.advertise(long).await.err(), Some(RadioError::TooLong { .. })));
    assert_eq!(fake.called("RegisterAdvertisement").len(), 0);
    let refused = async |name, text| {
        fake.on("RegisterAdvertisement", move |_| Back::Error(name, text));
        radio.advertise(token(1)).await.err().unwrap()
    };
    let full = refused("org.bluez.Error.NotPermitted", "Maximum advertisements reached").await;
    assert!(matches!(full, RadioError::Busy(_)), "{full:?}");
    let wrong = refused("org.bluez.Error.InvalidArguments", "Invalid arguments in method call").await;
    assert!(matches!(wrong, RadioError::Refused(_)), "{wrong:?}");
    fake.until_called("UnregisterAdvertisement", 2).await;
    // A name that the bus cannot carry.
    let zero = radio.advertise(Advertisement::new(Fields::new().name("a\0b"))).await.err();
    assert!(matches!(zero, Some(RadioError::Refused(_))), "{zero:?}");
    fake.on("RegisterAdvertisement", |_| Back::nothing());
    radio.advertise(token(1)).await.unwrap();
}
