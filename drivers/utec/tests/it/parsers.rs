//! Whatever a cloud writes, reading it never panics and never unlocks.

use doorward_core::driver::How;
use doorward_oauth as oauth;
use doorward_utec::{legacy, states};
use doorward_wire::door::DoorState;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON with the vendor's words strewn in, since random words alone reach nothing.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "id",
        "device_id",
        "devices",
        "payload",
        "states",
        "state",
        "capability",
        "name",
        "attribute",
        "value",
        "st.lock",
        "lockState",
        "Unlocked",
        "Jammed",
        "st.batteryLevel",
        "level",
        "error",
        "code",
        "message",
        "INVALID_TOKEN",
        "category",
        "SmartLock",
        "data",
        "access_token",
        "refresh_token",
        "expires_in",
        "token_type",
        "users",
        "customData",
        "",
    ]);
    let text = prop_oneof![words.prop_map(str::to_owned), ".{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_without_panic(answer in any_json()) {
        let _ = states::error(&answer);
        let _ = states::device(&answer, "x");
        for device in states::devices(&answer).iter().chain([&answer]) {
            let sight = states::sight(device, How::Pushed);
            prop_assert_eq!(sight.raw.as_ref(), Some(device), "what is not understood is kept");
            if let Some(found) = states::found(device, true) {
                prop_assert_eq!(Some(found.external), states::id(device));
            }
        }
        let _ = oauth::meaning(answer.to_string().as_bytes());
        let _ = legacy::parse(answer.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = oauth::meaning(&bytes);
        let _ = legacy::parse(&bytes);
    }

    #[test]
    fn only_the_word_unlocked_is_unlocked(value in any_json()) {
        let sight = states::sight(&json!({ "states": [{ "capability": "st.lock", "name": "lockState", "value": value }] }), How::Pushed);
        let said = value.as_str().is_some_and(|word| word.trim().eq_ignore_ascii_case("unlocked"));
        prop_assert_eq!(sight.state == Some(DoorState::Unlocked), said);
    }
}

fn seen(states: &Value) -> doorward_core::driver::Sight {
    states::sight(&json!({ "id": "x", "states": states }), How::Pushed)
}

#[test]
fn what_is_absent_is_not_said_and_what_is_not_understood_is_unknown() {
    assert_eq!(seen(&json!([])).state, None);
    assert_eq!(seen(&json!([{ "capability": "st.lock", "name": "lockMode", "value": 1 }])).state, None);
    assert_eq!(seen(&json!([{ "capability": "st.lock", "name": "lockState", "value": "Ajar" }])).state, Some(DoorState::Unknown));
    assert_eq!(seen(&json!([{ "capability": "ST.LOCK", "name": "lockstate", "value": "JAMMED" }])).state, Some(DoorState::Jammed));
    let battery = |level: Value| seen(&json!([{ "capability": "st.BatteryLevel", "name": "level", "value": level }])).battery;
    assert_eq!([1, 2, 3, 4, 5].map(|level| battery(json!(level))), [Some(10), Some(30), Some(50), Some(70), Some(100)]);
    assert_eq!((battery(json!("4")), battery(json!(0)), battery(json!(85)), battery(json!(-1))), (Some(70), None, None, None));
    let sight = seen(
        &json!([{ "capability": "st.doorSensor", "name": "sensorState", "value": "Open" }, { "capability": "st.healthCheck", "name": "status", "value": "Offline" }]),
    );
    assert_eq!((sight.contact_open, sight.online), (Some(true), Some(false)));
}

#[test]
fn lights_are_no_locks() {
    let is_lock = |device: Value| states::found(&device, false).is_some();
    assert!(is_lock(json!({ "id": "x", "category": "SmartLock" })));
    assert!(is_lock(json!({ "id": "x", "category": "other", "handleType": "utec-lock-sensor" })));
    assert!(is_lock(json!({ "serial_no": 7, "name": "Front" })), "a short listing");
    assert!(!is_lock(json!({ "id": "x", "type": "LIGHT", "handleType": "utec-bulb-color-rgbw" })));
    assert!(!is_lock(json!({ "id": "x", "attributes": { "colorModel": "RGB" } })));
    assert!(!is_lock(json!({ "name": "without an id" })));
}
