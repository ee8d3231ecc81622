//! The vectors of `docs/wire/tunnel-v2.json`, which were made without the Rust code, and `ohttp` against bytes by hand.

use super::{
    super::{
        CHUNKED_REQUEST,
        client::answer_key,
        credential::Credential,
        mac_input,
        message::{Reading, read_length},
    },
    GatewayKey, JSON, Opener, Request, Response, SEED, answered, chunked,
};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use hpke::{Deserializable, Kem, OpModeR, aead::AesGcm128, kdf::HkdfSha256, kem::X25519HkdfSha256, setup_receiver};
use serde_json::Value;

/// What the receiver of a request shares with its sender.
pub(super) fn secret_of(seed: &[u8; 32], sealed: &[u8], info: &[u8], label: &[u8]) -> [u8; 16] {
    let (secret, _) = X25519HkdfSha256::derive_keypair(seed);
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed[7..39]).unwrap();
    let info = [info, &sealed[..7]].concat();
    let context = setup_receiver::<AesGcm128, HkdfSha256, X25519HkdfSha256>(&OpModeR::Base, &secret, &enc, &info).unwrap();
    let mut exported = [0; 16];
    context.export(label, &mut exported).unwrap();
    exported
}

/// Opens an answer in chunks by hand, so that it is not `ohttp` alone that says what the bytes are.
fn chunks_by_hand(key: &LessSafeKey, nonce: [u8; 12], mut chunks: &[u8]) -> Vec<u8> {
    let (mut plain, mut counter) = (Vec::new(), 0_u8);
    loop {
        let (length, prefix) = read_length(chunks).unwrap();
        let length = usize::try_from(length).unwrap();
        let last = length == 0;
        let (chunk, rest) = chunks[prefix..].split_at(if last { chunks.len() - prefix } else { length });
        let (mut chunk, mut nonce) = (chunk.to_vec(), nonce);
        nonce[11] ^= counter;
        let aad = Aad::from(if last { &b"final"[..] } else { b"" });
        plain.extend_from_slice(key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut chunk).unwrap());
        if last {
            return plain;
        }
        (chunks, counter) = (rest, counter + 1);
    }
}

/// Opens it from the response nonce to the content.
fn answer_by_hand(seed: &[u8; 32], request: &[u8], answer: &[u8]) -> Vec<u8> {
    let secret = secret_of(seed, request, b"message/bhttp chunked request\0", b"message/bhttp chunked response");
    let (key, nonce) = answer_key(&request[7..39], &secret, answer.first_chunk().unwrap()).unwrap();
    chunks_by_hand(&key, nonce, &answer[16..])
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_vectors_agree() {
    let vectors = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/tunnel-v2.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let (seed, key) = (hex(&vectors["seed"]).try_into().unwrap(), hex(&vectors["client"]["key"]).try_into().unwrap());
    let gateway = GatewayKey::derive(1, &seed).unwrap();
    assert_eq!((gateway.config(), &gateway.pin()[..]), (&hex(&vectors["ohttp_keys"])[..], &hex(&vectors["pin"])[..]));
    for vector in vectors["exchanges"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (name, bytes) = (text("name"), |name: &str| hex(&vector[name]));
        let (sealed, is_chunked) = (bytes("request"), text("request_type") == CHUNKED_REQUEST);
        let request =
            if is_chunked { gateway.open_chunked(&sealed).map(|opened| opened.0) } else { gateway.open(&sealed).map(|opened| opened.0) };
        let request = request.unwrap();
        assert!(request.is_by(&key), "{name}");
        assert_eq!((request.method.as_str(), request.path.as_str()), (text("method"), text("path")));
        assert_eq!((&request.body[..], request.key_id()), (text("body").as_bytes(), vectors["client"]["key_id"].as_str()));
        assert_eq!((request.enc.to_vec(), request.nonce().to_vec()), (bytes("enc"), bytes("replay_nonce")));
        let input = mac_input(&request.enc, &request.method, &request.path, &request.body).unwrap();
        let credential = Credential::write("anna", &key, &input).unwrap();
        assert_eq!((input, credential.as_str()), (bytes("mac_input"), text("authorization")));
        let plain = Request::write(&request.method, &request.path, &credential, &request.body).unwrap();
        assert_eq!(plain, bytes("request_bhttp"), "{name}");
        if vector["aead"] != 1 {
            continue;
        }
        if is_chunked {
            assert_eq!(answer_by_hand(&seed, &sealed, &bytes("response")), bytes("response_bhttp"));
            let mut reading = Reading::default();
            assert_eq!(reading.push(&bytes("response_bhttp")).unwrap(), text("response_body").as_bytes());
            assert!(reading.ended && reading.status == Some(200));
        } else {
            let secret = secret_of(&seed, &sealed, b"message/bhttp request\0", b"message/bhttp response");
            let response = Opener { enc: request.enc, secret }.open(&bytes("response")).unwrap();
            assert_eq!((response.status, &response.body[..]), (200, text("response_body").as_bytes()));
            assert_eq!(Response::write(200, JSON, &response.body).unwrap(), bytes("response_bhttp"));
        }
    }
}

#[test]
fn what_is_sealed_in_chunks_opens_by_hand() {
    let (sealed, _) = chunked();
    let contents: [&[u8]; 3] = [b"data: 1\n\n", &vec![b'x'; 20_000], b"data: 2\n\n"];
    let plain = answer_by_hand(&SEED, &sealed, &answered(&sealed, &contents));
    let mut reading = Reading::default();
    assert_eq!(reading.push(&plain).unwrap(), contents.concat());
}
