//! Files for the tests of this folder.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::ImageKind;

/// One pixel of each kind, as encoders write it, followed by every byte value in the places where that is
/// allowed.
pub(super) fn all() -> Vec<(ImageKind, Bytes)> {
    vec![
        (ImageKind::Png, png()),
        (ImageKind::Jpeg, jpeg()),
        (ImageKind::Gif, gif()),
        (ImageKind::Webp, webp()),
    ]
}

pub(crate) fn png() -> Bytes {
    decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
}

pub(super) fn gif() -> Bytes {
    decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
}

/// A JFIF header, a comment that holds every byte value (so that a text conversion anywhere would be
/// noticed), the end.
pub(super) fn jpeg() -> Bytes {
    let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
    file.extend(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    file.extend([0xff, 0xfe, 0x01, 0x02]);
    file.extend(0..=255_u8);
    file.extend([0xff, 0xd9]);
    file.into()
}

pub(super) fn webp() -> Bytes {
    decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
}

fn decode(text: &str) -> Bytes {
    STANDARD.decode(text).expect("the samples are base64").into()
}
