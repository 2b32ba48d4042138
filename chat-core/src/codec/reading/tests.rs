//! Blobs of custom tables can be read when the tables are loaded.

use super::*;
use crate::codec::{StoredCodec, ZstdCodec};

#[test]
fn writing_is_left_to_the_codec_within() {
    let body = b"so it goes ".repeat(300);
    for kind in [Kind::Message, Kind::File] {
        let codecs: [(&dyn Codec, &dyn Codec); 2] = [
            (&StoredCodec, &Reading::new(StoredCodec, Arc::default())),
            (&ZstdCodec, &Reading::new(ZstdCodec, Arc::default())),
        ];
        for (codec, reading) in codecs {
            let blob = reading.encode(kind, &body);
            assert_eq!(blob, codec.encode(kind, &body));
            assert!(reading.decode((&blob).into(), body.len()).as_deref() == Ok(&body[..]));
            let limit = body.len() - 1;
            assert_eq!(reading.decode((&blob).into(), limit), Err(DecodeError::TooLarge { limit }));
        }
    }
}

#[cfg(feature = "train")]
#[test]
fn any_codec_reads_what_was_written_with_tables_of_ones_own() {
    use crate::codec::train::tests::{TRAINED, jargon};
    use crate::codec::{BlobFormat, HuffmanCodec, decode};

    let own = Arc::new(OwnTables::new([&*TRAINED]).expect("the file is sound"));
    let fingerprint = own.sets().next().expect("it is loaded").1;
    let body = jargon(1_000_000);
    let blob = HuffmanCodec::with_tables(own.clone()).encode(Kind::Message, body.as_bytes());
    assert_eq!(blob.format(), BlobFormat::Frame(19));

    let readers: [&dyn Codec; 3] = [
        &Reading::new(StoredCodec, own.clone()),
        &Reading::new(ZstdCodec, own.clone()),
        &Arc::new(Reading::new(StoredCodec, own)),
    ];
    for reader in readers {
        assert_eq!(reader.decode((&blob).into(), body.len()).as_deref(), Ok(body.as_bytes()));
    }
    let unknown = Err(DecodeError::UnknownTables { fingerprint });
    assert_eq!(Reading::new(StoredCodec, Arc::default()).decode((&blob).into(), body.len()), unknown);
    assert_eq!(HuffmanCodec::new().decode((&blob).into(), body.len()), unknown);
    assert_eq!(decode(&blob, body.len()), unknown);
}
