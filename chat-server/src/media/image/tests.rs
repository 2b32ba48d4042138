//! Tests of [`image`](super).

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
    // Videos, images in an unsupported coding, and a video that lists an image brand.
    for (major, other) in
        [(b"isom", b"mp41"), (b"qt  ", b"qt  "), (b"mif1", b"jpeg"), (b"isom", b"heic"), (b"crx ", b"heic")]
    {
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
        // Other boxes may precede it, up to a limit.
        let padded = |boxes: usize| {
            let free = b"\0\0\0\x0cfree<!--".repeat(boxes);
            sniff(&[&file[..ends], &free, &file[ends..]].concat())
        };
        assert_eq!(padded(8), kind);
        assert_eq!(padded(9), None);
        // No length causes a panic.
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
