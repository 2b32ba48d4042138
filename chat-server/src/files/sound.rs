//! Reads the duration of audio and video from the headers. Nothing is decoded. If no header contains the duration, it
//! is unknown.
//!
//! This is our own code: `symphonia` is far larger than needed, and the smaller crates (`mp3-duration`) are abandoned.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A longer duration means that the header is damaged.
const MAX_MILLIS: u64 = 7 * 24 * 3_600_000;

/// The duration of an audio or video file, in milliseconds. Blocks.
pub(super) fn duration(path: &Path, content_type: &str) -> Option<u64> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let found = match content_type {
        "audio/wav" => wav(&mut file),
        "audio/flac" => flac(&mut file),
        "audio/ogg" | "video/ogg" => ogg(&mut file),
        "audio/mpeg" => mp3(&mut file),
        "audio/mp4" | "video/mp4" | "video/quicktime" | "video/3gpp" => mp4(&mut file),
        _ => return None,
    };
    found.ok().flatten().filter(|millis| *millis <= MAX_MILLIS)
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn millis(units: u64, per_second: u64) -> Option<u64> {
    u64::try_from(u128::from(units) * 1000 / u128::from(Some(per_second).filter(|rate| *rate > 0)?)).ok()
}

/// The number of data bytes divided by the bytes per second (RIFF; the chunk `fmt ` comes first).
fn wav(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    take::<12>(file)?;
    let mut rate = 0;
    for _ in 0..64 {
        let [name @ .., a, b, c, d]: [u8; 8] = take(file)?;
        let len = u32::from_le_bytes([a, b, c, d]);
        match &name {
            b"fmt " if len >= 16 => {
                let format: [u8; 16] = take(file)?;
                rate = u32::from_le_bytes([format[8], format[9], format[10], format[11]]);
                file.seek_relative(i64::from(len - 16 + len % 2))?;
            }
            b"data" => return Ok(millis(len.into(), rate.into())),
            _ => file.seek_relative(i64::from(len) + i64::from(len % 2))?,
        }
    }
    Ok(None)
}

/// The number of samples divided by the sample rate (STREAMINFO, RFC 9639, section 8.2).
fn flac(file: &mut impl Read) -> io::Result<Option<u64>> {
    take::<8>(file)?;
    let info: [u8; 18] = take(file)?;
    let packed =
        u64::from_be_bytes([info[10], info[11], info[12], info[13], info[14], info[15], info[16], info[17]]);
    let (rate, samples) = (packed >> 44, packed & ((1 << 36) - 1));
    Ok(if samples == 0 { None } else { millis(samples, rate) })
}

/// The position of the last page (RFC 3533), divided by the sample rate of Opus (RFC 7845) or Vorbis.
fn ogg(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    const TAIL: u64 = 64 << 10;
    let head: [u8; 27] = take(file)?;
    file.seek_relative(i64::from(head[26]))?;
    let begin: [u8; 16] = take(file)?;
    let (rate, skipped) = if begin.starts_with(b"OpusHead") {
        (48_000, u64::from(u16::from_le_bytes([begin[10], begin[11]])))
    } else if begin.starts_with(b"\x01vorbis") {
        (u64::from(u32::from_le_bytes([begin[12], begin[13], begin[14], begin[15]])), 0)
    } else {
        return Ok(None);
    };
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let last = memchr::memmem::rfind_iter(&tail, b"OggS\0").find_map(|at| {
        let position = tail.get(at + 6..at + 14)?.first_chunk::<8>()?;
        // A position of -1 means that no packet ends on this page.
        Some(u64::from_le_bytes(*position)).filter(|position| *position != u64::MAX)
    });
    Ok(last.and_then(|position| millis(position.saturating_sub(skipped), rate)))
}

/// From `moov/mvhd` (ISO/IEC 14496-12, section 8.2.2), at any place in the file.
fn mp4(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut at = 0;
    for _ in 0..256 {
        if at + 8 > end {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(at))?;
        let [a, b, c, d, name @ ..]: [u8; 8] = take(file)?;
        let (len, head) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (end - at, 8),
            1 => (u64::from_be_bytes(take(file)?), 16),
            len => (u64::from(len), 8),
        };
        match &name {
            // Continues with the first box inside it.
            b"moov" => at += head,
            b"mvhd" => {
                let [version, ..]: [u8; 4] = take(file)?;
                if version == 1 {
                    take::<16>(file)?;
                    let rate = u32::from_be_bytes(take(file)?);
                    return Ok(millis(u64::from_be_bytes(take(file)?), rate.into()));
                }
                take::<8>(file)?;
                let rate = u32::from_be_bytes(take(file)?);
                let units = u32::from_be_bytes(take(file)?);
                // The value is 0 or all ones if only the fragments contain the duration.
                return Ok(if matches!(units, 0 | u32::MAX) {
                    None
                } else {
                    millis(units.into(), rate.into())
                });
            }
            _ if len < head => return Ok(None),
            _ => at = at.saturating_add(len),
        }
    }
    Ok(None)
}

/// From the number of frames in the first frame (`Xing`, `Info`), or else from the length and the bit rate of the first
/// frame.
fn mp3(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    const KILOBITS_1: [u64; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KILOBITS_2: [u64; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    const RATES: [u64; 3] = [44_100, 48_000, 32_000];

    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut head: [u8; 10] = take(file)?;
    let mut at = 0;
    if head.starts_with(b"ID3") {
        // Each byte contains seven bits.
        at = 10 + head[6..].iter().fold(0, |len, byte| len << 7 | u64::from(byte & 0x7f));
        file.seek(SeekFrom::Start(at))?;
        head = take(file)?;
    }
    let [0xff, second, third, fourth, ..] = head else { return Ok(None) };
    let is_1 = second & 0x18 == 0x18;
    let (bits, rate) = (usize::from(third >> 4), usize::from(third >> 2 & 3));
    let (Some(kilobits), Some(rate)) =
        (if is_1 { KILOBITS_1 } else { KILOBITS_2 }.get(bits).copied(), RATES.get(rate))
    else {
        return Ok(None);
    };
    let rate = match second & 0x18 {
        0x18 => *rate,
        0x10 => rate / 2,
        0x00 => rate / 4,
        _ => return Ok(None),
    };
    let is_mono = fourth >> 6 == 3;
    let side = match (is_1, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    file.seek(SeekFrom::Start(at + 4 + side))?;
    let info: [u8; 12] = take(file)?;
    if (info.starts_with(b"Xing") || info.starts_with(b"Info")) && info[7] & 1 == 1 {
        let frames = u64::from(u32::from_be_bytes([info[8], info[9], info[10], info[11]]));
        return Ok(millis(frames * if is_1 { 1152 } else { 576 }, rate));
    }
    Ok(millis((end - at) * 8, kilobits * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str, content: &[u8]) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sound");
        std::fs::write(&path, content).unwrap();
        duration(&path, content_type)
    }

    fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
    }

    #[test]
    fn headers_tell_how_long_a_sound_is() {
        let mut wav =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0".to_vec();
        wav.extend(b"LIST\x03\0\0\0abc\0data\0\x7d\0\0");
        assert_eq!(of("audio/wav", &wav), Some(2000));

        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.extend([0; 10]);
        flac.extend((44_100_u64 << 44 | 66_150).to_be_bytes());
        assert_eq!(of("audio/flac", &flac), Some(1500));

        let page = |position: u64, content: &[u8]| {
            let mut page = b"OggS\0\0".to_vec();
            page.extend(position.to_le_bytes());
            page.extend([0; 12]);
            page.extend([1, content.len() as u8]);
            page.extend(content);
            page
        };
        let opus = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
        let ogg = [page(0, opus), page(48_312, b"sound"), page(u64::MAX, b"sound")].concat();
        assert_eq!(of("audio/ogg", &ogg), Some(1000));
        let vorbis = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0\0\0";
        assert_eq!(of("audio/ogg", &[page(0, vorbis), page(88_200, b"sound")].concat()), Some(2000));

        let mut header = vec![0; 12];
        header.extend(1000_u32.to_be_bytes());
        header.extend(2500_u32.to_be_bytes());
        let moov = boxed(b"moov", &boxed(b"mvhd", &header));
        let mp4 = [boxed(b"ftyp", b"M4A \0\0\0\0"), boxed(b"mdat", &[7; 1000]), moov].concat();
        assert_eq!(of("audio/mp4", &mp4), Some(2500));

        let mut cbr = b"ID3\x04\0\0\0\0\x01\0".to_vec();
        cbr.extend([0; 128]);
        cbr.extend(b"\xff\xfb\x90\x00");
        cbr.extend(vec![0; 15_996]);
        assert_eq!(of("audio/mpeg", &cbr), Some(1000));
        let mut vbr = b"\xff\xfb\x90\x00".to_vec();
        vbr.extend([0; 32]);
        vbr.extend(b"Xing\0\0\0\x01");
        vbr.extend(100_u32.to_be_bytes());
        assert_eq!(of("audio/mpeg", &vbr), Some(2612));
    }

    #[test]
    fn damaged_headers_tell_nothing_and_harm_nobody() {
        for kind in ["audio/wav", "audio/flac", "audio/ogg", "audio/mpeg", "audio/mp4", "text/plain"] {
            for content in [&b""[..], b"OggS", &[0xff; 64], &[0; 64], b"ID3\x04\0\0\x7f\x7f\x7f\x7f"] {
                assert!(of(kind, content).is_none_or(|millis| millis <= MAX_MILLIS), "{kind}");
            }
        }
        let endless = [boxed(b"free", b""), vec![0, 0, 0, 1], b"free".to_vec(), vec![0; 8]].concat();
        assert_eq!(of("audio/mp4", &endless), None);
    }
}
