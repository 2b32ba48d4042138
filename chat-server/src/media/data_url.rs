//! Pictures inside JSON: `data:image/png;base64,iVBORw0…`, as `FileReader` creates them (RFC 2397).

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::image::sniff;
use super::store::MediaError;

/// Decodes a `data:` URL of a picture; `max_bytes` limits the decoded file.
///
/// - The scheme and the word `base64` are case-insensitive. Parameters (`;charset=…`, `;name=…`) are allowed and
///   ignored; a comma inside a parameter is not supported.
/// - Only the content decides the type of the file. The declared type is ignored, because browsers, phones and
///   libraries send `image/*`, `application/octet-stream`, `text/plain` or nothing for pictures. An SVG is refused
///   whatever its declared type is.
/// - The payload is base64 in the standard alphabet (RFC 4648, section 4). As in browsers, padding may be missing and
///   ASCII whitespace is skipped. Percent-encoding is not supported.
/// - The size is computed from the encoded text before anything is decoded or allocated.
///
/// # Errors
///
/// [`MediaError::Malformed`], [`MediaError::UnsupportedType`] and [`MediaError::TooLarge`].
pub fn parse_data_url(url: &str, max_bytes: usize) -> Result<Bytes, MediaError> {
    let rest = strip_scheme(url.trim_ascii()).ok_or(MediaError::Malformed("it does not begin with data:"))?;
    let (head, payload) = rest.split_once(',').ok_or(MediaError::Malformed("it has no comma"))?;
    let encoding = head.rsplit(';').next().unwrap_or_default();
    if !encoding.trim_ascii().eq_ignore_ascii_case("base64") {
        return Err(MediaError::Malformed("it is not base64"));
    }
    let file = decode(payload, max_bytes)?;
    sniff(&file).ok_or(MediaError::UnsupportedType)?;
    Ok(file.into())
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_at_checked("data:".len())?;
    scheme.eq_ignore_ascii_case("data:").then_some(rest)
}

fn decode(payload: &str, max_bytes: usize) -> Result<Vec<u8>, MediaError> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    let spaces = payload.bytes().filter(u8::is_ascii_whitespace).count();
    let digits = payload.bytes().filter(|&byte| !byte.is_ascii_whitespace() && byte != b'=').count();
    // Four digits make three bytes; two or three digits at the end make one or two.
    if digits / 4 * 3 + digits % 4 * 3 / 4 > max_bytes {
        return Err(MediaError::TooLarge { limit: max_bytes });
    }
    let decoded = if spaces == 0 {
        ENGINE.decode(payload)
    } else {
        let dense: Vec<u8> = payload.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        ENGINE.decode(dense)
    };
    decoded.map_err(|_| MediaError::Malformed("its base64 is damaged"))
}

#[cfg(test)]
mod tests;
