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
mod tests;
