//! A device fetches its image: with the address that it was offered, or with its token.

use crate::{
    Fleet,
    listener::{Asked, Refused, refuse, same},
    offers::News,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_wire::{attempt::Reason, device::DeviceId, firmware::Version};
use futures_util::stream;
use std::{convert::Infallible, ops::Range, sync::Arc};

pub(crate) async fn answer(fleet: &Fleet, asked: &Asked, headers: &HeaderMap, path: &str, query: &str) -> Result<Response, Refused> {
    let not_found = || Refused::new(StatusCode::NOT_FOUND, "Not Found");
    let (id, version) = path.split_once('/').ok_or_else(not_found)?;
    let (Ok(id), Ok(version)) = (id.parse::<DeviceId>(), version.parse::<Version>()) else { return Err(not_found()) };
    let device = fleet.house().store().device(&id).await?.filter(|device| device.revoked.is_none());
    let token = headers.get("x-device-token").and_then(|token| token.to_str().ok());
    let may = device.as_ref().is_some_and(|device| {
        fleet.is_firmware_link(device, &version, query) || token.is_some_and(|token| same(device.secrets.token.reveal(), token))
    });
    let Some(device) = device.filter(|_| may) else {
        // Whether the device or the image is there is nobody else's business.
        fleet.limits().failed(asked.source, fleet.house().now().mono);
        refuse(fleet, asked, Reason::NotAuthenticated);
        return Err(Refused::new(StatusCode::FORBIDDEN, "this address is not good (any more); a device is sent another one"));
    };
    let Some(image) = fleet.house().store().firmware(fleet.hardware_of(&device), &version).await? else { return Err(not_found()) };
    let size = usize::try_from(image.size).unwrap_or_default();
    let chunks = fleet.image(&image.hardware, &version).await?;
    let wanted = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, range) = match wanted.map(|text| part(text, size)) {
        None | Some(None) => (StatusCode::OK, 0..size),
        Some(Some(range)) if range.is_empty() => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let mut response = (status, body(fleet.clone(), id, version, chunks, range.clone(), size)).into_response();
    set(&mut response, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut response, header::CONTENT_LENGTH, &range.len().to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CACHE_CONTROL, "no-store");
    set(&mut response, header::ETAG, &format!("\"{}\"", image.sha256));
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The bytes of one range (RFC 9110, section 14.2). `None` for what is answered with everything; empty for what is not there.
fn part(text: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => {
            let length: usize = last.parse().ok()?;
            Some(size.saturating_sub(length)..size)
        }
        (first, last) => {
            let first: usize = first.parse().ok()?;
            let last = if last.is_empty() { size.saturating_sub(1) } else { last.parse().ok()? };
            (first <= last || first >= size).then(|| first.min(size)..last.saturating_add(1).clamp(first.min(size), size))
        }
    }
}

fn body(fleet: Fleet, id: DeviceId, version: Version, chunks: Arc<[Bytes]>, range: Range<usize>, size: usize) -> Body {
    let parts = move |at: &mut (usize, usize)| {
        let chunk = chunks.get(at.0)?;
        let begins = at.1;
        *at = (at.0 + 1, begins + chunk.len());
        let (from, to) = (range.start.clamp(begins, at.1), range.end.clamp(begins, at.1));
        // With its last byte the image is fetched: nobody asks for more after it.
        if to == size && to > from {
            fleet.tell_update(&id, News::Fetched(version.clone()));
        }
        Some(chunk.slice(from - begins..to - begins))
    };
    let mut at = (0, 0);
    let parts = std::iter::from_fn(move || parts(&mut at)).filter(|part| !part.is_empty());
    Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)))
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn ranges_as_the_standard_has_them() {
        assert_eq!(part("bytes=0-3", 10), Some(0..4));
        assert_eq!(part("bytes=4-", 10), Some(4..10));
        assert_eq!(part("bytes=-3", 10), Some(7..10));
        assert_eq!(part("bytes=-30", 10), Some(0..10));
        assert_eq!(part("bytes=8-30", 10), Some(8..10));
        assert_eq!(part("bytes=10-", 10), Some(10..10), "not there");
        for ignored in ["items=0-1", "bytes=3-1", "bytes=0-1,3-4", "bytes=x-", "bytes", ""] {
            assert_eq!(part(ignored, 10), None, "{ignored}");
        }
    }
}
