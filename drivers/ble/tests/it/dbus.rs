//! The client of the bus: its bytes, and a bus that is slow, silent or wrong.

use crate::fake::{
    BUS, Back, DAEMON, Fake, PATIENCE,
    bytes::{Raw, body},
    raw,
};
use doorward_ble::dbus::{
    Bus, BusError, Inbox, Kind, MOST_DEPTH, MOST_MESSAGE, MOST_VALUES, Message, Patience, Value, decode, dict, encode,
};
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const CAPTURES: &str = include_str!("../captures/bluez-5.66.txt");

/// A message that `BlueZ` sent once.
fn captured(name: &str) -> Vec<u8> {
    let line = CAPTURES.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect()
}

fn all_captured() -> Vec<Vec<u8>> {
    let names = CAPTURES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
    names.map(captured).collect()
}

async fn connect(fake: &Fake, call: Duration) -> (Bus, Inbox) {
    Bus::connect(&fake.address, "org.bluez", Patience { call, ..Patience::default() }).await.unwrap()
}

#[test]
fn what_bluez_said_is_read_and_written_as_it_was() {
    let appeared = decode(&captured("device_appeared")).unwrap();
    assert_eq!((appeared.kind, appeared.member.as_str(), appeared.sender.as_str()), (Kind::Signal, "InterfacesAdded", ":1.1"));
    let device = appeared.body[1].at("org.bluez.Device1").unwrap();
    assert_eq!(device.at("Address").unwrap().as_text(), Some("00:AA:01:00:00:00"));
    assert_eq!(device.at("RSSI").unwrap().as_i16(), Some(127));
    let data =
        device.at("ManufacturerData").unwrap().pairs().map(|(company, data)| (company.as_u16(), data.as_bytes().map(<[u8]>::to_vec)));
    assert_eq!(data.collect::<Vec<_>>(), [(Some(0xFFFF), Some(vec![1, 0]))]);

    let written = decode(&captured("written")).unwrap();
    assert_eq!((written.member.as_str(), written.body[0].as_bytes()), ("WriteValue", Some(&b"no"[..])));
    assert_eq!(written.body[1].at("mtu").unwrap().as_u16(), Some(517));
    let refused = decode(&captured("refused")).unwrap();
    assert_eq!((refused.kind, refused.error.as_str()), (Kind::Error, "org.freedesktop.DBus.Error.UnknownObject"));

    for bytes in all_captured() {
        // Flags and the order of fields are the writer's own.
        let read = decode(&bytes).unwrap();
        assert_eq!(decode(&encode(&read).unwrap()).unwrap(), read);
    }
}

#[test]
fn a_call_is_written_byte_for_byte() {
    let call = Message { serial: 1, ..Message::call(BUS, "/org/freedesktop/DBus", BUS, "Hello", vec![]) };
    let mut expected = b"l\x01\x02\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0".to_vec();
    expected.extend(b"\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0");
    expected.extend(b"\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
    expected.extend(b"\x03\x01s\0\x05\0\0\0Hello\0\0\0");
    expected.extend(b"\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
    assert_eq!(encode(&call).unwrap(), expected);
}

#[test]
fn what_is_cut_off_or_too_long_is_refused() {
    for bytes in all_captured() {
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut off at {end}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
        let mut other = bytes.clone();
        other[0] = b'B';
        assert!(decode(&other).is_err(), "the high byte first");
    }
    assert_eq!(decode(&vec![0; MOST_MESSAGE + 1]), Err(BusError::TooLong(MOST_MESSAGE + 1)));
    let long = |bytes| encode(&Message { serial: 1, ..Message::call("a.b", "/", "a.b", "c", vec![Value::Bytes(vec![0; bytes])]) });
    assert!(long(MOST_MESSAGE - 256).is_ok());
    assert!(matches!(long(MOST_MESSAGE), Err(BusError::TooLong(_))));
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let said =
        |signature: &str, body| Raw { serial: 1, signature: signature.into(), body, sender: "x".into(), ..raw(4, "/", "a.b", "c") }.bytes();
    let variants = |depth: usize| {
        body(|out| {
            for _ in 0..depth {
                out.signature("v");
            }
            out.signature("y").u8(7);
        })
    };
    assert!(decode(&said("v", variants(MOST_DEPTH - 2))).is_ok());
    assert!(decode(&said("v", variants(MOST_DEPTH))).is_err());
    assert!(decode(&said("v", variants(40_000))).is_err());
    assert!(decode(&said(&"a".repeat(200), vec![0; 8])).is_err());
    // The shortest values that there are: variants of a byte.
    let many = |count| body(|out| _ = out.array(1, |out| (0..count).for_each(|_| _ = out.signature("y").u8(7))));
    assert!(decode(&said("av", many(MOST_VALUES / 2 - 8))).is_ok());
    assert!(decode(&said("av", many(MOST_VALUES / 2 + 8))).is_err());
    // A length that is more than there is.
    for length in [5u32, 1 << 20, 1 << 26, u32::MAX] {
        let body = body(|out| _ = out.u32(length).u32(0));
        for signature in ["ay", "as", "s", "a{sv}", "ax"] {
            assert!(decode(&said(signature, body.clone())).is_err(), "{signature} of {length}");
        }
    }
}

#[test]
fn what_the_bus_would_not_take_is_not_written() {
    let say = |value| encode(&Message { serial: 1, ..Message::call("a.b", "/", "a.b", "c", vec![value]) });
    assert!(say(Value::text("a\0b")).is_err());
    for path in ["", "a", "/a/", "//", "/a-b", "/ä"] {
        assert!(say(Value::path(path)).is_err(), "{path}");
    }
    assert!(say(Value::Struct(vec![])).is_err());
    assert!(say(Value::Array("s".into(), vec![Value::Byte(1)])).is_err());
    assert!(say(Value::Signature("{sv}".into())).is_err());
    assert!(say(Value::Array("q".into(), vec![Value::U16(1), Value::U16(2)])).is_ok());
}

fn value() -> impl Strategy<Value = Value> {
    let path = "(/[A-Za-z0-9_]{1,5}){1,4}";
    let leaf = prop_oneof![
        any::<u8>().prop_map(Value::Byte),
        any::<bool>().prop_map(Value::Bool),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        (-1e9..1e9).prop_map(Value::F64),
        "[^\0]{0,12}".prop_map(Value::Text),
        path.prop_map(Value::Path),
        Just(Value::Signature("a{sv}(yu)".into())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop::collection::vec("[^\0]{0,6}".prop_map(Value::Text), 0..5).prop_map(|texts| Value::Array("s".into(), texts)),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let pair = ("[a-z]{1,6}", inner.clone());
        prop_oneof![
            inner.clone().prop_map(|value| Value::Variant(Box::new(value))),
            prop::collection::vec(inner, 1..4).prop_map(Value::Struct),
            prop::collection::vec(pair, 0..5)
                .prop_map(|pairs| dict(pairs.iter().map(|(key, value)| (key.as_str(), value.clone())).collect::<Vec<_>>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(body in prop::collection::vec(value(), 0..4), serial in 1..u32::MAX) {
        let said = Message { serial, ..Message::call("org.bluez", "/org/bluez/hci0", "a.b", "C", body) };
        // What is deeper than it may be is refused on both sides.
        if let Ok(bytes) = encode(&said) {
            prop_assert_eq!(decode(&bytes).unwrap(), said);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let _ = decode(&[b"l\x04\x01\x01".as_slice(), &bytes].concat());
    }

    #[test]
    fn a_message_that_was_changed_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let all = all_captured();
        let mut bytes = which.get(&all).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&message).unwrap()).unwrap().body, message.body);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for_and_does_no_harm_when_it_is_late() {
    let fake = Fake::start();
    let (bus, _inbox) = connect(&fake, Duration::from_millis(200)).await;
    fake.on("Wait", |_| Back::Silence);
    let late = bus.call("org.bluez", "/", "a.b", "Wait", vec![]).await;
    assert!(matches!(late, Err(BusError::Late(_))), "{late:?}");
    let serial = fake.called("Wait")[0].serial;
    fake.send(Raw { kind: 2, reply_to: serial, sender: DAEMON.into(), ..Raw::default() });
    fake.on("Ask", |_| Back::Values("u", body(|out| _ = out.u32(7))));
    assert_eq!(bus.call("org.bluez", "/", "a.b", "Ask", vec![]).await.unwrap().body, [Value::U32(7)]);
    // A service that does not run is not started, and no call says otherwise.
    assert!(fake.called("Ask").iter().all(|call| call.flags == 2));
}

#[tokio::test]
async fn an_error_and_a_connection_that_ends_are_told() {
    let fake = Fake::start();
    let (bus, mut inbox) = connect(&fake, PATIENCE).await;
    fake.on("Ask", |_| Back::Error("org.bluez.Error.NotReady", "Resource Not Ready"));
    let refused = bus.call("org.bluez", "/", "a.b", "Ask", vec![]).await.unwrap_err();
    assert_eq!((refused.name(), refused.to_string().as_str()), (Some("NotReady"), "org.bluez.Error.NotReady: Resource Not Ready"));
    fake.on("Wait", |_| Back::Silence);
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.call("org.bluez", "/", "a.b", "Wait", vec![]).await }
    });
    fake.until_called("Wait", 1).await;
    fake.hang_up();
    assert_eq!(waiting.await.unwrap(), Err(BusError::Lost));
    assert_eq!(inbox.next().await, None);
    assert_eq!(bus.call("org.bluez", "/", "a.b", "Ask", vec![]).await, Err(BusError::Lost));
    assert!(bus.is_over() && bus.owner().is_none());
}

#[tokio::test]
async fn there_is_no_bus_or_it_does_not_let_us_in() {
    let fake = Fake::start();
    let patience = Patience { call: Duration::from_millis(200), ..Patience::default() };
    let connect = async |address: &str| Bus::connect(address, "org.bluez", patience).await.map(drop).unwrap_err();
    for address in ["unix:path=/nowhere/bus", "tcp:host=localhost", "", "unix:abstract=nobody-is-here"] {
        let error = connect(address).await;
        assert!(matches!(error, BusError::Absent(_)), "{address}: {error:?}");
    }
    for welcome in ["REJECTED EXTERNAL\r\n", "ERROR\r\n", "REJECTED\r\n"] {
        fake.welcome(welcome);
        assert!(matches!(connect(&fake.address).await, BusError::NotAllowed(_)), "{welcome}");
    }
    for welcome in ["OK without an end", ""] {
        fake.welcome(welcome);
        let error = connect(&fake.address).await;
        assert!(matches!(error, BusError::Malformed(_) | BusError::Lost), "{welcome}: {error:?}");
    }
    // The second address is tried after the first.
    let good = Fake::start();
    Bus::connect(&format!("unix:path=/nowhere;{}", good.address), "org.bluez", patience).await.unwrap();
}

#[tokio::test]
async fn signals_and_calls_of_strangers_are_not_let_in() {
    let fake = Fake::start();
    let (bus, mut inbox) = connect(&fake, PATIENCE).await;
    assert_eq!(bus.owner().as_deref(), Some(DAEMON));
    fake.send(Raw { sender: ":1.66".into(), ..raw(4, "/", "org.bluez.Device1", "Strange") });
    let answer = fake.call_from(":1.66", "/", "a.b", "Strange", "", vec![]).await;
    assert_eq!((answer.kind, answer.error.as_str(), answer.destination.as_str()), (3, "org.freedesktop.DBus.Error.AccessDenied", ":1.66"));
    // Nor what somebody says of a name, who is not the bus.
    let body = body(|out| _ = out.text("org.bluez").text(DAEMON).text(""));
    fake.send(Raw { sender: ":1.66".into(), signature: "sss".into(), body, ..raw(4, "/org/freedesktop/DBus", BUS, "NameOwnerChanged") });
    fake.signal("/", "org.bluez.Device1", "Own", "", vec![]);
    assert_eq!(inbox.next().await.unwrap().member, "Own");
    assert_eq!((inbox.refused(), bus.owner().as_deref()), (3, Some(DAEMON)));

    fake.owner(None);
    assert_eq!(timeout(PATIENCE, bus.owner_changed(Some(DAEMON))).await.unwrap(), None);
    fake.owner(Some(":1.8"));
    assert_eq!(timeout(PATIENCE, bus.owner_changed(None)).await.unwrap().as_deref(), Some(":1.8"));
}

#[tokio::test]
async fn what_is_malformed_too_long_or_of_the_other_order_is_left_out_and_the_connection_goes_on() {
    let fake = Fake::start();
    let (bus, mut inbox) = connect(&fake, PATIENCE).await;
    let signal = |member: &str| Raw { serial: 9, sender: DAEMON.into(), ..raw(4, "/", "a.b", member) };
    fake.send_bytes(&Raw { signature: "s".into(), body: body(|out| _ = out.bytes(b"\xff\xfe").u8(0)), ..signal("NoText") }.bytes());
    fake.send_bytes(&Raw { signature: "b".into(), body: body(|out| _ = out.u32(2)), ..signal("NoTruth") }.bytes());
    fake.send_bytes(&Raw { path: "no/path".into(), ..signal("NoPath") }.bytes());
    fake.send_bytes(&Raw { serial: 0, ..signal("NoNumber") }.bytes());
    fake.send_bytes(&Raw { signature: "ay".into(), body: body(|out| _ = out.bytes(&vec![7; MOST_MESSAGE])), ..signal("Long") }.bytes());
    // A header with the high byte first, and a body of 4 bytes.
    fake.send_bytes(b"B\x04\x01\x01\0\0\0\x04\0\0\0\x09\0\0\0\x06\x03\x01s\0\0\0\0\0abcd");
    fake.on("Long", |_| {
        Back::Bytes(Box::new(|serial| {
            let body = body(|out| _ = out.bytes(&vec![7; 3 * MOST_MESSAGE]));
            Raw { kind: 2, serial: 9, reply_to: serial, sender: DAEMON.into(), signature: "ay".into(), body, ..Raw::default() }.bytes()
        }))
    });
    let long = bus.call("org.bluez", "/", "a.b", "Long", vec![]).await;
    assert!(matches!(long, Err(BusError::TooLong(_))), "{long:?}");
    fake.on("Wrong", |_| Back::Values("s", vec![255; 8]));
    let wrong = bus.call("org.bluez", "/", "a.b", "Wrong", vec![]).await;
    assert!(matches!(wrong, Err(BusError::Malformed(_))), "{wrong:?}");
    fake.signal("/", "a.b", "Good", "", vec![]);
    assert_eq!(inbox.next().await.unwrap().member, "Good");
    assert_eq!((inbox.refused(), inbox.dropped()), (8, 0));
    // After what has no beginning nobody knows where anything begins.
    fake.send_bytes(&[b'x'; 64]);
    assert_eq!(timeout(PATIENCE, inbox.next()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_signals_that_nobody_reads_are_dropped_and_counted_and_calls_are_answered_meanwhile() {
    const SIGNALS: u32 = 10_000;
    let fake = Fake::start();
    let (bus, mut inbox) = connect(&fake, PATIENCE).await;
    fake.on("Ask", |_| Back::nothing());
    let before = Instant::now();
    for number in 0..SIGNALS {
        fake.changed("/org/bluez/hci0/dev_00_00_00_00_00_01", "org.bluez.Device1", |out| {
            _ = out.pair("RSSI", "n", |out| _ = out.u32(number));
        });
    }
    let answer = bus.call("org.bluez", "/", "a.b", "Ask", vec![]).await.unwrap();
    let took = before.elapsed();
    let most = Patience::default().signals;
    // All came before the answer, and all were well-formed but for their type, which only who reads them sees.
    assert_eq!((inbox.refused() + inbox.dropped() + answer.after, took < Duration::from_secs(10)), (SIGNALS.into(), true), "{took:?}");
    let answer_after = answer.after;
    assert!(answer_after <= most as u64);
    // A call finds room among signals that nobody reads, and its turn after them.
    let called = tokio::spawn({
        let bus = bus.clone();
        async move {
            let mut signals = 0;
            loop {
                let message = inbox.next().await.unwrap();
                if message.kind == Kind::Call {
                    bus.answer(&message, Ok(vec![Value::Bool(true)]));
                    return (signals, inbox);
                }
                signals += 1;
            }
        }
    });
    let answer = fake.call("/org/doorward/x", "a.b", "Called", "", vec![]).await;
    assert_eq!((answer.kind, answer.body), (2, vec![1, 0, 0, 0]));
    assert_eq!(called.await.unwrap().0, answer_after);
}

#[tokio::test]
async fn calls_that_nobody_reads_are_refused() {
    let fake = Fake::start();
    let patience = Patience { calls: 2, ..Patience::default() };
    let (_bus, inbox) = Bus::connect(&fake.address, "org.bluez", patience).await.unwrap();
    for _ in 0..2 {
        fake.send(Raw { sender: DAEMON.into(), ..raw(1, "/a", "a.b", "Call") });
    }
    let answer = fake.call("/a", "a.b", "Call", "", vec![]).await;
    assert_eq!((answer.error.as_str(), inbox.dropped()), ("org.freedesktop.DBus.Error.LimitsExceeded", 1));
}
