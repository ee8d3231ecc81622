//! Firmware: what an image says of itself, what a device is offered, and what it answers.

use crate::{device::DeviceId, words::words};
use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::{cmp::Ordering, fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// Characters of a version, and of the name of a hardware.
const WORD: usize = 32;
/// What an image begins with.
const MAGIC: u8 = 0xE9;
/// What its description begins with.
const DESCRIBED: [u8; 4] = [0x32, 0x54, 0xCD, 0xAB];

/// Why a text is no version or no hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {WORD} letters, digits, dots, dashes, underscores and pluses, and begin with a letter or digit")]
pub struct WordError;

/// A version. Numbers in it count as numbers: 2.10.0 is newer than 2.9.1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "2.1.0"))]
#[serde(transparent)]
pub struct Version(String);

/// What firmware is for: a kind of board.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "xiao-esp32s3"))]
#[serde(transparent)]
pub struct Hardware(String);

fn word(text: &str) -> Result<String, WordError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '+');
    let begins = text.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    if begins && text.len() <= WORD && text.chars().all(plain) { Ok(text.into()) } else { Err(WordError) }
}

macro_rules! word_type {
    ($name:ident) => {
        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                word(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

word_type!(Version);
word_type!(Hardware);

impl Version {
    /// Whether a device says that it runs this version. Some say `v2.1.0` for `2.1.0`.
    pub fn is_said(&self, said: &str) -> bool {
        bare(said) == bare(&self.0)
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let own = bare(&self.0);
        // What was built from it says nothing of which is newer.
        let own = own.split('+').next().unwrap_or(own);
        own.split(['.', '-', '_']).map(|part| part.parse().map_or(Part::Word(part), Part::Number)).collect()
    }
}

fn bare(text: &str) -> &str {
    text.trim().trim_start_matches(['v', 'V'])
}

/// A word is older than a number, as a preview is older than what comes of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Word(&'a str),
    Number(u64),
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, theirs) = (self.parts(), other.parts());
        let missing = Part::Number(0);
        for at in 0..own.len().max(theirs.len()) {
            let (a, b) = (own.get(at).unwrap_or(&missing), theirs.get(at).unwrap_or(&missing));
            let order = a.cmp(b);
            if order != Ordering::Equal {
                return order;
            }
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

words! {
    /// For whom firmware is meant.
    pub enum Channel {
        /// For nobody yet.
        Draft = "draft",
        /// For those who try it.
        Beta = "beta",
        /// For everybody.
        Stable = "stable",
    }
}

words! {
    /// How an update of a device stands, as the device says.
    pub enum UpdateStatus {
        /// It fetches the image.
        Downloading = "downloading",
        /// It writes the image.
        Updating = "updating",
        /// It has written it, and starts again.
        Success = "success",
        /// It could not.
        Failed = "failed",
        /// It runs it already.
        UpToDate = "up_to_date",
    }
}

/// What a device tells of its update at `gateway/<id>/ota/status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct UpdateReport {
    /// Who it is.
    #[serde(default)]
    pub device_id: Option<DeviceId>,
    /// How it stands.
    pub status: UpdateStatus,
    /// Per cent of the image.
    #[serde(default)]
    pub progress: Option<f64>,
    /// What it runs now.
    #[serde(default)]
    pub current_version: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a device is offered at `gateway/<id>/ota`. Firmware in the field reads the first three alone, and checks no signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The version.
    pub version: Version,
    /// Where the image is, for this device and for a day.
    pub url: String,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub checksum: String,
    /// The Ed25519 signature of [`statement`], in Base64.
    pub signature: String,
    /// What it is for.
    pub hardware: Hardware,
    /// The oldest version that may be replaced by an older one: a device refuses what is older than this.
    pub min_version: Version,
}

/// What is signed of an image: everything that a device decides by.
///
/// ```
/// use doorward_wire::firmware::statement;
///
/// let text = statement(&"xiao".parse().unwrap(), &"2.1.0".parse().unwrap(), &"2.0.0".parse().unwrap(), 7, "ab");
/// assert_eq!(text, "doorward-firmware/1\nxiao\n2.1.0\n2.0.0\n7\nab\n");
/// ```
pub fn statement(hardware: &Hardware, version: &Version, min_version: &Version, size: u64, sha256: &str) -> String {
    format!("doorward-firmware/1\n{hardware}\n{version}\n{min_version}\n{size}\n{sha256}\n")
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The version that was built.
    pub version: Option<Version>,
    /// What its project is called.
    pub project: String,
}

/// Why bytes are no firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no image for an ESP32: it does not begin with 0xE9")]
pub struct ImageError;

/// Bytes of an image that [`describe`] looks at.
pub const HEAD: usize = 24 + 8 + 112;

/// Reads the beginning of an image (ESP-IDF's application image format).
pub fn describe(head: &[u8]) -> Result<Described, ImageError> {
    if head.first() != Some(&MAGIC) {
        return Err(ImageError);
    }
    // Behind the head of the image and of its first segment.
    let described = head.get(32..).filter(|description| description.starts_with(&DESCRIBED)).unwrap_or_default();
    let text = |from: usize| {
        let bytes = described.get(from..from + 32).unwrap_or_default();
        let bytes: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).to_string()
    };
    Ok(Described { version: text(16).parse().ok(), project: text(48).chars().filter(|letter| !letter.is_control()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_people_mean_them() {
        let ordered = ["1.9", "2.0.0-beta", "2.0.0", "2.0.1", "v2.9.1", "2.10.0", "10"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert!(version("2.1.0").is_said(" v2.1.0") && !version("2.1.0").is_said("2.1"));
        for wrong in ["", " 1", "1 0", ".1", "1/2", "ä", &"1".repeat(33)] {
            assert_eq!(wrong.parse::<Version>(), Err(WordError), "{wrong}");
        }
    }

    #[test]
    fn an_image_says_what_it_is() {
        let mut image = vec![0u8; HEAD];
        image[0] = MAGIC;
        image[32..36].copy_from_slice(&DESCRIBED);
        image[48..53].copy_from_slice(b"2.1.0");
        image[80..87].copy_from_slice(b"gateway");
        assert_eq!(describe(&image), Ok(Described { version: Some(version("2.1.0")), project: "gateway".into() }));
        image[32] = 0;
        assert_eq!(describe(&image), Ok(Described { version: None, project: String::new() }), "older ones say nothing");
        assert_eq!(describe(b"\x7fELF"), Err(ImageError));
        assert_eq!(describe(b""), Err(ImageError));
        assert!(describe(&[MAGIC]).is_ok());
    }

    #[test]
    fn a_device_tells_of_its_update() {
        let told: UpdateReport =
            serde_json::from_str(r#"{"device_id":"a1b2c3","status":"downloading","progress":37,"current_version":"2.0.0"}"#).unwrap();
        assert_eq!((told.status, told.progress), (UpdateStatus::Downloading, Some(37.0)));
        assert!(serde_json::from_str::<UpdateReport>(r#"{"status":"perhaps"}"#).is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_versions_is_an_order(a in "[0-9a-z][0-9a-z.+-]{0,6}", b in "[0-9a-z][0-9a-z.+-]{0,6}", c in "[0-9a-z][0-9a-z.+-]{0,6}") {
            let (a, b, c) = (version(&a), version(&b), version(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }

        #[test]
        fn any_bytes_are_described_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = describe(&bytes);
        }
    }
}
