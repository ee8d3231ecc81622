//! The gateway's end: opening a request, and answering it.

use super::{
    CHUNK, HEADER, MOST_SEALED, OpenError, PUBLIC, SealError, TAG,
    keys::GatewayKey,
    memory::{Outlet, Writer, now},
    message::{END, Request, Response, read_length, write_content, write_head},
};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use ohttp::ServerResponse;

/// Answers one request at once.
pub struct Sealer(ServerResponse);

/// Answers one request in chunks.
pub struct StreamSealer(StreamBody);

/// The body of an answer in chunks, for as long as there comes more of it. Dropped before its end, it is a broken answer,
/// and the client sees that.
pub struct StreamBody {
    writer: Writer,
    sealed: Outlet,
}

impl GatewayKey {
    /// Opens a request that was sealed whole.
    pub fn open(&self, sealed: &[u8]) -> Result<(Request, Sealer), OpenError> {
        let enc = enc(sealed)?;
        let (plain, response) = self.server.decapsulate(sealed).map_err(|_| OpenError::Sealed)?;
        Ok((Request::read(&plain, enc)?, Sealer(response)))
    }

    /// Opens a request that was sealed in chunks, of which all are there.
    pub fn open_chunked(&self, sealed: &[u8]) -> Result<(Request, StreamSealer), OpenError> {
        let enc = enc(sealed)?;
        if !are_chunks(&sealed[HEADER + PUBLIC..]) {
            return Err(OpenError::Sealed);
        }
        let mut reader = self.server.clone().decapsulate_stream(sealed);
        let mut plain = Vec::new();
        now(reader.read_to_end(&mut plain)).ok_or(OpenError::Sealed)?;
        let sealed = Outlet::default();
        let writer = reader.response(sealed.clone()).map_err(|_| OpenError::Sealed)?;
        Ok((Request::read(&plain, enc)?, StreamSealer(StreamBody { writer: Box::pin(writer), sealed })))
    }
}

/// The public key that was made for a request, which is not too long.
fn enc(sealed: &[u8]) -> Result<[u8; PUBLIC], OpenError> {
    if sealed.len() > MOST_SEALED {
        return Err(OpenError::TooLong);
    }
    sealed.get(HEADER..).and_then(|rest| rest.first_chunk()).copied().ok_or(OpenError::Sealed)
}

/// Whether these are chunks, each with at least a byte inside but for the last, and nothing behind them. `ohttp` 0.8 takes
/// an empty chunk for the end, and does not look behind a last chunk of full length.
fn are_chunks(mut rest: &[u8]) -> bool {
    while let Some((length, prefix)) = read_length(rest) {
        rest = &rest[prefix..];
        if length == 0 {
            return (TAG..=CHUNK).contains(&rest.len());
        }
        let Some((chunk, behind)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else { break };
        if !(TAG + 1..=CHUNK).contains(&chunk.len()) {
            break;
        }
        rest = behind;
    }
    false
}

impl Sealer {
    /// The whole answer.
    pub fn seal(self, status: u16, content_type: &str, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain = Response::write(status, content_type, body)?;
        self.0.encapsulate(&plain).map_err(|_| SealError)
    }
}

impl StreamSealer {
    /// The first bytes of the answer, and what makes those that follow.
    pub fn begin(self, status: u16, content_type: &str) -> Result<(StreamBody, Vec<u8>), SealError> {
        let mut body = self.0;
        let sealed = body.write(&write_head(status, content_type)?)?;
        Ok((body, sealed))
    }
}

impl StreamBody {
    /// More of the body. A client has it as soon as it has these bytes.
    pub fn chunk(&mut self, content: &[u8]) -> Result<Vec<u8>, SealError> {
        if content.is_empty() {
            return Ok(Vec::new());
        }
        self.write(&write_content(content))
    }

    /// The end, without which a client takes the answer for cut off.
    pub fn end(mut self) -> Result<Vec<u8>, SealError> {
        let mut sealed = self.write(&END)?;
        now(self.writer.close()).ok_or(SealError)?;
        sealed.append(&mut self.sealed.take());
        Ok(sealed)
    }

    fn write(&mut self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        now(self.writer.write_all(plain)).ok_or(SealError)?;
        now(self.writer.flush()).ok_or(SealError)?;
        Ok(self.sealed.take())
    }
}
