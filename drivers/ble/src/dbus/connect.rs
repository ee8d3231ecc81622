//! Finding the system bus, and signing in.

use super::BusError;
use std::{ffi::OsString, io, os::unix::ffi::OsStringExt as _, path::PathBuf};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

/// Where the bus is told to be (section "Well-known Message Bus Instances").
const VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// Where it is else. The second is the specification's, which most systems link to the first.
const USUAL: &str = "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket";
/// Bytes of a line while signing in.
const MOST_LINE: u64 = 512;

/// Where the system bus is.
pub(super) fn system() -> String {
    std::env::var(VARIABLE).ok().filter(|address| !address.is_empty()).unwrap_or_else(|| USUAL.into())
}

/// Connects to the first of these addresses that answers.
pub(super) async fn open(address: &str) -> Result<UnixStream, BusError> {
    let mut last = BusError::Absent(format!("{address} is no address of a Unix socket"));
    for path in address.split(';').filter_map(parse) {
        match UnixStream::connect(&path).await {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                last = BusError::NotAllowed(format!("{}: {error}", path.display()));
            }
            Err(error) => last = BusError::Absent(format!("{}: {error}", path.display())),
        }
    }
    Err(last)
}

/// The socket of an address (section "Server Addresses"): `unix:path=` or `unix:abstract=`, which begins with a zero byte.
pub(super) fn parse(address: &str) -> Option<PathBuf> {
    let pairs = address.strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(key, value)| match key {
        "path" => Some(PathBuf::from(OsString::from_vec(unescape(value)?))),
        "abstract" => Some(PathBuf::from(OsString::from_vec([vec![0], unescape(value)?].concat()))),
        _ => None,
    })
}

/// Bytes that are not themselves are `%` and two hex digits.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Signs in as whom the socket says that we are (section "Authentication Protocol", EXTERNAL). No user is named: in a container
/// that has users of its own, our number for ourselves is not that of the bus.
pub(super) async fn sign_in<R, W>(reader: &mut R, writer: &mut W) -> Result<(), BusError>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    writer.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\n").await.map_err(|_| BusError::Lost)?;
    loop {
        let line = line(reader).await?;
        match line.split(' ').next() {
            Some("DATA") => {}
            Some("OK") => break,
            _ => return Err(BusError::NotAllowed(format!("it answers {line:?}"))),
        }
    }
    writer.write_all(b"BEGIN\r\n").await.map_err(|_| BusError::Lost)
}

async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String, BusError> {
    let mut line = String::new();
    reader.take(MOST_LINE).read_line(&mut line).await.map_err(|_| BusError::Lost)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.into()),
        None if line.is_empty() => Err(BusError::Lost),
        None => Err(BusError::Malformed("a line of its welcome does not end")),
    }
}
