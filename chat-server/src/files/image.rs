//! Reads the header of an image: its size, its orientation, and the number of frames.
//!
//! Nothing is decoded here. An image whose decoding would need too much memory is refused by the size that its header
//! claims. So it is refused before this server, or the page of a recipient, decodes it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::error::FileError;
use crate::media::ImageKind;

/// The maximum number of pixels of an image: more than any phone camera takes.
pub(super) const MAX_PIXELS: u64 = 120_000_000;
/// The maximum number of pixels of all frames of an animated image.
const MAX_ANIMATED_PIXELS: u64 = 4_000_000_000;
/// The maximum size of an image in bytes, because its metadata is read into memory.
pub(super) const MAX_IMAGE_BYTES: u64 = 64 << 20;

/// The maximum width that a client may request, in pixels.
pub(super) const MAX_WIDTH: u32 = 4096;

/// Parses the width that a client requests. A wrong one is refused also by a server that makes no smaller copies, so that a
/// request means the same everywhere.
///
/// # Errors
/// When it is no number of pixels that there can be.
pub(super) fn wanted_width(text: Option<&str>) -> Result<Option<u32>, FileError> {
    let Some(text) = text else { return Ok(None) };
    let width = text.parse().ok().filter(|width| (1..=MAX_WIDTH).contains(width));
    let problem = || FileError::invalid("w", format!("it must be a whole number from 1 to {MAX_WIDTH}"));
    width.map(Some).ok_or_else(problem)
}

/// The properties of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The displayed size, that is after rotation.
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Reads the header. Returns `None` if it contains no size, or is of an unknown or damaged form. Blocks.
///
/// # Errors
/// When decoding the image would need too much memory.
pub(super) fn read(path: &Path, kind: ImageKind) -> Result<Option<Facts>, FileError> {
    let unreadable = |error| FileError::disk("an image could not be read", error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > MAX_IMAGE_BYTES {
        return Err(FileError::TooLarge { limit: MAX_IMAGE_BYTES });
    }
    let mut reader = BufReader::new(file);
    let Ok(size) = imagesize::reader_size(&mut reader) else { return Ok(None) };
    let pixels = (size.width as u64).saturating_mul(size.height as u64);
    let frames = frames(&mut reader, kind).unwrap_or(1).max(1);
    if pixels > MAX_PIXELS || pixels.saturating_mul(frames) > MAX_ANIMATED_PIXELS {
        return Err(FileError::unsupported("file", "the image has too many pixels"));
    }
    let (Ok(width), Ok(height)) = (u32::try_from(size.width), u32::try_from(size.height)) else {
        return Ok(None);
    };
    // HEIF has a separate property for rotation, which the size does not include in either case.
    let is_turned = kind == ImageKind::Jpeg && orientation(path).is_some_and(|orientation| orientation >= 5);
    let (width, height) = if is_turned { (height, width) } else { (width, height) };
    Ok(Some(Facts { width, height }))
}

/// The orientation of an image, 1 to 8, from its Exif data (Exif 2.3, tag 0x0112).
pub(super) fn orientation(path: &Path) -> Option<u16> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let exif = exif::Reader::new().read_from_container(&mut reader).ok()?;
    let field = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?;
    let turned = u16::try_from(field.value.get_uint(0)?).ok()?;
    (1..=8).contains(&turned).then_some(turned)
}

/// The number of frames that an animated image claims to have.
fn frames(file: &mut BufReader<File>, kind: ImageKind) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    match kind {
        ImageKind::Gif => gif_frames(file),
        ImageKind::Png => png_frames(file),
        ImageKind::Webp => webp_frames(file),
        ImageKind::Jpeg | ImageKind::Avif | ImageKind::Heic => Ok(1),
    }
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(file: &mut BufReader<File>, bytes: i64) -> io::Result<()> {
    file.seek_relative(bytes)
}

/// Counts image descriptors (GIF89a, section 20). If the end is damaged, the frames before it count.
fn gif_frames(file: &mut BufReader<File>) -> io::Result<u64> {
    fn colours(flags: u8) -> i64 {
        if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
    }
    let header: [u8; 13] = take(file)?;
    skip(file, colours(header[10]))?;
    let mut frames = 0;
    loop {
        let Ok([block]) = take::<1>(file) else { return Ok(frames) };
        match block {
            0x2c => {
                frames += 1;
                let Ok(descriptor) = take::<9>(file) else { return Ok(frames) };
                // The colour table, and the code size.
                skip(file, colours(descriptor[8]) + 1)?;
            }
            0x21 => skip(file, 1)?,
            _ => return Ok(frames),
        }
        loop {
            match take::<1>(file) {
                Ok([0]) => break,
                Ok([len]) => skip(file, i64::from(len))?,
                Err(_) => return Ok(frames),
            }
        }
    }
}

/// The number in `acTL`, which comes before the first pixels (APNG).
fn png_frames(file: &mut BufReader<File>) -> io::Result<u64> {
    skip(file, 8)?;
    loop {
        let [a, b, c, d, name @ ..]: [u8; 8] = take(file)?;
        match &name {
            b"acTL" => return Ok(u64::from(u32::from_be_bytes(take(file)?))),
            b"IDAT" | b"IEND" => return Ok(1),
            _ => skip(file, i64::from(u32::from_be_bytes([a, b, c, d])) + 4)?,
        }
    }
}

/// Counts `ANMF` chunks (RFC 9649).
fn webp_frames(file: &mut BufReader<File>) -> io::Result<u64> {
    skip(file, 12)?;
    let mut frames = 0;
    loop {
        if file.fill_buf()?.is_empty() {
            return Ok(frames);
        }
        let [name @ .., a, b, c, d]: [u8; 8] = take(file)?;
        frames += u64::from(&name == b"ANMF");
        let len = i64::from(u32::from_le_bytes([a, b, c, d]));
        skip(file, len + len % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::samples;

    #[test]
    fn a_wrong_width_is_refused_with_or_without_smaller_copies() {
        for wrong in ["0", "-1", "4097", "x", "", "null"] {
            assert!(wanted_width(Some(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(wanted_width(Some("4096")).unwrap(), Some(4096));
        assert_eq!(wanted_width(None).unwrap(), None);
    }

    fn facts(file: &[u8], kind: ImageKind) -> Result<Option<Facts>, FileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, file).unwrap();
        read(&path, kind)
    }

    #[test]
    fn sizes_are_read_from_headers() {
        for (kind, file) in samples::all() {
            let expected = match kind {
                // The sample has no pixels.
                ImageKind::Jpeg => None,
                ImageKind::Heic => Some((64, 64)),
                _ => Some((1, 1)),
            };
            let found = facts(&file, kind).unwrap().map(|facts| (facts.width, facts.height));
            assert_eq!(found, expected, "{kind:?}");
        }
    }

    #[test]
    fn bombs_are_refused_by_what_they_claim() {
        let mut png = samples::png().to_vec();
        png[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&20_000_u32.to_be_bytes());
        assert!(matches!(facts(&png, ImageKind::Png), Err(FileError::Unsupported { .. })));
        png[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
        png[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(facts(&png, ImageKind::Png), Err(FileError::Unsupported { .. })));
    }

    #[test]
    fn animated_bombs_are_refused_by_the_number_of_their_pictures() {
        let frame = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
        let gif = |width: u16, frames: usize| {
            let mut file = b"GIF89a".to_vec();
            file.extend(width.to_le_bytes());
            file.extend(width.to_le_bytes());
            file.extend([0, 0, 0]);
            file.extend(frame.repeat(frames));
            file.push(0x3b);
            file
        };
        assert!(facts(&gif(10_000, 30), ImageKind::Gif).is_ok());
        assert!(matches!(facts(&gif(10_000, 50), ImageKind::Gif), Err(FileError::Unsupported { .. })));
        let mut apng = samples::png().to_vec();
        let control = [&8_u32.to_be_bytes()[..], b"acTL", &u32::MAX.to_be_bytes(), &[0; 8]].concat();
        apng.splice(33..33, control);
        apng[16..20].copy_from_slice(&100_u32.to_be_bytes());
        assert!(matches!(facts(&apng, ImageKind::Png), Err(FileError::Unsupported { .. })));
        let mut webp = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\xe7\x03\0\xe7\x03\0".to_vec();
        webp.extend(b"ANMF\x02\0\0\0ab".repeat(5000));
        assert!(matches!(facts(&webp, ImageKind::Webp), Err(FileError::Unsupported { .. })));
    }
}
