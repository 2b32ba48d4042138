//! Detects the type of a file by its first bytes. A name or a declared type is never trusted.

/// The accepted kinds of picture: those that browsers display and never execute. HEIC, the format of many phone
/// cameras, is displayed by some browsers only.
///
/// SVG is excluded on purpose: it is a document that can contain scripts.
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

/// The type of a complete file, or `None` if it is not an accepted kind.
///
/// The signature must be at the very beginning. The signatures of GIF and WebP are plain text, with which a script or a
/// web page could begin as well. For these two the fields after the signature are checked too, so that a file that is
/// both a picture and a text (a polyglot) is harder to make. What still passes is harmless where it is served, because
/// the response tells browsers not to guess the type (see [`routes`](super::routes)).
///
/// The crate `infer` is not used: it checks four bytes for a PNG and never checks for `RIFF`.
#[must_use]
pub fn sniff(file: &[u8]) -> Option<ImageKind> {
    sniff_head(file, file.len() as u64)
}

/// The same for the beginning of a file of `len` bytes. 64 KiB are enough for every check.
pub(crate) fn sniff_head(file: &[u8], len: u64) -> Option<ImageKind> {
    if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(ImageKind::Png);
    }
    // The start of image, then the first byte of a marker. A marker is never 0, and in files from encoders the first
    // one is never a fill byte.
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

/// The kind of a file in the ISO base media file format (ISO/IEC 14496-12), if its brands declare an accepted kind of
/// picture and it has the description of a picture. Videos have the same signature, but other brands, or no description
/// with the handler `pict`.
fn heif(file: &[u8]) -> Option<ImageKind> {
    const AVIF: [&[u8; 4]; 2] = [b"avif", b"avis"];
    const HEIC: [&[u8; 4]; 6] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"];
    /// Major brands of pictures in any coding. The compatible brands then declare the coding.
    const ANY: [&[u8; 4]; 3] = [b"mif1", b"mif2", b"msf1"];
    /// Real files have a dozen brands at most.
    const MAX_BRANDS: usize = 32;

    let (b"ftyp", brands, rest) = next_box(file)? else { return None };
    // The major brand, a version, and the compatible brands.
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

/// Whether one of the first boxes is a `meta` box with the handler of pictures.
fn has_description(mut file: &[u8]) -> bool {
    /// In practice it is the first box; the standard requires it early.
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

/// The name and the content of the first box, and the bytes after it. `None` when the box claims to be longer than the
/// file. Boxes without their own size, or with a 64-bit size, are not supported: no relevant box is of that form.
fn next_box(file: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (size, rest) = file.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let content = usize::try_from(u32::from_be_bytes(*size)).ok()?.checked_sub(8)?;
    let (content, rest) = rest.split_at_checked(content)?;
    Some((name, content, rest))
}

/// Checks signature, logical screen descriptor, colour table, and that a known block of GIF follows.
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

/// A RIFF container of type `WEBP` that does not claim to be longer than the file, with one of the three possible first
/// chunks.
fn is_webp(file: &[u8], len: u64) -> bool {
    let Some((header, chunk)) = file.split_first_chunk::<12>() else { return false };
    let [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P'] = *header else { return false };
    // The size counts the bytes after it: the type and the chunks, the first of which has a header of 8 bytes.
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    let known = chunk.starts_with(b"VP8 ") || chunk.starts_with(b"VP8L") || chunk.starts_with(b"VP8X");
    known && size >= 12 && size + 8 <= len
}

#[cfg(test)]
mod tests;
