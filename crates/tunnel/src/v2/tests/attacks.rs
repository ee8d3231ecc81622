//! What strangers send, and what the network does to messages.

use super::{
    super::{MOST_SEALED, SealError, credential::Credential, keys::SUITE, mac_input},
    BODY, Client, EVENTS, GatewayKey, JSON, KEY, MOST_BODY, OpenError, Opener, PinnedConfig, Request, Response, SEED, answered, by_hand,
    chunked, client_of, gateway, opened, opened_chunked, read_all, stream_of,
    vectors::secret_of,
    whole,
};
use aws_lc_rs::digest::{SHA256, digest};
use bhttp::{Message, Mode};
use hpke::{Deserializable, Kem, OpModeS, Serializable, aead::AesGcm128, kdf::HkdfSha256, kem::X25519HkdfSha256, setup_sender};

fn bent(bytes: &[u8], at: usize, bits: u8) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    bent[at] ^= bits;
    bent
}

/// Bytes without a plan, the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.next() % most).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[test]
fn a_changed_request_does_not_open() {
    let (sealed, _) = whole();
    for at in 0..sealed.len() {
        for bits in [0x01, 0x80] {
            assert_eq!(opened(&bent(&sealed, at, bits)).err(), Some(OpenError::Sealed), "byte {at}");
        }
    }
    let (sealed, _) = chunked();
    for at in 0..sealed.len() {
        for bits in [0x01, 0x80] {
            assert_eq!(opened_chunked(&bent(&sealed, at, bits)).err(), Some(OpenError::Sealed), "byte {at}");
        }
    }
}

#[test]
fn a_changed_answer_does_not_open() {
    let (sealed, _) = whole();
    let (request, reply) = gateway().open(&sealed).unwrap();
    let answer = reply.seal(200, JSON, b"{\"status\":200}").unwrap();
    let secret = secret_of(&SEED, &sealed, b"message/bhttp request\0", b"message/bhttp response");
    let again = || Opener { enc: request.enc, secret };
    assert!(again().open(&answer).is_ok());
    for at in 0..answer.len() {
        assert_eq!(again().open(&bent(&answer, at, 1)), Err(OpenError::Sealed), "byte {at}");
    }
    for at in 0..answered(&chunked().0, &[b"data: 1\n\n", b"data: 2\n\n"]).len() {
        let (sealed, opener) = chunked();
        let answer = answered(&sealed, &[b"data: 1\n\n", b"data: 2\n\n"]);
        assert!(read_all(opener, &bent(&answer, at, 1)).is_err(), "byte {at}");
    }
}

#[test]
fn what_was_cut_off_or_grew_does_not_open() {
    let (sealed, opener) = whole();
    let answer = gateway().open(&sealed).unwrap().1.seal(200, JSON, b"{}").unwrap();
    for length in 0..sealed.len() {
        assert_eq!(opened(&sealed[..length]).err(), Some(OpenError::Sealed), "{length} bytes");
    }
    assert!(opened(&[&sealed[..], &[0]].concat()).is_err());
    let secret = opener.secret;
    for length in 0..answer.len() {
        assert!(Opener { enc: opener.enc, secret }.open(&answer[..length]).is_err(), "{length} bytes");
    }
    assert!(opener.open(&[&answer[..], &[0]].concat()).is_err());

    let (sealed, opener) = chunked();
    for length in 0..sealed.len() {
        assert_eq!(opened_chunked(&sealed[..length]).err(), Some(OpenError::Sealed), "{length} bytes");
    }
    assert!(opened_chunked(&[&sealed[..], &[0]].concat()).is_err());
    assert!(read_all(opener, &[&answered(&sealed, &[b"x"])[..], &[0]].concat()).is_err());
    for length in 0..answered(&chunked().0, &[b"x", b"y"]).len() {
        let (sealed, opener) = chunked();
        let answer = answered(&sealed, &[b"x", b"y"]);
        assert!(read_all(opener, &answer[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn chunks_do_not_change_places() {
    let (sealed, mut opener) = chunked();
    let (mut body, head) = stream_of(&sealed).begin(200, EVENTS).unwrap();
    let (first, second) = (body.chunk(b"data: 1\n\n").unwrap(), body.chunk(b"data: 2\n\n").unwrap());
    opener.push(&head).unwrap();
    assert_eq!(opener.push(&[second, first].concat()), Err(OpenError::Sealed));
}

/// A request in chunks that are cut as nobody cuts them. The last is the final one.
fn cut_by_hand(chunks: &[&[u8]]) -> Vec<u8> {
    let header = [&[1, 0, 0x20][..], &SUITE].concat();
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&gateway().config()[5..37]).unwrap();
    let info = [b"message/bhttp chunked request\0", &header[..]].concat();
    let (enc, mut context) = setup_sender::<AesGcm128, HkdfSha256, X25519HkdfSha256>(&OpModeS::Base, &public, &info).unwrap();
    let mut sealed = [&header[..], &enc.to_bytes()].concat();
    let (last, chunks) = chunks.split_last().unwrap();
    for chunk in chunks {
        let chunk = context.seal(chunk, b"").unwrap();
        sealed.extend(u32::try_from(chunk.len() | 2 << 30).unwrap().to_be_bytes());
        sealed.extend(chunk);
    }
    [&sealed[..], &[0], &context.seal(last, b"final").unwrap()].concat()
}

#[test]
fn an_empty_chunk_before_the_last_is_refused() {
    let plain = Request::write("POST", "/gateway", "none", BODY).unwrap();
    let (first, second) = plain.split_at(40);
    assert_eq!(opened_chunked(&cut_by_hand(&[first, second, b""])).unwrap().body, BODY);
    assert_eq!(opened_chunked(&cut_by_hand(&[&plain])).unwrap().body, BODY);
    for chunks in [&[first, b"", second, b""][..], &[first, b"", second], &[b"", &plain, b""], &[&plain, b"", b""], &[&plain, b"", b"\0"]] {
        assert_eq!(opened_chunked(&cut_by_hand(chunks)).err(), Some(OpenError::Sealed));
    }
    let sealed = cut_by_hand(&[&plain, b"", b""]);
    assert_eq!(opened_chunked(&sealed[..sealed.len() - 17]).err(), Some(OpenError::Sealed), "without the last chunk");
    // The longest last chunk, and a byte behind it.
    let sealed = cut_by_hand(&[&plain, &vec![0; 1 << 14]]);
    assert!(opened_chunked(&sealed).is_ok() && opened_chunked(&[&sealed[..], &[0]].concat()).is_err());
    assert!(opened_chunked(&cut_by_hand(&[&plain, &vec![0; (1 << 14) + 1]])).is_err());
}

#[test]
fn a_request_for_another_key_does_not_open() {
    for other in [GatewayKey::derive(1, &[8; 32]).unwrap(), GatewayKey::derive(2, &SEED).unwrap()] {
        assert_eq!(other.open(&whole().0).err(), Some(OpenError::Sealed));
        assert_eq!(other.open_chunked(&chunked().0).err(), Some(OpenError::Sealed));
        assert!(PinnedConfig::read(other.config(), gateway().pin()).is_none());
    }
    // A whole request is none in chunks, and the other way round.
    assert!(opened_chunked(&whole().0).is_err() && opened(&chunked().0).is_err());
    // A key of few bits agrees on a secret that everybody knows.
    let [mut weak, mut weak_chunked] = [whole().0, chunked().0];
    weak[7..39].fill(0);
    weak_chunked[7..39].fill(0);
    assert!(opened(&weak).is_err() && opened_chunked(&weak_chunked).is_err());
}

#[test]
fn an_answer_is_to_one_request() {
    let ((first, _), (_, opener)) = (whole(), whole());
    let answer = gateway().open(&first).unwrap().1.seal(200, JSON, b"{}").unwrap();
    assert_eq!(opener.open(&answer), Err(OpenError::Sealed));
    let ((first, _), (_, mut opener)) = (chunked(), chunked());
    assert_eq!(opener.push(&answered(&first, &[b"x"])), Err(OpenError::Sealed));
    // Nor is it to the same request, made again.
    assert_ne!(opened(&whole().0).unwrap().nonce(), opened(&whole().0).unwrap().nonce());
}

#[test]
fn what_is_too_long_is_refused() {
    let (largest, above) = (vec![b'x'; MOST_BODY], vec![b'x'; MOST_BODY + 1]);
    let client = client_of(&gateway());
    assert_eq!(opened(&client.seal("POST", "/gateway", &largest).unwrap().0).unwrap().body, largest);
    assert_eq!(client.seal("POST", "/gateway", &above).err(), Some(SealError));
    assert_eq!(client.seal_chunked("POST", "/gateway", &above).err(), Some(SealError));
    let mut message = Message::request(b"POST".to_vec(), b"https".to_vec(), Vec::new(), b"/gateway".to_vec());
    message.write_content(&above);
    let mut plain = Vec::new();
    message.write_bhttp(Mode::KnownLength, &mut plain).unwrap();
    assert_eq!(opened(&by_hand(&plain)).err(), Some(OpenError::TooLong));
    for bytes in [MOST_SEALED + 1, 1 << 24] {
        assert_eq!(opened(&vec![0; bytes]).err(), Some(OpenError::TooLong));
        assert_eq!(opened_chunked(&vec![0; bytes]).err(), Some(OpenError::TooLong));
    }
    for word in ["", "a b", "\u{e9}", "\0", &"x".repeat(1025)] {
        assert!(client.seal(word, "/gateway", BODY).is_err() && client.seal("POST", word, BODY).is_err());
    }
    // Of an answer, too, no more is held than one chunk.
    for start in [&[0xff; 8][..], &[0x80, 0x10, 0, 0], &[0]] {
        let mut opener = chunked().1;
        let start = [&[0; 16][..], start].concat();
        assert!(opener.push(&start).is_ok());
        assert_eq!(opener.push(&vec![0; 40_000]), Err(OpenError::TooLong));
    }
}

#[test]
fn garbage_is_refused() {
    let mut dice = Dice(0x5eed);
    let header = &whole().0[..7];
    for _ in 0..200 {
        let garbage = dice.bytes(300);
        let with_header = [header, &garbage].concat();
        assert!(opened(&garbage).is_err() && opened(&with_header).is_err());
        assert!(opened_chunked(&garbage).is_err() && opened_chunked(&with_header).is_err());
        assert!(PinnedConfig::read(&garbage, gateway().pin()).is_none());
        assert!(Opener { enc: [1; 32], secret: [1; 16] }.open(&garbage).is_err());
        assert!(read_all(chunked().1, &garbage).is_err());
        // Sealed as it should be, and garbage inside.
        assert_eq!(opened(&by_hand(&garbage)).err(), Some(OpenError::Malformed));
    }
}

#[test]
fn a_message_that_is_not_whole_is_refused() {
    let plain = Request::write("POST", "/gateway", "none", BODY).unwrap();
    for length in 0..plain.len() {
        let Ok(request) = opened(&by_hand(&plain[..length])) else { continue };
        // Where a section of a message is missing altogether it is empty (RFC 9292, section 3.8).
        assert!(request.body.is_empty() || length == plain.len() - 1, "{length} bytes");
    }
    assert!(opened(&by_hand(&[&plain[..], &[0; 100]].concat())).is_ok(), "padded");
    assert_eq!(opened(&by_hand(&[&plain[..], &[0, 0, 1]].concat())).err(), Some(OpenError::Malformed));
    let answer = Response::write(200, JSON, b"{}").unwrap();
    assert_eq!(opened(&by_hand(&answer)).err(), Some(OpenError::Malformed), "an answer is no request");
    let (sealed, opener) = whole();
    let reply = gateway().open(&sealed).unwrap().1;
    assert!(reply.seal(100, JSON, b"{}").is_err() && opener.open(b"").is_err());
    assert!(stream_of(&chunked().0).begin(199, EVENTS).is_err());
}

#[test]
fn a_credential_is_for_one_request() {
    let (sealed, _) = whole();
    let request = opened(&sealed).unwrap();
    assert!(request.is_by(&KEY));
    let changed = |change: fn(&mut Request)| {
        let mut request = opened(&sealed).unwrap();
        change(&mut request);
        request.is_by(&KEY)
    };
    assert!(changed(|_| {}));
    assert!(!changed(|request| request.method = "GET".into()));
    assert!(!changed(|request| request.path.push('/')));
    assert!(!changed(|request| request.body[0] ^= 1));
    assert!(!changed(|request| request.enc[31] ^= 0x80));
    assert_ne!(mac_input(b"e", "POST", "/a", b""), mac_input(b"e", "POS", "T/a", b""));
    assert_eq!(mac_input(b"e", &"x".repeat(1 << 16), "/", b""), None);
}

#[test]
fn a_credential_is_written_in_one_way() {
    let good = Credential::write("anna", &KEY, b"input").unwrap();
    assert!(Credential::read(good.as_bytes()).is_some_and(|credential| credential.is_by(&KEY, b"input")));
    assert!(Credential::read(good.replace("Doorward-Key", "doorward-key").as_bytes()).is_some());
    for id in ["", "a b", "a:b", "\u{e9}", &"x".repeat(65)] {
        assert_eq!(Credential::write(id, &KEY, b"input"), None);
    }
    let mac = good.rsplit_once(':').unwrap().1;
    for wrong in ["", " ", ":", "Doorward-Key", "Doorward-Key anna", "Doorward-Key anna:", "Bearer anna:AAAA", "Doorward-Key anna:*"] {
        let credential = Credential::read(wrong.as_bytes());
        assert!(credential.is_none_or(|credential| !credential.is_by(&KEY, b"input")), "{wrong}");
    }
    for value in [format!("Doorward-Key  anna:{mac}"), format!("Doorward-Key anna:{}", &mac[..43]), format!("Bearer anna:{mac}")] {
        assert!(Credential::read(value.as_bytes()).is_none(), "{value}");
    }
    assert!(Credential::read(b"Doorward-Key \xff:AAAA").is_none());
}

#[test]
fn two_credentials_are_none() {
    let mut message = Message::request(b"POST".to_vec(), b"https".to_vec(), Vec::new(), b"/gateway".to_vec());
    let mut plain = [Vec::new(), Vec::new()];
    for plain in &mut plain {
        message.put_header("authorization", Credential::write("anna", &KEY, b"").unwrap());
        message.write_bhttp(Mode::KnownLength, plain).unwrap();
    }
    let ids = plain.map(|plain| opened(&by_hand(&plain)).unwrap().key_id().map(str::to_owned));
    assert_eq!(ids, [Some("anna".to_owned()), None]);
}

#[test]
fn a_configuration_is_known_by_its_pin() {
    let (old, new) = (gateway(), GatewayKey::derive(2, &[8; 32]).unwrap());
    let list = [old.config(), new.config()].concat();
    for key in [&old, &new] {
        let client = Client::new(PinnedConfig::read(&list, key.pin()).unwrap(), "anna", KEY);
        assert!(key.open(&client.seal("POST", "/", b"").unwrap().0).is_ok());
    }
    assert!(PinnedConfig::read(&list, &[0; 32]).is_none());
    let pin_of = |bytes: &[u8]| <[u8; 32]>::try_from(digest(&SHA256, bytes).as_ref()).unwrap();
    // Even with the right pin: another KEM, no suite that is known here, a length that lies.
    for (at, bits) in [(3, 1), (4, 1), (37, 1), (38, 4), (42, 2), (42, 3)] {
        let bent = bent(old.config(), at, bits);
        let bent = if at == 42 { [&[0, 41], &bent[2..37], &[0, 4], &bent[39..43]].concat() } else { bent };
        assert!(PinnedConfig::read(&bent, &pin_of(&bent)).is_none(), "byte {at}");
    }
    for length in 0..old.config().len() {
        let cut = &old.config()[..length];
        assert!(PinnedConfig::read(cut, &pin_of(cut)).is_none());
    }
}
