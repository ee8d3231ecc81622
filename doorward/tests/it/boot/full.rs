//! A full disk: what cannot be written down is not done, and nothing else breaks.

use super::killed::{link, until};
use crate::binary::Binary;
use doorward_sim::utec::Config;
use serde_json::json;
use std::io::Write;
use tempfile::tempdir;

const FRONT: &str = "7C:DF:A1:68:3E:6A";

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_a_full_disk_keeps_the_doors_shut_and_nothing_is_lost() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let data = tempdir().unwrap();
    let binary = Binary::start_on_small_volume(data.path(), 24);
    link(&binary.client(), &sim).await;
    until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;

    let filler = binary.data().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    // The log of the database has room of its own for a while.
    let mut refused = None;
    for _ in 0..2_000 {
        let before = sim.counters().command;
        let (status, answer) = binary.client().post("/doors/front_door/actions", json!({ "action": "lock" })).await.unwrap();
        if answer["reason"] == "audit_unavailable" {
            assert_eq!(status, 503, "{answer}");
            assert_eq!(sim.counters().command, before, "it was not sent");
            refused = Some(answer);
            break;
        }
        assert_eq!(status, 202, "{answer}");
        until("the driver came back", async || sim.counters().command > before).await;
    }
    let refused = refused.expect("a full disk is noticed");
    assert!(refused["detail"].as_str().unwrap().contains("full"), "{refused}");
    for _ in 0..3 {
        let (status, answer) = binary.client().post("/doors/front_door/actions", json!({ "action": "unlock" })).await.unwrap();
        assert_eq!(status, 503, "{answer}");
    }
    assert_eq!(sim.lock(FRONT).times_opened, 0, "the door stayed shut");

    std::fs::remove_file(&filler).unwrap();
    let command = json!({ "action": "unlock" });
    let (_, answer) = binary.client().post("/doors/front_door/actions?wait=20s", command).await.unwrap();
    assert_eq!(answer["state"], "confirmed", "there is space again: {answer}; {}", binary.log());
    assert_eq!(binary.client().get("/audit/verify").await["ok"], true);
    assert_eq!(binary.terminate().code(), Some(0));
}
