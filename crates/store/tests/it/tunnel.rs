//! Keys of the tunnel, and what they were used for.

use crate::house::{House, at};
use doorward_core::Secret;
use doorward_store::{AddedTunnelKey, Store, TunnelSecret};
use doorward_wire::tunnel::{Scopes, Service};

fn scopes(doors: &[&str]) -> Scopes {
    Scopes { services: vec![Service::Doors], doors: doors.iter().map(ToString::to_string).collect(), ..Scopes::default() }
}

/// A key that may open the front door.
pub(crate) async fn added(store: &Store, name: &str, person: Option<&str>) -> TunnelSecret {
    let secret = store.new_tunnel_secret();
    let added = store.add_tunnel_key(name, person, &secret, &scopes(&["front"]), at(1)).await.unwrap();
    assert_eq!(added, AddedTunnelKey::Added);
    secret
}

pub(crate) async fn a_key_of_the_tunnel_is_sealed_and_read_back(house: &House) {
    let store = house.open().await;
    let secret = added(&store, "phone", None).await;
    let again = store.add_tunnel_key("phone", None, &store.new_tunnel_secret(), &scopes(&[]), at(2)).await.unwrap();
    assert_eq!(again, AddedTunnelKey::Taken, "the name");
    let again = store.add_tunnel_key("other", None, &secret, &scopes(&[]), at(2)).await.unwrap();
    assert_eq!(again, AddedTunnelKey::Taken, "two keys of one secret would not be told apart");
    assert!(store.scope_tunnel_key("phone", &scopes(&["front", "garage"])).await.unwrap());
    assert!(!store.scope_tunnel_key("nobody", &scopes(&[])).await.unwrap());
    store.close().await;
    assert!(!house.at_rest().await.windows(32).any(|bytes| bytes == secret.reveal()), "it is sealed");
    let store = house.open().await;
    let key = store.tunnel_key("phone").await.unwrap().unwrap();
    assert_eq!((key.secret.reveal(), key.scopes, key.used, key.previous), (secret.reveal(), scopes(&["front", "garage"]), None, None));
    assert!(store.remove_tunnel_key("phone").await.unwrap() && !store.remove_tunnel_key("phone").await.unwrap());
    assert!(store.tunnel_keys().await.unwrap().is_empty());
}

pub(crate) async fn a_key_goes_with_its_person(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "resident", at(1)).await.unwrap();
    added(&store, "adas-phone", Some(&ada.id)).await;
    added(&store, "tablet", None).await;
    assert!(store.remove_person(&ada.id).await.unwrap());
    let left: Vec<String> = store.tunnel_keys().await.unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(left, ["tablet"]);
}

pub(crate) async fn a_house_has_at_most_sixty_four_keys(house: &House) {
    let store = house.open().await;
    for number in 0..64 {
        added(&store, &format!("phone-{number}"), None).await;
    }
    let more = store.add_tunnel_key("one-more", None, &store.new_tunnel_secret(), &scopes(&[]), at(2)).await.unwrap();
    assert_eq!(more, AddedTunnelKey::TooMany);
    assert!(store.remove_tunnel_key("phone-7").await.unwrap());
    added(&store, "one-more", None).await;
}

pub(crate) async fn a_rotated_key_keeps_the_secret_before(house: &House) {
    let store = house.open().await;
    let (first, second) = (added(&store, "phone", None).await, store.new_tunnel_secret());
    assert!(store.advance_tunnel_key("phone", at(5), 1000, at(5)).await.unwrap());
    assert!(store.rotate_tunnel_key("phone", &second, at(90)).await.unwrap());
    assert!(!store.rotate_tunnel_key("nobody", &second, at(90)).await.unwrap());
    let key = store.tunnel_key("phone").await.unwrap().unwrap();
    let (before, until) = key.previous.unwrap();
    assert_eq!((key.secret.reveal(), before.reveal(), until), (second.reveal(), first.reveal(), at(90)));
    assert_eq!((key.seals, key.accepted_until), (0, at(5)), "the new secret sealed nothing; what was taken stays taken");
}

pub(crate) async fn how_far_a_key_got_never_goes_back(house: &House) {
    let store = house.open().await;
    added(&store, "phone", None).await;
    assert!(store.advance_tunnel_key("phone", at(9), 20, at(8)).await.unwrap());
    assert!(!store.advance_tunnel_key("phone", at(7), 10, at(6)).await.unwrap(), "another copy is further");
    let key = store.tunnel_key("phone").await.unwrap().unwrap();
    assert_eq!((key.accepted_until, key.seals, key.used), (at(9), 20, Some(at(8))));
}

pub(crate) async fn a_nonce_counts_once_until_it_is_forgotten(house: &House) {
    let store = house.open().await;
    let take = async |key: &str, nonce: u8, until| store.take_tunnel_nonce(key, &[nonce; 12], at(until)).await.unwrap();
    added(&store, "phone", None).await;
    added(&store, "tablet", None).await;
    assert!(take("phone", 1, 10).await && !take("phone", 1, 20).await);
    assert!(take("phone", 2, 30).await && take("tablet", 1, 10).await, "keys have nonces of their own");
    store.purge_tunnel_nonces(at(11)).await.unwrap();
    assert!(take("phone", 1, 40).await && !take("phone", 2, 40).await);
}

/// What a backup must bring back.
pub(crate) async fn shown(store: &Store) -> Vec<String> {
    let keys = store.tunnel_keys().await.unwrap();
    keys.into_iter()
        .map(|key| {
            let secrets = [Some(&key.secret), key.previous.as_ref().map(|(secret, _)| secret)];
            format!("{key:?} {:?}", secrets.map(|secret: Option<&Secret<[u8; 32]>>| secret.map(|secret| *secret.reveal())))
        })
        .collect()
}
