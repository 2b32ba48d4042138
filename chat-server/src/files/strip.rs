//! Removes metadata that cameras and programs have written into images: places, times, names of devices and of people.
//!
//! The pixels are copied byte for byte. Metadata that is needed for display is kept as well: colour profiles, and the
//! orientation of a JPEG. Everything after the end of an image is removed, because phones store videos and further
//! metadata there. This is our own code because `img-parts` needs the whole file in memory. `kamadak-exif` parses the
//! Exif data itself.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::image::orientation;
use crate::media::ImageKind;

/// Writes a copy without metadata to a new file. Returns false when this kind has none to remove, or when it was
/// removed in place. Blocks.
///
/// # Errors
/// `InvalidData` or `UnexpectedEof` for a damaged image, otherwise the error of the disk.
pub(super) fn copy_without_notes(from: &Path, to: &Path, kind: ImageKind) -> io::Result<bool> {
    let source = || File::open(from).map(BufReader::new);
    let target = || File::create_new(to).map(BufWriter::new);
    match kind {
        ImageKind::Jpeg => jpeg(&mut source()?, &mut target()?, orientation(from))?,
        ImageKind::Png => png(&mut source()?, &mut target()?)?,
        ImageKind::Webp => webp(&mut source()?, &mut target()?)?,
        ImageKind::Avif | ImageKind::Heic => return blank_exif(from).map(|()| false),
        ImageKind::Gif => return Ok(false),
    }
    Ok(true)
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Copies this many bytes, or discards them.
fn pass(from: &mut impl Read, to: Option<&mut impl Write>, len: u64) -> io::Result<()> {
    let mut part = from.take(len);
    let copied = match to {
        Some(to) => io::copy(&mut part, to)?,
        None => io::copy(&mut part, &mut io::sink())?,
    };
    if copied < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Copies segment by segment (ITU-T T.81, annex B), up to the end of the last scan.
fn jpeg(from: &mut impl BufRead, to: &mut impl Write, turned: Option<u16>) -> io::Result<()> {
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;

    if take(from)? != [0xff, 0xd8] {
        return Err(damaged());
    }
    to.write_all(&[0xff, 0xd8])?;
    if let Some(turned) = turned.filter(|turned| *turned != 1) {
        to.write_all(&exif_of(turned))?;
    }
    let mut after_scan = None;
    loop {
        let marker = match after_scan.take() {
            Some(marker) => marker,
            None if take(from)? != [0xff] => return Err(damaged()),
            None => marker(from)?,
        };
        match marker {
            END => {
                to.write_all(&[0xff, END])?;
                return to.flush();
            }
            // These markers have no length: restarts, and one of arithmetic coding.
            0x01 | 0xd0..=0xd8 => {
                to.write_all(&[0xff, marker])?;
                continue;
            }
            _ => {}
        }
        let length = take(from)?;
        let rest = u64::from(u16::from_be_bytes(length)).checked_sub(2).ok_or_else(damaged)?;
        // APP0 is JFIF, APP2 the colour profile, and APP14 the interpretation of Adobe's colours.
        let is_kept = !matches!(marker, 0xe1 | 0xe3..=0xed | 0xef | 0xfe);
        let mut segment = Vec::new();
        from.by_ref().take(rest).read_to_end(&mut segment)?;
        if (segment.len() as u64) < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if is_kept && (marker != 0xe2 || segment.starts_with(b"ICC_PROFILE\0")) {
            to.write_all(&[0xff, marker])?;
            to.write_all(&length)?;
            to.write_all(&segment)?;
        }
        if marker == SCAN {
            after_scan = Some(scan(from, to)?);
        }
    }
}

/// Copies the pixels of a scan up to the next marker, and returns that marker. Within the pixels 0xff is followed by 0
/// or by the number of a restart.
fn scan(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<u8> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain = memchr::memchr(0xff, buffer).unwrap_or(buffer.len());
        if plain > 0 {
            to.write_all(&buffer[..plain])?;
            from.consume(plain);
            continue;
        }
        from.consume(1);
        match marker(from)? {
            next @ (0 | 0xd0..=0xd7) => to.write_all(&[0xff, next])?,
            next => return Ok(next),
        }
    }
}

/// The byte after 0xff, which may be repeated.
fn marker(from: &mut impl Read) -> io::Result<u8> {
    loop {
        let [next] = take(from)?;
        if next != 0xff {
            return Ok(next);
        }
    }
}

/// An Exif segment that contains only the orientation.
fn exif_of(turned: u16) -> Vec<u8> {
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01");
    segment.extend(turned.to_be_bytes());
    segment.extend([0; 6]);
    segment
}

/// Copies chunk by chunk (PNG, section 5), up to `IEND`.
fn png(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    let signature: [u8; 8] = take(from)?;
    to.write_all(&signature)?;
    loop {
        let head: [u8; 8] = take(from)?;
        let [a, b, c, d, name @ ..] = head;
        let len = u64::from(u32::from_be_bytes([a, b, c, d])) + 4;
        match &name {
            b"eXIf" | b"tEXt" | b"zTXt" | b"iTXt" | b"tIME" => pass(from, None::<&mut io::Sink>, len)?,
            _ => {
                to.write_all(&head)?;
                pass(from, Some(to), len)?;
            }
        }
        if &name == b"IEND" {
            return to.flush();
        }
    }
}

/// Copies chunk by chunk (RFC 9649), and corrects the flags and the total length.
fn webp(from: &mut impl BufRead, to: &mut (impl Write + Seek)) -> io::Result<()> {
    const EXIF_AND_XMP: u8 = 0x08 | 0x04;

    let [_, _, _, _, a, b, c, d, _, _, _, _]: [u8; 12] = take(from)?;
    let mut left = u64::from(u32::from_le_bytes([a, b, c, d])).saturating_sub(4);
    to.write_all(b"RIFF\0\0\0\0WEBP")?;
    while left >= 8 {
        let head: [u8; 8] = take(from)?;
        let [name @ .., a, b, c, d] = head;
        let len = u64::from(u32::from_le_bytes([a, b, c, d]));
        let padded = len + len % 2;
        left = left.saturating_sub(8 + padded);
        match &name {
            b"EXIF" | b"XMP " => pass(from, None::<&mut io::Sink>, padded)?,
            b"VP8X" if len >= 1 => {
                let [flags] = take(from)?;
                to.write_all(&head)?;
                to.write_all(&[flags & !EXIF_AND_XMP])?;
                pass(from, Some(to), padded - 1)?;
            }
            _ => {
                to.write_all(&head)?;
                pass(from, Some(to), padded)?;
            }
        }
    }
    let len = to.stream_position()?;
    to.seek(SeekFrom::Start(4))?;
    to.write_all(&u32::try_from(len - 8).map_err(|_| damaged())?.to_le_bytes())?;
    to.flush()
}

/// Overwrites the Exif data of a HEIF with zeros. It is stored among the pixels and is found by its content. Removing
/// it would require changing all offsets in the file.
fn blank_exif(path: &Path) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let Ok(exif) = exif::Reader::new().read_from_container(&mut reader) else { return Ok(()) };
    let notes = exif.buf();
    if notes.len() < 8 {
        return Ok(());
    }
    let mut file = File::options().read(true).write(true).open(path)?;
    // The size of images is limited; see `image::MAX_IMAGE_BYTES`.
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let places: Vec<usize> = memchr::memmem::find_iter(&content, notes).collect();
    for place in places {
        file.seek(SeekFrom::Start(place as u64))?;
        file.write_all(&vec![0; notes.len()])?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::media::samples;

    const NOTE: &[u8] =
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0 GPS 48.2082 16.3738";

    fn stripped(kind: ImageKind, file: &[u8]) -> io::Result<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, file).unwrap();
        let is_copied = copy_without_notes(&from, &to, kind)?;
        Ok(fs::read(if is_copied { to } else { from }).unwrap())
    }

    fn has(file: &[u8], text: &[u8]) -> bool {
        memchr::memmem::find(file, text).is_some()
    }

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker][..], &length, content].concat()
    }

    #[test]
    fn a_jpeg_keeps_its_pixels_and_how_it_is_turned() {
        let scan = b"\x01\x02\xff\x00\x03\xff\xd0\x04".repeat(20_000);
        let file = [
            &[0xff, 0xd8][..],
            &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            &segment(0xe1, NOTE),
            &segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0 GPS"),
            &segment(0xe2, b"ICC_PROFILE\0\x01\x01 colours"),
            &segment(0xe2, b"MPF\0 GPS"),
            &segment(0xed, b"Photoshop 3.0\0 GPS"),
            &segment(0xfe, b"by GPS"),
            &segment(0xdb, b"tables"),
            &segment(0xda, b"scan 1"),
            &scan,
            &segment(0xc4, b"more \xff\xd9 tables"),
            &segment(0xda, b"scan 2"),
            b"\xff\x00 pixels",
            &[0xff, 0xff, 0xd9],
            b"a film with GPS behind the end",
        ]
        .concat();
        let found = stripped(ImageKind::Jpeg, &file).unwrap();
        let expected = [
            &[0xff, 0xd8][..],
            &exif_of(6),
            &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            &segment(0xe2, b"ICC_PROFILE\0\x01\x01 colours"),
            &segment(0xdb, b"tables"),
            &segment(0xda, b"scan 1"),
            &scan,
            &segment(0xc4, b"more \xff\xd9 tables"),
            &segment(0xda, b"scan 2"),
            b"\xff\x00 pixels",
            &[0xff, 0xd9],
        ]
        .concat();
        assert!(found == expected);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("image"), &found).unwrap();
        assert_eq!(orientation(&dir.path().join("image")), Some(6));
        for at in [3, 30, 200, file.len() / 2] {
            assert!(stripped(ImageKind::Jpeg, &file[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_png_keeps_what_is_shown() {
        let png = samples::png();
        let chunk = |name: &[u8], content: &[u8]| {
            [&(content.len() as u32).to_be_bytes()[..], name, content, b"crc!"].concat()
        };
        let mut noted = png[..33].to_vec();
        for name in [b"eXIf", b"tEXt", b"iTXt", b"zTXt", b"tIME"] {
            noted.extend(chunk(name, NOTE));
        }
        noted.extend(&png[33..]);
        noted.extend(b"GPS behind the end");
        assert_eq!(stripped(ImageKind::Png, &noted).unwrap(), png);
        assert!(stripped(ImageKind::Png, &noted[..50]).is_err());
    }

    #[test]
    fn a_webp_keeps_what_is_shown() {
        let chunk = |name: &[u8], content: &[u8]| {
            let padding = if content.len() % 2 == 1 { &[0][..] } else { &[] };
            [name, &(content.len() as u32).to_le_bytes(), content, padding].concat()
        };
        let file = |flags: u8, notes: bool| {
            let mut chunks = chunk(b"VP8X", &[flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            chunks.extend(chunk(b"ICCP", b"odd"));
            chunks.extend(chunk(b"VP8 ", b"pixels"));
            if notes {
                chunks.extend(chunk(b"EXIF", NOTE));
                chunks.extend(chunk(b"XMP ", b"GPS"));
            }
            [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &chunks].concat()
        };
        assert_eq!(stripped(ImageKind::Webp, &file(0x2c, true)).unwrap(), file(0x20, false));
    }

    #[test]
    fn the_exif_of_a_heif_is_blanked() {
        // A minimal file with one item of type Exif, according to ISO/IEC 23008-12, annex A.
        let boxed = |name: &[u8], content: &[u8]| {
            [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
        };
        let notes = &NOTE[6..];
        let meta = |offset: u32| {
            let item = [&[0, 0, 0, 1][..], &(notes.len() as u32 + 4).to_be_bytes()].concat();
            let location =
                [&[0, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 0, 0, 1][..], &offset.to_be_bytes(), &item[4..]]
                    .concat();
            let info = [&[0, 0, 0, 0, 0, 1][..], &boxed(b"infe", b"\x02\0\0\0\0\x01\0\0Exif\0")].concat();
            let handler = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0");
            boxed(
                b"meta",
                &[&[0; 4][..], &handler, &boxed(b"iinf", &info), &boxed(b"iloc", &location)].concat(),
            )
        };
        let begin = boxed(b"ftyp", b"mif1\0\0\0\0mif1heic");
        let offset = (begin.len() + meta(0).len() + 8) as u32;
        let data = boxed(b"mdat", &[&[0; 4][..], notes, b"pixels"].concat());
        let file = [begin, meta(offset), data].concat();
        assert!(has(&file, b"GPS"));
        let found = stripped(ImageKind::Heic, &file).unwrap();
        assert!(!has(&found, b"GPS") && has(&found, b"pixels"));
        assert_eq!(found.len(), file.len());
    }
}
