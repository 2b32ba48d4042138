//! Pictures inside JSON: `data:image/png;base64,iVBORw0…`, as `FileReader` makes them (RFC 2397).

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::{ImageKind, MediaError, sniff};

/// Decodes a `data:` URL of a picture; `max_bytes` limits the decoded file.
///
/// - Scheme, type and the word `base64` are read without regard to case. Parameters (`;charset=…`, `;name=…`)
///   are allowed and ignored; a comma inside one is not understood.
/// - The declared type must be an accepted one; the content then decides what the file is. A JPEG that calls
///   itself `image/png` is therefore accepted, anything that calls itself `image/svg+xml` is not.
/// - The payload is base64 in the standard alphabet (RFC 4648, section 4). Padding may be missing and ASCII
///   white space is skipped, as browsers do; percent-encoding is not understood.
/// - The size is found from the encoded text before anything is decoded or allocated.
///
/// # Errors
///
/// [`MediaError::Malformed`], [`MediaError::UnsupportedType`] and [`MediaError::TooLarge`].
pub fn parse_data_url(url: &str, max_bytes: usize) -> Result<Bytes, MediaError> {
    let rest = strip_scheme(url.trim_ascii()).ok_or(MediaError::Malformed("it does not begin with data:"))?;
    let (head, payload) = rest.split_once(',').ok_or(MediaError::Malformed("it has no comma"))?;
    let (declared, parameters) = head.split_once(';').unwrap_or((head, ""));
    if declared_kind(declared.trim_ascii()).is_none() {
        return Err(MediaError::UnsupportedType);
    }
    let encoding = parameters.rsplit(';').next().unwrap_or_default();
    if !encoding.trim_ascii().eq_ignore_ascii_case("base64") {
        return Err(MediaError::Malformed("it is not base64"));
    }
    let file = decode(payload, max_bytes)?;
    sniff(&file).ok_or(MediaError::UnsupportedType)?;
    Ok(file.into())
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_at_checked("data:".len())?;
    scheme.eq_ignore_ascii_case("data:").then_some(rest)
}

/// The registered types, and the names that old browsers and phones use for them.
fn declared_kind(declared: &str) -> Option<ImageKind> {
    const ALIASES: [(&str, ImageKind); 3] =
        [("image/jpg", ImageKind::Jpeg), ("image/pjpeg", ImageKind::Jpeg), ("image/x-png", ImageKind::Png)];
    let registered = ImageKind::ALL.into_iter().map(|kind| (kind.content_type(), kind));
    registered.chain(ALIASES).find(|(name, _)| declared.eq_ignore_ascii_case(name)).map(|(_, kind)| kind)
}

fn decode(payload: &str, max_bytes: usize) -> Result<Vec<u8>, MediaError> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    let spaces = payload.bytes().filter(u8::is_ascii_whitespace).count();
    let digits = payload.bytes().filter(|&byte| !byte.is_ascii_whitespace() && byte != b'=').count();
    // Four digits make three bytes; two or three digits at the end make one or two.
    if digits / 4 * 3 + digits % 4 * 3 / 4 > max_bytes {
        return Err(MediaError::TooLarge { limit: max_bytes });
    }
    let decoded = if spaces == 0 {
        ENGINE.decode(payload)
    } else {
        let dense: Vec<u8> = payload.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        ENGINE.decode(dense)
    };
    decoded.map_err(|_| MediaError::Malformed("its base64 is damaged"))
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
    };

    use super::{MediaError, parse_data_url};
    use crate::media::samples;

    const MAX: usize = 10 * 1024 * 1024;

    fn url(declared: &str, file: &[u8]) -> String {
        format!("data:{declared};base64,{}", STANDARD.encode(file))
    }

    #[test]
    fn every_kind_comes_out_unchanged() {
        for (kind, file) in samples::all() {
            assert_eq!(parse_data_url(&url(kind.content_type(), &file), MAX).unwrap(), file);
        }
    }

    #[test]
    fn spelling_varies() {
        let file = samples::png();
        let text = STANDARD.encode(&file);
        let (first, second) = text.split_at(20);
        for url in [
            format!("DATA:Image/PNG;Base64,{text}"),
            format!("data:image/png;charset=utf-8;name=me.png;base64,{text}"),
            format!("data:image/png ; base64 ,{text}"),
            format!("  data:image/png;base64,{text}\n"),
            format!("data:image/png;base64,{first}\r\n {second}"),
            format!("data:image/png;base64,{}", STANDARD_NO_PAD.encode(&file)),
            format!("data:image/x-png;base64,{text}"),
        ] {
            assert_eq!(parse_data_url(&url, MAX).unwrap(), file, "{url}");
        }
    }

    #[test]
    fn content_decides_among_accepted_types() {
        assert_eq!(parse_data_url(&url("image/png", &samples::jpeg()), MAX).unwrap(), samples::jpeg());
        assert_eq!(parse_data_url(&url("image/jpg", &samples::jpeg()), MAX).unwrap(), samples::jpeg());
        let refused = [
            url("image/svg+xml", &samples::png()),
            url("image/svg+xml", b"<svg/>"),
            url("image/bmp", &samples::png()),
            url("text/html", &samples::png()),
            url("image/png", b"<script>alert(1)</script>"),
            url("image/png", b""),
            url("", &samples::png()),
            url("image/png/", &samples::png()),
        ];
        for url in refused {
            assert!(matches!(parse_data_url(&url, MAX), Err(MediaError::UnsupportedType)), "{url}");
        }
    }

    #[test]
    fn what_is_no_base64_data_url_is_malformed() {
        let text = STANDARD.encode(samples::png());
        for url in [
            String::new(),
            "d".to_owned(),
            "dätä:image/png;base64,AAAA".to_owned(),
            "https://example.com/me.png".to_owned(),
            "data:image/png;base64".to_owned(),
            format!("data:image/png,{text}"),
            format!("data:image/png;base64;charset=utf-8,{text}"),
            format!("data:image/png;base64,{}", URL_SAFE.encode([0xfb; 30])),
            format!("data:image/png;base64,{}", text.replace("+8", "%2B8").replace('A', "%41")),
            format!("data:image/png;base64,{text}A"),
            format!("data:image/png;base64,={text}"),
            "data:image/png;base64,é".to_owned(),
        ] {
            assert!(matches!(parse_data_url(&url, MAX), Err(MediaError::Malformed(_))), "{url}");
        }
    }

    #[test]
    fn the_limit_is_exact_and_comes_before_decoding() {
        for (kind, file) in samples::all() {
            let url = url(kind.content_type(), &file);
            assert_eq!(parse_data_url(&url, file.len()).unwrap(), file);
            let limit = file.len() - 1;
            assert!(
                matches!(parse_data_url(&url, limit), Err(MediaError::TooLarge { limit: l }) if l == limit)
            );
        }
        // Not base64 at all, but the length is what is found first.
        let garbage = format!("data:image/png;base64,{}", "!".repeat(1000));
        assert!(matches!(parse_data_url(&garbage, 100), Err(MediaError::TooLarge { .. })));
        assert!(matches!(parse_data_url(&garbage, 1000), Err(MediaError::Malformed(_))));
    }
}
