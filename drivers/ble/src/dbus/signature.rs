//! Types, as they are written down (section "Type System").

use super::{BusError, MOST_DEPTH};

/// Bytes of a signature.
pub(super) const MOST_SIGNATURE: usize = 255;

/// At which multiple of bytes a value of this type begins.
pub(super) const fn alignment(first: u8) -> usize {
    match first {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Takes one complete type off the front of a signature.
pub(super) fn split(signature: &str) -> Result<(&str, &str), BusError> {
    let rest = skip(signature.as_bytes(), MOST_DEPTH, false)?;
    Ok(signature.split_at(signature.len() - rest.len()))
}

/// Whether it is a list of complete types.
pub(super) fn check(mut signature: &str) -> Result<(), BusError> {
    if signature.len() > MOST_SIGNATURE {
        return Err(BusError::Malformed("a signature is too long"));
    }
    while !signature.is_empty() {
        (_, signature) = split(signature)?;
    }
    Ok(())
}

/// What follows after one complete type. An item of a dictionary stands in an array alone.
fn skip(signature: &[u8], depth: usize, in_array: bool) -> Result<&[u8], BusError> {
    const BAD: BusError = BusError::Malformed("a signature is none");
    let depth = depth.checked_sub(1).ok_or(BusError::Malformed("a signature is too deep"))?;
    match signature.split_first().ok_or(BAD)? {
        (b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v', rest) => Ok(rest),
        (b'a', rest) => skip(rest, depth, true),
        (b'(', rest) => {
            let mut rest = skip(rest, depth, false)?;
            while rest.first() != Some(&b')') {
                rest = skip(rest, depth, false)?;
            }
            Ok(rest.get(1..).unwrap_or_default())
        }
        (b'{', rest) if in_array && !matches!(rest.first(), None | Some(b'a' | b'(' | b'{' | b'v')) => {
            let rest = skip(skip(rest, depth, false)?, depth, false)?;
            rest.strip_prefix(b"}").ok_or(BAD)
        }
        _ => Err(BAD),
    }
}
