//! Detects the kind of a file: by its content, which the name and the declared type must match.
//!
//! The content decides, because programs use it in the end. A name or type that contradicts it is used to trick users
//! into opening a file. Kinds that browsers or desktops execute (HTML, SVG, scripts, programs) are not in the table, so
//! they are refused under any name.

use crate::media::{self, ImageKind};

/// The number of bytes at the beginning of a file that are enough to detect its kind.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// A group of kinds, which the configuration allows as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Images that browsers display.
    Image,
    /// Audio files.
    Audio,
    /// Video files.
    Video,
    /// PDF and office documents.
    Document,
    /// Plain text of any kind.
    Text,
    /// Archives.
    Archive,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 6] =
        [Self::Image, Self::Audio, Self::Video, Self::Document, Self::Text, Self::Archive];

    /// The name of the group in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
            Self::Text => "text",
            Self::Archive => "archive",
        }
    }
}

/// A kind of file.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The allowed file name extensions. The first one is given to a file without a name.
    pub extensions: &'static [&'static str],
    /// Its media types. The first one is used unless another one is declared.
    pub types: &'static [&'static str],
    /// Other media types that browsers and programs send for it.
    aliases: &'static [&'static str],
    /// The group with which it is allowed.
    pub group: Group,
    /// How its content is recognized.
    form: Form,
}

/// How content is recognized. Several kinds may have one form; then the file name distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Image(ImageKind),
    Pdf,
    Zip,
    /// A ZIP with a file in this folder.
    OfficeXml(&'static str),
    /// A ZIP whose first entry is this media type.
    OpenDocument(&'static str),
    /// Old office documents.
    Ole,
    Gzip,
    SevenZip,
    Mp3,
    Aac,
    Flac,
    Wav,
    Ogg,
    /// The ISO base media file format with the brands of video and audio.
    IsoMedia,
    Matroska,
    Text,
}

const fn kind(
    extensions: &'static [&'static str],
    types: &'static [&'static str],
    aliases: &'static [&'static str],
    group: Group,
    form: Form,
) -> Kind {
    Kind { extensions, types, aliases, group, form }
}

/// All kinds that can be allowed.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    kind(&["png"], &["image/png"], &["image/x-png"], Group::Image, Form::Image(ImageKind::Png)),
    kind(&["jpg", "jpeg", "jfif", "jpe"], &["image/jpeg"], &["image/jpg", "image/pjpeg", "image/jfif"], Group::Image, Form::Image(ImageKind::Jpeg)),
    kind(&["gif"], &["image/gif"], &[], Group::Image, Form::Image(ImageKind::Gif)),
    kind(&["webp"], &["image/webp"], &[], Group::Image, Form::Image(ImageKind::Webp)),
    kind(&["avif"], &["image/avif"], &["image/avif-sequence"], Group::Image, Form::Image(ImageKind::Avif)),
    kind(&["heic", "heif"], &["image/heic"], &["image/heif", "image/heic-sequence", "image/heif-sequence"], Group::Image, Form::Image(ImageKind::Heic)),
    kind(&["mp3"], &["audio/mpeg"], &["audio/mp3", "audio/x-mp3", "audio/mpeg3"], Group::Audio, Form::Mp3),
    kind(&["aac"], &["audio/aac"], &["audio/x-aac", "audio/aacp"], Group::Audio, Form::Aac),
    kind(&["flac"], &["audio/flac"], &["audio/x-flac"], Group::Audio, Form::Flac),
    kind(&["wav"], &["audio/wav"], &["audio/x-wav", "audio/wave", "audio/vnd.wave"], Group::Audio, Form::Wav),
    kind(&["ogg", "oga", "opus"], &["audio/ogg"], &["audio/opus", "application/ogg", "audio/x-opus+ogg"], Group::Audio, Form::Ogg),
    kind(&["m4a"], &["audio/mp4"], &["audio/x-m4a", "audio/m4a", "audio/aac", "video/mp4"], Group::Audio, Form::IsoMedia),
    kind(&["weba"], &["audio/webm"], &["video/webm"], Group::Audio, Form::Matroska),
    kind(&["webm"], &["video/webm", "audio/webm"], &[], Group::Video, Form::Matroska),
    kind(&["mkv"], &["video/matroska"], &["video/x-matroska"], Group::Video, Form::Matroska),
    kind(&["mp4", "m4v"], &["video/mp4", "audio/mp4"], &["video/x-m4v"], Group::Video, Form::IsoMedia),
    kind(&["mov"], &["video/quicktime"], &["video/mp4"], Group::Video, Form::IsoMedia),
    kind(&["3gp"], &["video/3gpp"], &["audio/3gpp"], Group::Video, Form::IsoMedia),
    kind(&["ogv"], &["video/ogg"], &["application/ogg"], Group::Video, Form::Ogg),
    kind(&["pdf"], &["application/pdf"], &["application/x-pdf"], Group::Document, Form::Pdf),
    kind(&["docx"], &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"], &["application/zip"], Group::Document, Form::OfficeXml("word/")),
    kind(&["xlsx"], &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"], &["application/zip"], Group::Document, Form::OfficeXml("xl/")),
    kind(&["pptx"], &["application/vnd.openxmlformats-officedocument.presentationml.presentation"], &["application/zip"], Group::Document, Form::OfficeXml("ppt/")),
    kind(&["odt"], &["application/vnd.oasis.opendocument.text"], &[], Group::Document, Form::OpenDocument("application/vnd.oasis.opendocument.text")),
    kind(&["ods"], &["application/vnd.oasis.opendocument.spreadsheet"], &[], Group::Document, Form::OpenDocument("application/vnd.oasis.opendocument.spreadsheet")),
    kind(&["odp"], &["application/vnd.oasis.opendocument.presentation"], &[], Group::Document, Form::OpenDocument("application/vnd.oasis.opendocument.presentation")),
    kind(&["doc"], &["application/msword"], &["application/x-msword"], Group::Document, Form::Ole),
    kind(&["xls"], &["application/vnd.ms-excel"], &["application/x-msexcel"], Group::Document, Form::Ole),
    kind(&["ppt"], &["application/vnd.ms-powerpoint"], &["application/x-mspowerpoint"], Group::Document, Form::Ole),
    kind(&["zip"], &["application/zip"], &["application/x-zip-compressed", "application/x-zip", "multipart/x-zip"], Group::Archive, Form::Zip),
    kind(&["gz", "tgz"], &["application/gzip"], &["application/x-gzip", "application/x-compressed-tar", "application/x-tgz"], Group::Archive, Form::Gzip),
    kind(&["7z"], &["application/x-7z-compressed"], &[], Group::Archive, Form::SevenZip),
    kind(&["txt", "log"], &["text/plain"], &["text/x-log"], Group::Text, Form::Text),
    kind(&["md"], &["text/markdown"], &["text/plain", "text/x-markdown"], Group::Text, Form::Text),
    kind(&["csv"], &["text/csv"], &["text/plain", "application/csv", "application/vnd.ms-excel", "text/x-csv"], Group::Text, Form::Text),
    kind(&["json"], &["application/json"], &["text/plain", "text/json"], Group::Text, Form::Text),
];

/// Types that clients send when they do not know the type.
const UNKNOWN_TYPES: [&str; 4] = ["", "application/octet-stream", "binary/octet-stream", "*/*"];

impl Kind {
    /// Whether its content is text. Text must be [checked as a whole](check_text).
    pub(super) fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    /// The image kind, if it is an image.
    pub(super) fn image(&self) -> Option<ImageKind> {
        match self.form {
            Form::Image(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether a browser may display it in a page instead of saving it. None of these kinds can run a script.
    pub fn is_shown(&self) -> bool {
        matches!(self.group, Group::Image | Group::Audio | Group::Video)
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension))
    }

    /// Whether a declared type, without parameters, is allowed for this kind.
    fn allows(&self, declared: &str) -> bool {
        let is = |known: &&str| known.eq_ignore_ascii_case(declared);
        UNKNOWN_TYPES.iter().any(is) || self.types.iter().any(is) || self.aliases.iter().any(is)
    }

    /// The media type in responses.
    pub(super) fn content_type(&self, declared: &str) -> &'static str {
        let declared = without_parameters(declared);
        let found = self.types.iter().find(|known| known.eq_ignore_ascii_case(declared));
        found.or(self.types.first()).copied().unwrap_or("application/octet-stream")
    }
}

/// The kind with this media type.
pub(super) fn by_type(content_type: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.types.contains(&content_type))
}

/// The possible kinds of the content, the most likely first. The list is empty for unknown content. `head` is the
/// beginning of a file of `len` bytes.
pub(super) fn by_content(head: &[u8], len: u64) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| has_form(kind.form, head, len)).collect()
}

/// What contradicts the content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The extension of the name.
    Name,
    /// The declared type.
    Type,
}

/// The kind that matches the extension and the declared type, both of which may be empty.
pub(super) fn meant(
    kinds: &[&'static Kind],
    extension: &str,
    declared: &str,
) -> Result<&'static Kind, Mismatch> {
    let declared = without_parameters(declared);
    let mut named =
        kinds.iter().filter(|kind| extension.is_empty() || kind.has_extension(extension)).peekable();
    if named.peek().is_none() {
        return Err(Mismatch::Name);
    }
    named.find(|kind| kind.allows(declared)).copied().ok_or(Mismatch::Type)
}

fn without_parameters(declared: &str) -> &str {
    declared.split(';').next().unwrap_or_default().trim()
}

fn has_form(form: Form, head: &[u8], len: u64) -> bool {
    match form {
        Form::Image(kind) => media::sniff_head(head, len) == Some(kind),
        Form::Pdf => head.starts_with(b"%PDF-"),
        Form::Zip => is_zip(head),
        Form::OfficeXml(folder) => {
            is_zip(head) && zip_names(head).any(|name| name.starts_with(folder.as_bytes()))
        }
        Form::OpenDocument(name) => {
            is_zip(head)
                && head.get(30..).is_some_and(|rest| {
                    rest.strip_prefix(b"mimetype").is_some_and(|rest| rest.starts_with(name.as_bytes()))
                })
        }
        Form::Ole => head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]),
        Form::Gzip => head.starts_with(&[0x1f, 0x8b, 8]),
        Form::SevenZip => head.starts_with(b"7z\xbc\xaf\x27\x1c"),
        // An ID3 tag, or the header of a layer III frame (ISO/IEC 11172-3, section 2.4.1.3).
        Form::Mp3 => {
            head.starts_with(b"ID3") || matches!(head, [0xff, b, c, ..] if b & 0xe6 == 0xe2 && c >> 4 != 0xf)
        }
        // The header of an ADTS frame (ISO/IEC 14496-3).
        Form::Aac => matches!(head, [0xff, b, ..] if b & 0xf6 == 0xf0),
        Form::Flac => head.starts_with(b"fLaC"),
        Form::Wav => head.starts_with(b"RIFF") && head.get(8..16) == Some(b"WAVEfmt "),
        Form::Ogg => head.starts_with(b"OggS\0"),
        Form::IsoMedia => is_iso_media(head),
        Form::Matroska => head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]),
        Form::Text => !head.is_empty() && looks_like_text(head, len),
    }
}

fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || (head.starts_with(b"PK\x05\x06") && head.len() == 22)
}

/// The names of the ZIP entries whose local headers are in `head` (APPNOTE.TXT, section 4.3.7).
fn zip_names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(head, b"PK\x03\x04").filter_map(|at| {
        let length = head.get(at + 26..at + 28)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        head.get(at + 30..at + 30 + length)
    })
}

/// Whether it is video or audio. Images have other brands.
fn is_iso_media(head: &[u8]) -> bool {
    const BRANDS: [&[u8]; 18] = [
        b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4A ", b"M4B ", b"M4V ",
        b"qt  ", b"3gp4", b"3gp5", b"3gp6", b"dash", b"MSNV", b"hlsf",
    ];
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| BRANDS.contains(&brand))
}

fn looks_like_text(head: &[u8], len: u64) -> bool {
    let mut check = TextCheck::default();
    // A character may be cut off at the end of `head`.
    check.take(head) && (len > head.len() as u64 || check.is_whole())
}

/// Checks text piece by piece: it must be UTF-8 without control characters.
#[derive(Default)]
pub(super) struct TextCheck {
    cut: Vec<u8>,
}

impl TextCheck {
    /// Whether everything up to this piece is text.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(piece);
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_some() => return false,
            Err(error) => {
                let (whole, cut) = bytes.split_at(error.valid_up_to());
                self.cut = cut.to_vec();
                match std::str::from_utf8(whole) {
                    Ok(text) => text,
                    Err(_) => return false,
                }
            }
        };
        !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
    }

    /// Whether the text does not end within a character.
    pub(super) fn is_whole(&self) -> bool {
        self.cut.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn find(content: &[u8], extension: &str, declared: &str) -> Result<&'static str, Mismatch> {
        let kinds = by_content(content, content.len() as u64);
        meant(&kinds, extension, declared).map(|kind| kind.content_type(declared))
    }

    pub(crate) fn zip_with(name: &str) -> Vec<u8> {
        let mut file = b"PK\x03\x04".to_vec();
        file.extend([0; 22]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend([0; 2]);
        file.extend(name.as_bytes());
        file.extend([0; 40]);
        file
    }

    #[test]
    fn the_content_decides_and_the_name_chooses_among_what_it_may_be() {
        let mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
        let webm = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01";
        let docx = [zip_with("[Content_Types].xml"), zip_with("word/document.xml")].concat();
        let odt = zip_with("mimetypeapplication/vnd.oasis.opendocument.text");
        let ole = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0, 0];
        for (content, extension, declared, expected) in [
            (&b"%PDF-1.7\n"[..], "pdf", "application/pdf", "application/pdf"),
            (b"%PDF-1.7\n", "PDF", "application/octet-stream", "application/pdf"),
            (b"%PDF-1.7\n", "", "", "application/pdf"),
            (mp4, "mp4", "video/mp4", "video/mp4"),
            (mp4, "m4a", "audio/x-m4a", "audio/mp4"),
            (mp4, "mov", "video/quicktime", "video/quicktime"),
            (webm, "webm", "audio/webm;codecs=opus", "audio/webm"),
            (webm, "webm", "", "video/webm"),
            (&docx, "docx", "", KINDS.iter().find(|kind| kind.has_extension("docx")).unwrap().types[0]),
            (&docx, "zip", "application/x-zip-compressed", "application/zip"),
            (&odt, "odt", "", "application/vnd.oasis.opendocument.text"),
            (&ole, "xls", "application/vnd.ms-excel", "application/vnd.ms-excel"),
            (b"ID3\x04", "mp3", "audio/mp3", "audio/mpeg"),
            (b"\xff\xfb\x90\x00", "mp3", "audio/mpeg", "audio/mpeg"),
            (b"\xff\xf1\x50\x80", "aac", "audio/aac", "audio/aac"),
            (b"OggS\0\x02", "opus", "audio/opus", "audio/ogg"),
            (b"RIFF\x24\0\0\0WAVEfmt \x10", "wav", "audio/x-wav", "audio/wav"),
            ("Grüße\r\n".as_bytes(), "txt", "text/plain; charset=utf-8", "text/plain"),
            (b"a,b\n1,2\n", "csv", "application/vnd.ms-excel", "text/csv"),
            (b"{}", "json", "application/json", "application/json"),
        ] {
            assert_eq!(find(content, extension, declared), Ok(expected), "{extension} {declared}");
        }
    }

    #[test]
    fn lies_are_found() {
        for (content, extension, declared, expected) in [
            (&b"%PDF-1.7\n"[..], "jpg", "", Mismatch::Name),
            (b"%PDF-1.7\n", "exe", "application/pdf", Mismatch::Name),
            (b"%PDF-1.7\n", "pdf", "image/png", Mismatch::Type),
            (b"%PDF-1.7\n", "", "text/html", Mismatch::Type),
            (b"plain", "txt", "text/html", Mismatch::Type),
            (b"plain", "html", "text/plain", Mismatch::Name),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg", "image/svg+xml", Mismatch::Name),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "png", "image/png", Mismatch::Name),
            (b"MZ\x90\0\x03\0", "txt", "", Mismatch::Name),
            (b"\x7fELF\x02\x01\x01\0", "", "", Mismatch::Name),
            (b"PK\x03\x04 not a document", "docx", "", Mismatch::Name),
            (b"", "txt", "", Mismatch::Name),
            (b"Gr\xfc\xdfe in Latin 1", "txt", "", Mismatch::Name),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "mp4", "", Mismatch::Name),
        ] {
            assert_eq!(find(content, extension, declared), Err(expected), "{extension} {declared}");
        }
    }

    #[test]
    fn images_are_known_by_their_beginning() {
        for (kind, file) in crate::media::samples::all() {
            let found = by_content(&file, file.len() as u64);
            assert_eq!(found.iter().map(|kind| kind.image()).collect::<Vec<_>>(), [Some(kind)]);
        }
        let webp =
            crate::media::samples::all().into_iter().find(|(kind, _)| *kind == ImageKind::Webp).unwrap().1;
        assert_eq!(by_content(&webp[..30], webp.len() as u64).len(), 1, "the rest of it comes later");
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "a ä € 🎉 end".as_bytes();
        for at in 0..text.len() {
            let mut check = TextCheck::default();
            assert!(check.take(&text[..at]) && check.take(&text[at..]) && check.is_whole(), "{at}");
        }
        for wrong in [&b"a\0b"[..], b"\xff", b"a\x07", "\u{85}".as_bytes()] {
            assert!(!TextCheck::default().take(wrong));
        }
        let mut cut = TextCheck::default();
        assert!(cut.take(b"a\xe2\x82") && !cut.is_whole());
    }

    #[test]
    fn types_and_endings_are_each_of_one_kind_of_a_form() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert_eq!(by_type(kind.types[0]), Some(kind), "{:?}", kind.extensions);
            for other in &KINDS[at + 1..] {
                assert!(
                    !kind.extensions.iter().any(|ending| other.has_extension(ending)),
                    "{:?}",
                    kind.extensions
                );
            }
        }
    }
}
