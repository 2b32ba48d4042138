//! What a file is, by its first bytes. A name or a declared type is never believed.

/// The kinds of picture that are accepted: those that browsers show and none runs. HEIC, which phones take pictures in, is
/// shown by some browsers only.
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
    /// AV1 Image File Format, a single picture or a sequence (<https://aomediacodec.github.io/av1-avif/>).
    Avif,
    /// HEIF with HEVC, a single picture or a sequence (ISO/IEC 23008-12, annex B).
    Heic,
}

impl ImageKind {
    /// Every accepted kind.
    pub const ALL: [Self; 6] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp, Self::Avif, Self::Heic];

    /// The media type as registered with IANA, for a `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
            Self::Heic => "image/heic",
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
            Self::Avif => "avif",
            Self::Heic => "heic",
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
    sniff_head(file, file.len() as u64)
}

/// The same by the beginning of a file of `len` bytes: 64 KiB tell all that the whole tells.
pub(crate) fn sniff_head(file: &[u8], len: u64) -> Option<ImageKind> {
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
    if is_webp(file, len) {
        return Some(ImageKind::Webp);
    }
    heif(file)
}

/// A file of the ISO base media file format (ISO/IEC 14496-12) that says by its brands that it is a picture of a kind that
/// is accepted, and that has a picture's description. Films have the same signature: they have other brands, or no
/// description whose handler is `pict`.
fn heif(file: &[u8]) -> Option<ImageKind> {
    const AVIF: [&[u8; 4]; 2] = [b"avif", b"avis"];
    const HEIC: [&[u8; 4]; 6] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"];
    /// What a picture of any coding may call itself first; the brands behind it say which coding it is.
    const ANY: [&[u8; 4]; 3] = [b"mif1", b"mif2", b"msf1"];
    /// Files have a dozen brands at most.
    const MAX_BRANDS: usize = 32;

    let (b"ftyp", brands, rest) = next_box(file)? else { return None };
    // The first brand, a version, and the brands that the file is compatible with.
    let (major, others) = brands.split_first_chunk::<4>()?;
    let (_, others) = others.split_first_chunk::<4>()?;
    let (others, odd) = others.as_chunks::<4>();
    if !odd.is_empty() || others.len() > MAX_BRANDS {
        return None;
    }
    let kind_of = |brand: &[u8; 4]| match brand {
        brand if AVIF.contains(&brand) => Some(ImageKind::Avif),
        brand if HEIC.contains(&brand) => Some(ImageKind::Heic),
        _ => None,
    };
    let by_others = || ANY.contains(&major).then(|| others.iter().find_map(kind_of)).flatten();
    let kind = kind_of(major).or_else(by_others)?;
    has_description(rest).then_some(kind)
}

/// Whether one of the first boxes is a `meta` box whose handler is that of pictures.
fn has_description(mut file: &[u8]) -> bool {
    /// It is the first in practice; the standard wants it early.
    const MAX_BOXES_BEFORE: usize = 8;
    const HANDLER: &[u8; 4] = b"pict";

    for _ in 0..=MAX_BOXES_BEFORE {
        let Some((name, content, rest)) = next_box(file) else { return false };
        if name != b"meta" {
            file = rest;
            continue;
        }
        // Version and flags; then the handler's box: version, flags and four bytes of 0 before its name.
        let handler = content.split_first_chunk::<4>().and_then(|(_, inner)| next_box(inner));
        return matches!(handler, Some((b"hdlr", [_, _, _, _, 0, 0, 0, 0, name @ ..], _)) if name.starts_with(HANDLER));
    }
    false
}

/// The name and the content of the box at the beginning, and what follows it; none when it claims more than there is.
/// Boxes without a size of their own, or with one of 64 bits, are not followed: nothing that matters here is in one.
fn next_box(file: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (size, rest) = file.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let content = usize::try_from(u32::from_be_bytes(*size)).ok()?.checked_sub(8)?;
    let (content, rest) = rest.split_at_checked(content)?;
    Some((name, content, rest))
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
fn is_webp(file: &[u8], len: u64) -> bool {
    let Some((header, chunk)) = file.split_first_chunk::<12>() else { return false };
    let [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P'] = *header else { return false };
    // The size counts what follows it: the type and the chunks, the first of which has a header of 8 bytes.
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    let known = chunk.starts_with(b"VP8 ") || chunk.starts_with(b"VP8L") || chunk.starts_with(b"VP8X");
    known && size >= 12 && size + 8 <= len
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
            b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
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

    #[test]
    fn every_kind_of_heif_is_known_by_its_brands() {
        let branded = |major: &[u8; 4], other: &[u8; 4]| {
            let mut file = samples::heic().to_vec();
            file[8..12].copy_from_slice(major);
            for n in 4..7 {
                file[n * 4..n * 4 + 4].copy_from_slice(other);
            }
            sniff(&file)
        };
        for avif in [b"avif", b"avis"] {
            assert_eq!(branded(avif, b"mif1"), Some(ImageKind::Avif));
            for any in [b"mif1", b"mif2", b"msf1"] {
                assert_eq!(branded(any, avif), Some(ImageKind::Avif));
            }
        }
        for heic in [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"] {
            assert_eq!(branded(heic, b"mif1"), Some(ImageKind::Heic));
            assert_eq!(branded(b"msf1", heic), Some(ImageKind::Heic));
        }
        // Films, pictures in a coding that browsers do not have, and a film that lists a picture's brand.
        for (major, other) in [
            (b"isom", b"mp41"),
            (b"qt  ", b"qt  "),
            (b"mif1", b"jpeg"),
            (b"isom", b"heic"),
            (b"crx ", b"heic"),
        ] {
            assert_eq!(branded(major, other), None);
        }
    }

    #[test]
    fn heif_without_a_pictures_description_is_refused() {
        for file in [samples::avif(), samples::heic()] {
            let kind = sniff(&file);
            assert!(kind.is_some());
            let ends = u32::from_be_bytes(file[..4].try_into().unwrap()) as usize;
            let with = |at: usize, bytes: &[u8]| {
                let mut file = file.to_vec();
                file[at..at + bytes.len()].copy_from_slice(bytes);
                sniff(&file)
            };
            let handler = ends + 12;
            assert_eq!(with(handler + 16, b"vide"), None, "a film's handler");
            assert_eq!(with(handler + 4, b"dinf"), None, "no handler first");
            assert_eq!(with(ends + 4, b"moov"), None, "a film's description");
            assert_eq!(with(ends, &u32::MAX.to_be_bytes()), None, "more than there is");
            assert_eq!(with(0, &[0, 0, 0, 7]), None, "a box that is smaller than its head");
            assert_eq!(with(0, &(ends as u32 - 1).to_be_bytes()), None, "half a brand");
            assert_eq!(sniff(&file[..ends]), None, "nothing but brands");
            // Something else may come first, but not for ever.
            let padded = |boxes: usize| {
                let free = b"\0\0\0\x0cfree<!--".repeat(boxes);
                sniff(&[&file[..ends], &free, &file[ends..]].concat())
            };
            assert_eq!(padded(8), kind);
            assert_eq!(padded(9), None);
            // No length panics.
            for length in 0..file.len() {
                let _ = sniff(&file[..length]);
            }
        }
        let brands = |count: usize| {
            let mut file = ((16 + count * 4) as u32).to_be_bytes().to_vec();
            file.extend(b"ftypheic\0\0\0\0");
            file.extend(b"mif1".repeat(count));
            file.extend(&samples::heic()[28..]);
            sniff(&file)
        };
        assert_eq!(brands(32), Some(ImageKind::Heic));
        assert_eq!(brands(33), None);
    }
}
