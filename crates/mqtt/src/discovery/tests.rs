//! What Home Assistant is told, held against files and against the keys that its documentation names
//! (<https://www.home-assistant.io/integrations/mqtt/>, as of release 2026.11).

use super::*;
use doorward_wire::door::DoorState;

fn a_door(kind: DoorKind, capabilities: &[Capability]) -> Door {
    Door {
        id: "front".parse().unwrap(),
        name: "Front door".into(),
        site: "home".into(),
        kind,
        state: DoorState::Locked,
        since: None,
        online: Some(true),
        battery: None,
        capabilities: capabilities.to_vec(),
        evidence: Vec::new(),
        account: None,
        external: None,
        contact_open: None,
        managed: None,
        mqtt_code: false,
        stream: None,
        attempt: None,
    }
}

fn bolt() -> Door {
    a_door(DoorKind::Bolt, &[Capability::Lock, Capability::Unlock, Capability::Battery, Capability::Contact])
}

fn strike() -> Door {
    a_door(DoorKind::Strike, &[Capability::Open, Capability::Ring])
}

fn announced(door: &Door, mode: Mode) -> Vec<String> {
    let there = super::door(door, mode).into_iter().filter(|(_, payload)| !payload.is_empty());
    there.map(|(topic, _)| topic.trim_start_matches("homeassistant/").trim_end_matches("/config").to_owned()).collect()
}

#[test]
fn a_door_has_the_entities_that_it_can_fill() {
    assert_eq!(
        announced(&bolt(), Mode::Component),
        [
            "lock/doorward_front/lock",
            "sensor/doorward_front/battery",
            "binary_sensor/doorward_front/contact",
            "binary_sensor/doorward_front/problem",
            "binary_sensor/doorward_front/connectivity"
        ]
    );
    assert_eq!(
        announced(&strike(), Mode::Component),
        [
            "button/doorward_front/open",
            "binary_sensor/doorward_front/problem",
            "binary_sensor/doorward_front/connectivity",
            "event/doorward_front/ring"
        ]
    );
    assert_eq!(announced(&bolt(), Mode::Device), ["device/doorward_front"]);
}

#[test]
fn both_ways_name_the_same_topics_so_that_one_clears_the_other() {
    let topics = |mode| {
        let mut topics: Vec<String> = super::door(&bolt(), mode).into_iter().map(|(topic, _)| topic).collect();
        topics.sort();
        topics
    };
    let mut all = door_topics(&bolt().id);
    all.sort();
    assert_eq!(topics(Mode::Component), all);
    assert_eq!(topics(Mode::Device), all);
    let migrated: Vec<String> = migration(Object::Door(&bolt().id), Mode::Device).into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(migrated.len(), OF_DOOR.len(), "what was announced one by one is told to move");
}

#[test]
fn nothing_is_optimistic_and_no_command_is_retained() {
    let all = a_door(DoorKind::Bolt, &[Capability::Lock, Capability::Unlock, Capability::Open]);
    let (_, lock) = super::door(&all, Mode::Component).remove(0);
    let lock: Value = serde_json::from_slice(&lock).unwrap();
    assert_eq!((&lock["optimistic"], &lock["retain"], &lock["payload_open"]), (&json!(false), &json!(false), &json!("OPEN")));
    assert_eq!(lock["availability_mode"], "all");
    assert_eq!(lock["command_topic"], "doorward/door/front/set");
    assert!(lock.get("code_format").is_none());
}

#[test]
fn a_door_with_a_code_asks_for_it_and_has_no_button_that_could_not_give_one() {
    let (_, lock) = super::door(&Door { mqtt_code: true, ..bolt() }, Mode::Component).remove(0);
    let lock: Value = serde_json::from_slice(&lock).unwrap();
    assert_eq!(lock["code_format"], "^[0-9]{4,10}$");
    assert!(lock["command_template"].as_str().unwrap().contains("code"));
    assert!(!announced(&Door { mqtt_code: true, ..strike() }, Mode::Component).iter().any(|topic| topic.starts_with("button/")));
}

/// Files in `golden/`. `UPDATE_GOLDEN=1` writes them anew; read the difference before it is committed.
#[test]
fn device_messages_are_as_the_files_say() {
    let account = super::account(&"u_tec".parse().unwrap(), "U-tec", Mode::Device);
    let messages = [
        ("bolt", super::door(&Door { mqtt_code: true, ..bolt() }, Mode::Device)),
        ("strike", super::door(&strike(), Mode::Device)),
        ("account", account),
    ];
    for (name, messages) in messages {
        let (topic, payload) = &messages[0];
        let mut told: Value = serde_json::from_slice(payload).unwrap();
        told["origin"]["sw_version"] = json!("0.0.0");
        let text = format!("{topic}\n{}\n", serde_json::to_string_pretty(&told).unwrap());
        let file = format!("{}/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{file}");
    }
}

/// What every entity may have.
const COMMON: [&str; 12] = [
    "platform",
    "unique_id",
    "name",
    "object_id",
    "device_class",
    "entity_category",
    "availability",
    "availability_mode",
    "json_attributes_topic",
    "value_template",
    "qos",
    "state_topic",
];

fn documented(platform: &str) -> &'static [&'static str] {
    match platform {
        "lock" => &[
            "state_locked",
            "state_locking",
            "state_unlocked",
            "state_unlocking",
            "state_jammed",
            "command_topic",
            "command_template",
            "code_format",
            "payload_lock",
            "payload_unlock",
            "payload_open",
            "optimistic",
            "retain",
        ],
        "button" => &["command_topic", "payload_press", "retain"],
        "sensor" => &["state_class", "unit_of_measurement"],
        "binary_sensor" => &["payload_on", "payload_off"],
        "event" => &["event_types"],
        _ => panic!("{platform} is no platform that is used"),
    }
}

#[test]
fn home_assistant_documents_every_key() {
    let doors = [bolt(), strike(), Door { mqtt_code: true, ..a_door(DoorKind::Bolt, Capability::ALL) }];
    let mut devices: Vec<Vec<(String, Vec<u8>)>> = doors.iter().map(|door| super::door(door, Mode::Device)).collect();
    devices.push(super::account(&"u_tec".parse().unwrap(), "U-tec", Mode::Device));
    for messages in devices {
        let told: Value = serde_json::from_slice(&messages[0].1).unwrap();
        let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert!(keys.iter().all(|key| ["device", "origin", "components", "qos"].contains(&key.as_str())), "{keys:?}");
        for key in told["device"].as_object().unwrap().keys() {
            assert!(["identifiers", "name", "manufacturer", "model"].contains(&key.as_str()), "{key}");
        }
        for entity in told["components"].as_object().unwrap().values() {
            let platform = entity["platform"].as_str().unwrap();
            for key in entity.as_object().unwrap().keys() {
                assert!(COMMON.contains(&key.as_str()) || documented(platform).contains(&key.as_str()), "{key} of {platform}");
            }
            let there = entity.get("unique_id").is_some();
            assert!(there || entity.as_object().unwrap().len() == 1, "an entity that is not there has its platform alone: {entity}");
        }
    }
}
