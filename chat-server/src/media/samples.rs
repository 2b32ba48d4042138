//! Sample files for the tests of this module.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::ImageKind;

/// One pixel of each kind, as encoders write it, with every byte value where the format allows it.
pub(crate) fn all() -> Vec<(ImageKind, Bytes)> {
    vec![
        (ImageKind::Png, png()),
        (ImageKind::Jpeg, jpeg()),
        (ImageKind::Gif, gif()),
        (ImageKind::Webp, webp()),
        (ImageKind::Avif, avif()),
        (ImageKind::Heic, heic()),
    ]
}

pub(crate) fn png() -> Bytes {
    decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
}

pub(super) fn gif() -> Bytes {
    decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
}

/// A JFIF header, a comment with every byte value (to detect a text conversion anywhere), and the end marker.
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

/// Written by libavif.
pub(super) fn avif() -> Bytes {
    decode(
        "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA\
         AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAJAAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA\
         AGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAAQAAAAEAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA\
         AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAALG1kYXQSAAoIGAAGiAhoNCAyFh7Hh4VZ3///4sAA\
         AJA1jjx6y/B+JUA=",
    )
}

/// Written by libheif.
pub(super) fn heic() -> Bytes {
    decode(
        "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA\
         ACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAACYAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt\
         AAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA\
         AAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNs\
         eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAACAAAAAEAAAAIAAAAAf///8gAAAAC////yAAAAAIAAAAQcGl4\
         aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAALm1kYXQAAAAiKAGvBBITTOD46cJoP+WF+rJWOK8n7asr40mfd7EY\
         kqn/oA==",
    )
}

fn decode(text: &str) -> Bytes {
    STANDARD.decode(text).expect("the samples are base64").into()
}
