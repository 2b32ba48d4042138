//! What is compared.

use std::io::{Cursor, Read, Write};

use chat_core::codec::{BlobRef, Codec, Encoding, HuffmanCodec, Kind};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, DParameter, FrameFormat, ParamSwitch};

use crate::naive::Naive;

/// A way to compress. What it gives back must be all that is needed to decompress, except for the length of the body.
pub(crate) trait Rival {
    fn encode(&mut self, body: &[u8]) -> Vec<u8>;
    /// `len` is the length of the body, which a database knows or bounds.
    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8>;
}

/// What a rival is called, and how it is made from a dictionary; one that uses none is given an empty one.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) uses_dictionary: bool,
    pub(crate) make: fn(&[u8]) -> Box<dyn Rival>,
}

const fn plain(name: &'static str, make: fn(&[u8]) -> Box<dyn Rival>) -> Entry {
    Entry { name, uses_dictionary: false, make }
}

const fn with_dictionary(name: &'static str, make: fn(&[u8]) -> Box<dyn Rival>) -> Entry {
    Entry { name, uses_dictionary: true, make }
}

/// Those for messages, ours first.
pub(crate) const MESSAGES: [Entry; 9] = [
    plain("chat-core", |_| Box::new(Ours(Kind::Message))),
    plain("zstd −3", |_| Zstd::boxed(3, &[])),
    with_dictionary("zstd −3, dictionary", |dictionary| Zstd::boxed(3, dictionary)),
    plain("zstd −19", |_| Zstd::boxed(19, &[])),
    with_dictionary("zstd −19, dictionary", |dictionary| Zstd::boxed(19, dictionary)),
    plain("brotli 11", |_| Box::new(Brotli)),
    plain("deflate 9", |_| Box::new(Deflate)),
    plain("lz4", |_| Box::new(Lz4)),
    plain("Huffman per message", |_| Box::new(Naive)),
];

/// Those for attachments, ours first.
pub(crate) const ATTACHMENTS: [Entry; 7] = [
    plain("chat-core", |_| Box::new(Ours(Kind::File))),
    plain("zstd, Huffman alone", |_| Zstd::huffman_alone()),
    plain("zstd −3", |_| Zstd::boxed(3, &[])),
    plain("zstd −19", |_| Zstd::boxed(19, &[])),
    plain("brotli 11", |_| Box::new(Brotli)),
    plain("deflate 9", |_| Box::new(Deflate)),
    plain("lz4", |_| Box::new(Lz4)),
];

struct Ours(Kind);

impl Rival for Ours {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        let blob = HuffmanCodec::new().encode(self.0, body);
        // Only so is the encoding, which is stored in a column of its own, no part of what is compared.
        assert_eq!(blob.encoding, Encoding::Huffman, "bodies that small are not compared");
        blob.bytes
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        let blob = BlobRef { encoding: Encoding::Huffman, bytes: blob };
        HuffmanCodec::new().decode(blob, len).expect("what it has written")
    }
}

struct Zstd {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

impl Zstd {
    fn boxed(level: i32, dictionary: &[u8]) -> Box<dyn Rival> {
        Box::new(Self::new(level, dictionary))
    }

    fn new(level: i32, dictionary: &[u8]) -> Self {
        let mut compressor = Compressor::with_dictionary(level, dictionary).expect("a dictionary");
        let small = [
            CParameter::Format(FrameFormat::Magicless),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ];
        for parameter in small {
            compressor.set_parameter(parameter).expect("a known parameter");
        }
        let mut decompressor = Decompressor::with_dictionary(dictionary).expect("a dictionary");
        let format = DParameter::Format(FrameFormat::Magicless);
        decompressor.set_parameter(format).expect("a known parameter");
        Self { compressor, decompressor }
    }

    /// The fastest level there is looks for almost no repetitions: what is left is zstd's Huffman stage.
    fn huffman_alone() -> Box<dyn Rival> {
        let mut zstd = Self::new(-131_072, &[]);
        let always = CParameter::LiteralCompressionMode(ParamSwitch::Enable);
        zstd.compressor.set_parameter(always).expect("a known parameter");
        Box::new(zstd)
    }
}

impl Rival for Zstd {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        self.compressor.compress(body).expect("memory")
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        self.decompressor.decompress(blob, len).expect("what it has written")
    }
}

struct Brotli;

impl Rival for Brotli {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        let params = brotli::enc::BrotliEncoderParams {
            quality: 11,
            lgwin: 22,
            size_hint: body.len(),
            mode: brotli::enc::backward_references::BrotliEncoderMode::BROTLI_MODE_TEXT,
            ..Default::default()
        };
        let mut blob = Vec::new();
        brotli::BrotliCompress(&mut Cursor::new(body), &mut blob, &params).expect("memory");
        blob
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(len);
        brotli::BrotliDecompress(&mut Cursor::new(blob), &mut body).expect("what it has written");
        body
    }
}

struct Deflate;

impl Rival for Deflate {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(len);
        flate2::read::DeflateDecoder::new(blob).read_to_end(&mut body).expect("what it has written");
        body
    }
}

struct Lz4;

impl Rival for Lz4 {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        lz4_flex::block::compress(body)
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        lz4_flex::block::decompress(blob, len).expect("what it has written")
    }
}
