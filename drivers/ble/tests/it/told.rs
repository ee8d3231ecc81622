//! Who answered a challenge is told what came of theirs, and of nobody else's.

use crate::{driver::Stage, scene::GUEST};
use doorward_ble::radio::{Address, Connection, Notifications, Radio as _, Scan, air::AirRadio};
use doorward_core::driver::{Fault, Report};
use doorward_wire::{
    attempt::ActionWord,
    ble::v2::{
        CHALLENGE_CHARACTERISTIC, Challenge, Given, LOCK_SERVICE, RESPONSE_CHARACTERISTIC,
        challenge::{Outcome, respond},
    },
};
use std::time::Duration;
use uuid::Uuid;

const OTHER: Address = Address([0xC0, 0, 0, 0, 0, 3]);

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

/// A phone that is connected to the lock, whose guest has answered its challenge.
struct Phone {
    connection: Box<dyn Connection>,
    told: Notifications,
    _radio: AirRadio,
}

impl Phone {
    /// Finds the lock by what it advertises.
    async fn connect(stage: &Stage, name: &str, address: Address) -> Self {
        let radio = stage.scene.radio(name, address, 1.0).await;
        let mut heard = radio.scan(Scan::default()).await.unwrap();
        // It advertises again.
        stage.scene.clock.advance(Duration::from_millis(250));
        let lock = loop {
            let sighting = crate::scene::next(&mut heard).await;
            if sighting.services.contains(&uuid(LOCK_SERVICE)) {
                break sighting.address;
            }
        };
        let connection = radio.connect(lock).await.unwrap();
        let told = connection.subscribe(uuid(RESPONSE_CHARACTERISTIC)).await.unwrap();
        Self { connection, told, _radio: radio }
    }

    /// Gives what it answered with.
    async fn answer(&self, stage: &Stage, nonce: [u8; 8]) -> Vec<u8> {
        let challenge = self.connection.read(uuid(CHALLENGE_CHARACTERISTIC)).await.unwrap();
        let given = Given { nonce, ..stage.given.clone() };
        let response = respond(&Challenge::read(&challenge).unwrap(), &"front".parse().unwrap(), &given, ActionWord::Open).unwrap();
        self.connection.write(uuid(RESPONSE_CHARACTERISTIC), &response).await.unwrap();
        let credential = given.nonce().to_string();
        let presented =
            |report: &Report| matches!(report, Report::Presented(presented) if presented.credential == credential).then_some(());
        stage.until("the guest is presented", presented).await;
        response
    }

    async fn outcome(&mut self) -> Outcome {
        let told = tokio::time::timeout(Duration::from_secs(20), self.told.next()).await.expect("nothing is told").unwrap();
        Outcome::read(&told).unwrap()
    }
}

#[tokio::test]
async fn each_guest_is_told_what_came_of_theirs() {
    let nonces = [[7; 8], [8; 8]];
    let stage = Stage::of(&nonces).await;
    stage.up().await;
    for (message, nonce) in stage.messages.iter().zip(["a", "b"]) {
        stage.say(&format!("locks/front/sessions/{nonce}"), message, true).await;
    }
    let mut first = Phone::connect(&stage, "first", GUEST).await;
    first.answer(&stage, nonces[0]).await;
    let mut second = Phone::connect(&stage, "second", OTHER).await;
    second.answer(&stage, nonces[1]).await;
    let credential = |nonce| Given { nonce, ..stage.given.clone() }.nonce().to_string();
    // The second one's door opens before the first one's right was looked up.
    stage.house.answer(&credential(nonces[1]), Ok(()));
    assert_eq!(second.outcome().await, Outcome::Done);
    stage.house.answer(&credential(nonces[0]), Err(Fault::refused("No.", "no grant any more")));
    assert_eq!(first.outcome().await, Outcome::Refused);
}

#[tokio::test]
async fn nobody_is_told_of_what_nobody_knows() {
    let stage = Stage::of(&[[7; 8]]).await;
    stage.up().await;
    stage.say("locks/front/sessions/a", &stage.messages[0], true).await;
    let mut phone = Phone::connect(&stage, "phone", GUEST).await;
    let response = phone.answer(&stage, [7; 8]).await;
    stage.house.answer(&stage.given.nonce().to_string(), Err(Fault::timeout("Look at the door.", "the program was lost")));
    // The next thing that it is told is about its next try.
    phone.connection.write(uuid(RESPONSE_CHARACTERISTIC), &response).await.unwrap();
    assert_eq!(phone.outcome().await, Outcome::Again);
}
