//! People, tokens, links and sessions.

use crate::house::{House, at};
use doorward_core::{Secret, scope::Scope};

pub(crate) async fn people_come_and_go(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let bob = store.add_person("Bob", "administrator", at(1)).await.unwrap();
    assert_ne!(ada.id, bob.id);
    assert_eq!(store.people().await.unwrap(), [ada.clone(), bob.clone()]);
    assert_eq!(store.person(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(store.person("nobody").await.unwrap(), None);

    let hash = Secret::from("$argon2id$…");
    assert_eq!(store.password_hash(&ada.id).await.unwrap(), None);
    assert!(store.set_password_hash(&ada.id, Some(&hash)).await.unwrap());
    assert_eq!(store.password_hash(&ada.id).await.unwrap(), Some(hash.clone()));
    assert!(store.person(&ada.id).await.unwrap().unwrap().has_password);
    assert!(store.set_password_hash(&ada.id, None).await.unwrap());
    assert!(!store.person(&ada.id).await.unwrap().unwrap().has_password);
    assert!(!store.set_password_hash("nobody", Some(&hash)).await.unwrap());

    assert!(store.update_person(&bob.id, "Robert", "guest").await.unwrap());
    let robert = store.person(&bob.id).await.unwrap().unwrap();
    assert_eq!((robert.name.as_str(), robert.role.as_str()), ("Robert", "guest"));
    assert!(!store.update_person("nobody", "x", "y").await.unwrap());

    store.add_token(Some(&ada.id), "phone", &[], None, at(0)).await.unwrap();
    store.put_session(b"session", Some(&ada.id), b"", at(900)).await.unwrap();
    let link = store.add_link(&ada.id, at(900)).await.unwrap();
    assert!(store.remove_person(&ada.id).await.unwrap());
    assert!(!store.remove_person(&ada.id).await.unwrap());
    assert!(store.tokens().await.unwrap().is_empty());
    assert_eq!(store.session(b"session", at(1)).await.unwrap(), None);
    assert_eq!(store.use_link(&link, at(1)).await.unwrap(), None);
    store.put_session(b"session", Some(&ada.id), b"", at(900)).await.unwrap();
    assert!(!store.has_session(b"session").await.unwrap(), "an erased person gets no session");
}

pub(crate) async fn a_token_opens_with_its_secret_until_it_ends(house: &House) {
    let store = house.open().await;
    let scopes = [Scope::DoorsAct(Some("gate".parse().unwrap())), Scope::EventsRead];
    let (token, secret) = store.add_token(None, "phone", &scopes, Some(at(100)), at(0)).await.unwrap();
    assert_eq!(secret.reveal().len(), 46);
    assert!(secret.reveal().starts_with("dw_"));
    assert_eq!(store.find_token(&secret, at(10)).await.unwrap(), Some(token.clone()));

    let last_used = || async { store.tokens().await.unwrap()[0].last_used };
    assert_eq!(last_used().await, Some(at(10)));
    store.find_token(&secret, at(69)).await.unwrap().unwrap();
    assert_eq!(last_used().await, Some(at(10)), "noted once a minute at most");
    store.find_token(&secret, at(70)).await.unwrap().unwrap();
    assert_eq!(last_used().await, Some(at(70)));

    assert_eq!(store.find_token(&secret, at(100)).await.unwrap(), None, "it has ended");
    let mut other = secret.reveal().clone();
    other.replace_range(45.., if other.ends_with('A') { "E" } else { "A" });
    for wrong in ["", "dw_", "x", secret.reveal().trim_start_matches("dw_"), &other] {
        assert_eq!(store.find_token(&Secret::from(wrong), at(10)).await.unwrap(), None);
    }
    let (forever, never_ends) = store.add_token(None, "pump", &[Scope::Admin], None, at(5)).await.unwrap();
    assert_eq!(store.find_token(&never_ends, at(1_000_000)).await.unwrap(), Some(forever));
    let listed = store.tokens().await.unwrap();
    assert_eq!((listed.len(), listed[0].created, listed[0].expires), (2, at(0), Some(at(100))));
    assert!(store.remove_token(&token.id).await.unwrap());
    assert!(!store.remove_token(&token.id).await.unwrap());
    assert_eq!(store.find_token(&secret, at(10)).await.unwrap(), None);
}

pub(crate) async fn a_link_works_once(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let link = store.add_link(&ada.id, at(900)).await.unwrap();
    assert!(link.reveal().len() >= 22, "at least 128 bits");
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (store, link) = (store.clone(), link.clone());
            tokio::spawn(async move { store.use_link(&link, at(10)).await.unwrap() })
        })
        .collect();
    let mut used = Vec::new();
    for one in tries {
        used.extend(one.await.unwrap());
    }
    assert_eq!(used, [ada.id.as_str()], "however many try at once");

    let late = store.add_link(&ada.id, at(900)).await.unwrap();
    assert_eq!(store.use_link(&late, at(900)).await.unwrap(), None);
    assert_eq!(store.use_link(&Secret::from("nonsense"), at(10)).await.unwrap(), None);
    let (_, token) = store.add_token(Some(&ada.id), "phone", &[], None, at(0)).await.unwrap();
    assert_eq!(store.use_link(&token, at(10)).await.unwrap(), None, "a token is no link");
    let fresh = store.add_link(&ada.id, at(2000)).await.unwrap();
    assert_eq!(store.purge_links(at(1000)).await.unwrap(), 2);
    assert_eq!(store.use_link(&fresh, at(1000)).await.unwrap(), Some(ada.id));
    store.add_link("nobody", at(900)).await.unwrap_err();
}

pub(crate) async fn sessions_end_when_they_should(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let bob = store.add_person("Bob", "administrator", at(0)).await.unwrap();
    store.put_session(b"anonymous", None, b"before", at(100)).await.unwrap();
    store.put_session(b"ada", Some(&ada.id), b"one", at(100)).await.unwrap();
    store.put_session(b"ada", Some(&ada.id), b"two", at(200)).await.unwrap();
    store.put_session(b"bob", Some(&bob.id), b"", at(100)).await.unwrap();

    let session = store.session(b"ada", at(150)).await.unwrap().unwrap();
    assert_eq!(
        (session.person.as_deref(), session.data.reveal().as_slice(), session.expires),
        (Some(ada.id.as_str()), &b"two"[..], at(200))
    );
    assert_eq!(store.session(b"anonymous", at(1)).await.unwrap().unwrap().person, None);
    assert_eq!(store.session(b"bob", at(100)).await.unwrap(), None, "it has ended");
    assert!(store.has_session(b"bob").await.unwrap());
    assert_eq!(store.session(b"nobody", at(1)).await.unwrap(), None);
    assert_eq!(store.count_sessions(None, at(1)).await.unwrap(), 3);
    assert_eq!(store.count_sessions(None, at(150)).await.unwrap(), 1);
    assert_eq!(store.count_sessions(Some(&bob.id), at(1)).await.unwrap(), 1);

    assert_eq!(store.purge_sessions(at(100)).await.unwrap(), 2);
    assert_eq!(store.remove_sessions_of(&ada.id).await.unwrap(), 1);
    assert_eq!(store.session(b"ada", at(1)).await.unwrap(), None);
    store.put_session(b"bob", Some(&bob.id), b"", at(100)).await.unwrap();
    assert!(store.remove_session(b"bob").await.unwrap());
    assert!(!store.remove_session(b"bob").await.unwrap());
}
