//! What a file is, by its first bytes. A name or a declared type is never believed.

/// The kinds of picture that are accepted: those every browser shows and none runs.
///
/// SVG is left out on purpose: it is a document that can carry scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageKind {
    /// Portable Network Graphics, animated or not (ISO/IEC 15948, <https://www.w3.org/TR/png-3/>).
    Png,
    /// JPEG in any wrapping, such as JFIF or Exif (ITU-T T.81).
    Jpeg,
    /// GIF 87a or 89a (<https://www.w3.org/Graphics/GIF/spec-gif89a.txt>).
    Gif,
    /// WebP, lossy, lossless or extended (RFC 9649).
    Webp,
}

impl ImageKind {
    /// Every accepted kind.
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp];

    /// The media type as registered with IANA, for a `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The file name extension, lower case, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// The kind whose [`extension`](Self::extension) this is, if it is spelt exactly so.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.extension() == extension)
    }
}

/// Tells what a whole file is, or `None` if it is nothing that is accepted.
///
/// The signature must stand at the very beginning. The signatures of GIF and WebP are plain text, with which
/// a script or a web page could begin as well; of these two the fields behind the signature are checked too,
/// so that a file that is both picture and text (a polyglot) is not easily made. What still passes is
/// harmless where it is served, because a browser is told not to guess the type (see
/// [`routes`](super::routes)).
///
/// The crate `infer` is not used for this: it takes four bytes for a PNG and never looks for `RIFF`.
#[must_use]
pub fn sniff(file: &[u8]) -> Option<ImageKind> {
    if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(ImageKind::Png);
    }
    // Start of image, then the first byte of a marker. A marker is never 0 and the first is never a fill byte
    // in files that encoders write.
    if let [0xff, 0xd8, 0xff, marker, ..] = file
        && matches!(marker, 0xc0..=0xfe)
    {
        return Some(ImageKind::Jpeg);
    }
    if is_gif(file) {
        return Some(ImageKind::Gif);
    }
    if is_webp(file) {
        return Some(ImageKind::Webp);
    }
    None
}

/// Signature, logical screen descriptor, colour table, and then a block that GIF knows.
fn is_gif(file: &[u8]) -> bool {
    const EXTENSION: u8 = 0x21;
    const IMAGE: u8 = 0x2c;

    if !(file.starts_with(b"GIF87a") || file.starts_with(b"GIF89a")) {
        return false;
    }
    let Some(&flags) = file.get(10) else { return false };
    let colour_table = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 0x07) + 1) };
    matches!(file.get(13 + colour_table), Some(&(EXTENSION | IMAGE)))
}

/// A RIFF container that claims no more than the file holds, of type `WEBP`, with one of the three first
/// chunks.
fn is_webp(file: &[u8]) -> bool {
    let Some((header, chunk)) = file.split_first_chunk::<12>() else { return false };
    let [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P'] = *header else { return false };
    // The size counts what follows it: the type and the chunks, the first of which has a header of 8 bytes.
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    let known = chunk.starts_with(b"VP8 ") || chunk.starts_with(b"VP8L") || chunk.starts_with(b"VP8X");
    known && size >= 12 && size + 8 <= file.len() as u64
}

#[cfg(test)]
mod tests {
    use super::{ImageKind, sniff};
    use crate::media::samples;

    #[test]
    fn every_kind_is_known_by_its_content() {
        for (kind, file) in samples::all() {
            assert_eq!(sniff(&file), Some(kind));
            assert_eq!(ImageKind::from_extension(kind.extension()), Some(kind));
        }
        assert_eq!(ImageKind::from_extension("PNG"), None);
        assert_eq!(ImageKind::from_extension("svg"), None);
    }

    #[test]
    fn a_signature_is_needed_whole_and_first() {
        for (_, file) in samples::all() {
            for len in 0..4 {
                assert_eq!(sniff(&file[..len]), None);
            }
            for prefix in
                [&b" "[..], b"\n", b"\xef\xbb\xbf", b"<html>", b"<svg xmlns='http://www.w3.org/2000/svg'>"]
            {
                assert_eq!(sniff(&[prefix, &file].concat()), None);
            }
        }
        assert_eq!(sniff(b"\x89PNG\r\n\x1a"), None);
        assert_eq!(sniff(b"\x89PNG\n\x1a\n plus"), None, "a PNG that went through a text conversion");
        assert_eq!(sniff(b"\xff\xd8\xff\x00 nothing"), None);
    }

    #[test]
    fn other_formats_are_refused() {
        let others: [&[u8]; 14] = [
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<?xml version='1.0'?><svg/>",
            b"<!DOCTYPE html><script>alert(1)</script>",
            b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0",
            b"\0\0\x01\0\x01\0\x10\x10\0\0",
            b"II*\0\x08\0\0\0",
            b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0 and the rest of the sound",
            b"RIFF\x24\0\0\0AVI LIST\x10\0\0\0 and the rest of the film",
            b"%PDF-1.7\n",
            b"PK\x03\x04\x14\0\0\0",
            b"MZ\x90\0\x03",
            b"",
        ];
        for file in others {
            assert_eq!(sniff(file), None, "{:?}", String::from_utf8_lossy(file));
        }
    }

    #[test]
    fn text_that_begins_like_a_picture_is_refused() {
        let polyglots: [&[u8]; 8] = [
            b"GIF89a",
            b"GIF89a<script>alert(document.domain)</script>",
            b"GIF89a/*.......*/=1;alert(1)//",
            b"GIF87a=1;alert(1);//                             ",
            b"GIF90a\x01\0\x01\0\0\0\0,",
            b"RIFF/*..WEBPVP8 */=1;alert(1)",
            b"RIFF=1;/WEBPVP8L<script>alert(1)</script>",
            b"RIFF\0\0\0\0WEBPVP8 ",
        ];
        for file in polyglots {
            assert_eq!(sniff(file), None, "{:?}", String::from_utf8_lossy(file));
        }
    }
}
