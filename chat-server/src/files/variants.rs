//! Smaller copies of images (`?w=256`), and blurred previews.
//!
//! Widths are rounded up to a few values, so that an image has a few copies and not thousands. A copy is created at its
//! first request, on the threads for long computations, in turns by owner, and kept in a folder on this disk. The
//! pixels that the header claims limit the cost of decoding, which is reserved in the memory budget. If the budget has
//! no room, or the kind cannot be decoded (AVIF, HEIC), the original image is sent. Of an animated image the first
//! frame is used.
//!
//! WebP is encoded losslessly, the only way without C code: this is good for drawings and bad for photographs. So for
//! clients that accept WebP the shorter encoding is sent.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chat_core::id::UserId;
use futures_util::TryStreamExt;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::error::FileError;
use super::id::FileId;
use super::image::MAX_WIDTH;
use super::record::FileRecord;
use super::staging::{Staged, Staging, blocking};
use super::store::FileStore;
use crate::limits::LongWork;
use crate::media::{self, ImageKind};
use crate::memory::{Memory, Owner};

/// The possible widths.
const WIDTHS: [u32; 6] = [64, 128, 256, 512, 1024, 2048];
/// Larger images are not decoded, because each pixel needs 4 to 8 bytes.
const MAX_DECODED_PIXELS: u64 = 50_000_000;
const JPEG_QUALITY: u8 = 82;
/// The number of components of a preview, horizontally and vertically.
const LIKENESS: (u32, u32) = (4, 3);

/// Creates and keeps the copies.
pub(super) struct Variants {
    dir: Arc<Path>,
    long_work: LongWork,
    memory: Arc<Memory>,
}

/// A request for a smaller copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    width: u32,
    takes_webp: bool,
}

/// A smaller copy.
pub(super) struct Variant {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) kind: ImageKind,
}

impl Wanted {
    /// The copy for a requested width and an `Accept` header.
    pub(super) fn read(width: Option<u32>, accept: Option<&str>) -> Option<Self> {
        let wanted = width?;
        let width = WIDTHS.into_iter().find(|width| *width >= wanted).unwrap_or(MAX_WIDTH);
        Some(Self { width, takes_webp: accept.is_some_and(|accept| accept.contains("image/webp")) })
    }

    /// The suffix that distinguishes the copies of an image.
    pub(super) fn mark(self) -> String {
        format!("{}{}", self.width, if self.takes_webp { 'w' } else { 'p' })
    }
}

fn format(kind: ImageKind) -> Option<ImageFormat> {
    match kind {
        ImageKind::Png => Some(ImageFormat::Png),
        ImageKind::Jpeg => Some(ImageFormat::Jpeg),
        ImageKind::Gif => Some(ImageFormat::Gif),
        ImageKind::Webp => Some(ImageFormat::WebP),
        ImageKind::Avif | ImageKind::Heic => None,
    }
}

/// The memory for decoding an image, in bytes. `None` when it is too large to be decoded.
fn price(record: &FileRecord) -> Option<usize> {
    let pixels = u64::from(record.width?) * u64::from(record.height?);
    usize::try_from(pixels * 4).ok().filter(|_| pixels <= MAX_DECODED_PIXELS)
}

impl Variants {
    /// Opens the folder for copies. Blocks.
    pub(super) fn open(dir: PathBuf, long_work: LongWork, memory: Arc<Memory>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir: dir.into(), long_work, memory })
    }

    /// A smaller copy of an image, or `None` when the original should be sent.
    pub(super) async fn get(
        &self,
        record: &FileRecord,
        kind: ImageKind,
        wanted: Wanted,
        store: &dyn FileStore,
        staging: &Staging,
    ) -> Result<Option<Variant>, FileError> {
        let (Some(format), Some(price)) = (format(kind), price(record)) else { return Ok(None) };
        if record.width.is_none_or(|width| width <= wanted.width) {
            return Ok(None);
        }
        let path = self.path(record.id, wanted);
        if let Some(found) = kept(path.clone()).await? {
            return Ok(Some(found));
        }
        let Ok(_memory) = self.memory.reserve(Owner::User(record.owner), price) else { return Ok(None) };
        let Some(mut stream) = store.read(record.id, 0..record.size).await? else { return Ok(None) };
        let mut original = staging.begin().await?;
        while let Some(piece) = stream.try_next().await? {
            original.write(piece).await?;
        }
        let original = original.finish().await?;
        let made = self.long_work.run(record.owner, move || {
            decode(original.path(), format).and_then(|image| encode(&image, kind, wanted))
        });
        let Some(made) = made.await.flatten() else { return Ok(None) };
        let temporary = staging.name();
        blocking(move || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(temporary.path(), made)?;
            fs::rename(temporary.path(), &path)?;
            temporary.keep();
            Ok(path)
        })
        .await
        .map(kept)?
        .await
    }

    /// Removes the copies of an image that was removed.
    pub(super) async fn forget(&self, id: FileId) -> Result<(), FileError> {
        let all = WIDTHS
            .into_iter()
            .chain([MAX_WIDTH])
            .flat_map(|width| [true, false].map(|takes_webp| self.path(id, Wanted { width, takes_webp })));
        let all: Vec<_> = all.collect();
        blocking(move || {
            for path in all {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// The blurred preview of a received image, if it can be decoded.
    pub(super) async fn likeness(
        &self,
        owner: UserId,
        file: Staged,
        kind: ImageKind,
        size: (u32, u32),
    ) -> (Staged, Option<String>) {
        let pixels = u64::from(size.0) * u64::from(size.1);
        let Some(format) = format(kind).filter(|_| pixels <= MAX_DECODED_PIXELS) else { return (file, None) };
        let Ok(_memory) = self.memory.reserve(Owner::User(owner), pixels as usize * 4) else {
            return (file, None);
        };
        let path = file.path().to_owned();
        let made = self.long_work.run(owner, move || {
            let small = decode(&path, format)?.thumbnail(32, 32).into_rgba8();
            blurhash::encode(LIKENESS.0, LIKENESS.1, small.width(), small.height(), &small).ok()
        });
        (file, made.await.flatten())
    }

    fn path(&self, id: FileId, wanted: Wanted) -> PathBuf {
        self.dir.join(hex::encode([id.shard()])).join(format!("{id}-{}", wanted.mark()))
    }
}

async fn kept(path: PathBuf) -> Result<Option<Variant>, FileError> {
    blocking(move || {
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let len = file.metadata()?.len();
        let mut head = Vec::new();
        file.by_ref().take(64).read_to_end(&mut head)?;
        Ok(media::sniff_head(&head, len).map(|kind| Variant { path, len, kind }))
    })
    .await
}

/// Decodes an image with its orientation applied. Returns `None` when it is damaged or too large. Blocks for a long
/// time.
fn decode(path: &Path, format: ImageFormat) -> Option<DynamicImage> {
    let mut reader = ImageReader::with_format(BufReader::new(File::open(path).ok()?), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    // Another parser has checked the size in the header before.
    if u64::from(width) * u64::from(height) > MAX_DECODED_PIXELS {
        return None;
    }
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Some(image)
}

/// Encodes the smaller copy.
fn encode(image: &DynamicImage, kind: ImageKind, wanted: Wanted) -> Option<Vec<u8>> {
    let small = image.thumbnail(wanted.width, u32::MAX);
    let mut plain = Vec::new();
    let is_photograph = kind == ImageKind::Jpeg || (kind == ImageKind::Webp && !small.color().has_alpha());
    if is_photograph {
        small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut plain, JPEG_QUALITY)).ok()?;
    } else {
        let small = DynamicImage::from(small.to_rgba8());
        small.write_to(&mut Cursor::new(&mut plain), ImageFormat::Png).ok()?;
    }
    if wanted.takes_webp {
        let mut webp = Vec::new();
        let small = DynamicImage::from(small.to_rgba8());
        if small.write_to(&mut Cursor::new(&mut webp), ImageFormat::WebP).is_ok() && webp.len() < plain.len()
        {
            return Some(webp);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_few() {
        for (asked, expected) in [(1, "64p"), (64, "64p"), (65, "128p"), (2049, "4096p"), (4096, "4096p")] {
            assert_eq!(Wanted::read(Some(asked), None).unwrap().mark(), expected);
        }
        let webp = Wanted::read(Some(100), Some("image/avif,image/webp,*/*")).unwrap();
        assert_eq!(webp.mark(), "128w");
        assert_eq!(Wanted::read(None, Some("image/webp")), None);
    }

    #[test]
    fn a_photograph_is_turned_before_it_is_made_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("photo.jpg");
        let photo =
            image::RgbImage::from_fn(600, 300, |x, _| image::Rgb([if x < 300 { 255 } else { 0 }, 0, 0]));
        let mut file = Vec::new();
        photo.write_with_encoder(JpegEncoder::new(&mut file)).unwrap();
        // An orientation of 90 degrees.
        let note = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        file.splice(2..2, note.iter().copied());
        fs::write(&path, &file).unwrap();
        let image = decode(&path, ImageFormat::Jpeg).unwrap();
        assert_eq!((image.width(), image.height()), (300, 600));
        let small = encode(&image, ImageKind::Jpeg, Wanted { width: 64, takes_webp: false }).unwrap();
        let small = image::load_from_memory(&small).unwrap().to_rgb8();
        assert_eq!(small.dimensions(), (64, 128));
        assert!(small.get_pixel(32, 20).0[0] > 200 && small.get_pixel(32, 110).0[0] < 50);
    }

    #[test]
    fn what_takes_too_much_or_is_damaged_is_not_decoded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bomb.png");
        let mut file = media::samples::png().to_vec();
        file[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        file[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        fs::write(&path, &file).unwrap();
        assert!(decode(&path, ImageFormat::Png).is_none());
        fs::write(&path, &media::samples::png()[..40]).unwrap();
        assert!(decode(&path, ImageFormat::Png).is_none());
    }
}
