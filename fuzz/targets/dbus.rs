//! What is fuzzed of the small D-Bus client: a message as any process of the computer may send it. The tests run the same function
//! over the corpus, and over what comes of it when bytes change.

use doorward_ble::dbus::{MOST_MESSAGE, decode, encode};

/// A message that is understood is written again as one that means the same.
pub(crate) fn message(bytes: &[u8]) {
    let Ok(message) = decode(bytes) else { return };
    assert!(bytes.len() <= MOST_MESSAGE, "it is bounded");
    if let Ok(again) = encode(&message) {
        let message = decode(&again).expect("it reads as it was written");
        assert_eq!(encode(&message).ok(), Some(again), "it is written the same");
    }
}
