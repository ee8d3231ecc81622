//! Identifiers that are parsed once, at the edge.

/// Why a text is not an identifier or a word of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Shorter than one or longer than 40 characters.
    #[error("must have 1 to 40 characters")]
    Length,
    /// A character other than `a`–`z`, `0`–`9` and `_`.
    #[error("may hold only lower-case letters, digits and underscores")]
    Character,
    /// Not one of the words that are allowed here.
    #[error("is not one of the words known here")]
    Word,
}

/// Declares an identifier of the shape `[a-z0-9_]{1,40}`: made once, never changed.
macro_rules! slug_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(alloc::string::String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// An identifier made from a name that people gave: `"Front door"` becomes `front_door`.
            /// A name without a single usable character becomes `fallback`.
            pub fn from_name(name: &str, fallback: &str) -> Self {
                Self($crate::id::slug(name, fallback))
            }

            /// This identifier with `_2`, `_3`, … at its end, cut so that it stays within 40 characters.
            #[must_use]
            pub fn numbered(&self, number: u32) -> Self {
                let end = alloc::format!("_{number}");
                let keep = self.0.len().min(40 - end.len());
                Self(alloc::format!("{}{end}", &self.0[..keep]))
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use slug_id;

pub(crate) fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > 40 {
        return Err(IdError::Length);
    }
    if text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')) { Ok(()) } else { Err(IdError::Character) }
}

pub(crate) fn slug(name: &str, fallback: &str) -> alloc::string::String {
    let mut slug = alloc::string::String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'ä' => slug.push_str("ae"),
            'ö' => slug.push_str("oe"),
            'ü' => slug.push_str("ue"),
            'ß' => slug.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' => slug.push('a'),
            'è' | 'é' | 'ê' | 'ë' => slug.push('e'),
            'ì' | 'í' | 'î' | 'ï' => slug.push('i'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ø' => slug.push('o'),
            'ù' | 'ú' | 'û' => slug.push('u'),
            'ç' => slug.push('c'),
            'ñ' => slug.push('n'),
            _ if !slug.is_empty() && !slug.ends_with('_') => slug.push('_'),
            _ => {}
        }
    }
    slug.truncate(40);
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() { fallback.into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use crate::door::DoorId;
    use alloc::string::ToString;

    #[test]
    fn a_name_becomes_an_id_that_parses() {
        for (name, id) in [("Front door", "front_door"), ("  Süd-Tür #2 ", "sued_tuer_2"), ("門", "door"), ("A__b", "a_b")] {
            let made = DoorId::from_name(name, "door");
            assert_eq!(made.as_str(), id);
            assert_eq!(made.as_str().parse::<DoorId>(), Ok(made));
        }
    }

    #[test]
    fn a_numbered_id_stays_within_40_characters() {
        let long = DoorId::from_name(&"x".repeat(60), "door");
        assert_eq!(long.as_str().len(), 40);
        let second = long.numbered(12);
        assert_eq!(second.as_str().len(), 40);
        assert!(second.as_str().ends_with("_12"));
    }

    proptest::proptest! {
        #[test]
        fn any_name_makes_a_valid_id(name in ".*") {
            let id = DoorId::from_name(&name, "door");
            proptest::prop_assert_eq!(id.to_string().parse::<DoorId>(), Ok(id));
        }
    }
}
