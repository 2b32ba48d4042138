//! The routes of files. They belong to the dialect `native`, and are always served:
//! ```text
//! POST   /api/v1/files            the file as the body (?name=…&keepExif=true), or a form with `file`
//!   201 {"id":"…","url":"…","name":"me.png","type":"image/png","size":68,"width":1,"height":1,"sha256":"…"}
//! GET    /api/v1/files/:id        the bytes; also HEAD, Range, If-None-Match
//! GET    /api/v1/files/:id/info   what POST has answered
//! GET    /api/v1/files/:id/link   200 {"url":"…?exp=…&sig=…","expiresAt":"2026-…"}: good for <img> until then
//! DELETE /api/v1/files/:id        204, for its owner
//! ```

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chat_core::id::UserId;
use schemars::JsonSchema;
use serde::Serialize;

use super::body::Source;
use super::declared::{Declared, switch};
use super::download::{self, Access, Given};
use super::error::FileError;
use super::id::FileId;
use super::image::wanted_width;
use super::kind;
use super::multipart;
use super::paths::FILES;
use super::record::FileRecord;
use super::staging::Incoming;
use crate::app::App;
use crate::dialect::Route;
use crate::dialect::described::{Body as DescribedBody, Described, Gives};
use crate::dialect::field::{Field, Kind, shown};
use crate::http::{BUSY, HttpError, bearer, caller, json, parameter};
use crate::links::Base;
use crate::memory::Owner;

/// The maximum memory that an upload uses, in bytes.
pub(super) const MEMORY: usize = 256 << 10;

pub(crate) fn all() -> Vec<Route> {
    let mut routes = vec![
        Route::post(FILES, upload).described(UPLOAD),
        Route::get("/api/v1/files/:id", read).described(READ),
        Route::delete("/api/v1/files/:id", remove).described(Described::silent(
            "Removes a file of one's own.",
            &[FILE],
            StatusCode::NO_CONTENT,
        )),
        Route::get("/api/v1/files/:id/info", info).described(Described::new(
            "Tells what is known of a file.",
            &[FILE],
            shown::<FileObject<'_>>,
        )),
        Route::get("/api/v1/files/:id/link", link).described(Described::new(
            "Makes a link that needs no log-in, for `<img>`.",
            &[FILE],
            shown::<LinkObject>,
        )),
    ];
    routes.extend(super::tus::all());
    routes
}

const FILE: Field = Field::new("id", Kind::Id("a file's id"), "The file.");
const UPLOAD: Described = Described {
    query: &[
        Field::new("name", Kind::Text { least: 1, most: 0 }, "Its name.").optional(),
        Field::new("keepExif", Kind::Flag, "Whether the notes of cameras stay in it.").optional(),
    ],
    body: DescribedBody::Bytes(&[
        "application/octet-stream",
        "image/png",
        "text/plain",
        "multipart/form-data",
    ]),
    ..Described::new("Stores a file: as the body, or as `file` in a form.", &[], shown::<FileObject<'_>>)
        .status(StatusCode::CREATED)
};
const READ: Described = Described {
    answer: (StatusCode::OK, Gives::Bytes),
    also: &[
        (StatusCode::PARTIAL_CONTENT, Gives::Bytes),
        (StatusCode::NOT_MODIFIED, Gives::Nothing),
        (StatusCode::RANGE_NOT_SATISFIABLE, Gives::Nothing),
    ],
    ..Described::new(
        "Reads a file.",
        &[
            FILE,
            Field::new("download", Kind::Text { least: 0, most: 0 }, "Anything but `false`: to be saved.")
                .optional(),
            Field::new("w", Kind::Count, "An image of about so many pixels of width is enough.").optional(),
            Field::new("exp", Kind::Told("what a link has"), "Until when a link is good.").optional(),
            Field::new("sig", Kind::Told("what a link has"), "The signature of a link.").optional(),
        ],
        shown::<FileObject<'_>>,
    )
};

/// A file, as its readers are told of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "File")]
pub(super) struct FileObject<'a> {
    #[schemars(with = "String")]
    id: FileId,
    url: String,
    name: &'a str,
    #[serde(rename = "type")]
    content_type: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blurhash: Option<&'a str>,
    sha256: &'a str,
    created_at: String,
}

/// The API object of a file, with links for this client.
pub(super) fn object<'a>(record: &'a FileRecord, base: &Base) -> FileObject<'a> {
    FileObject {
        id: record.id,
        url: address(record.id, base),
        name: &record.name,
        content_type: &record.content_type,
        size: record.size,
        width: record.width,
        height: record.height,
        duration: record.duration,
        blurhash: record.blurhash.as_deref(),
        sha256: &record.sha256,
        created_at: record.created_at().to_string(),
    }
}

fn address(id: FileId, base: &Base) -> String {
    format!("{}{FILES}/{id}", base.as_str().unwrap_or_default())
}

/// A link that needs no log-in.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Link")]
struct LinkObject {
    url: String,
    expires_at: String,
}

/// Authenticates an upload. Any page can send a form or plain text to another origin without a preflight. So if only a
/// cookie authenticates such a request, it must have an allowed `Origin`.
pub(super) async fn uploader(
    app: &Arc<App>,
    headers: &HeaderMap,
    source: &Source,
) -> Result<UserId, HttpError> {
    let caller = caller(app, headers).await?;
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    const SIMPLE: [&str; 4] = ["", "multipart/form-data", "text/plain", "application/x-www-form-urlencoded"];
    if bearer(headers).is_none() && SIMPLE.contains(&&*declared) && !headers.contains_key(ORIGIN) {
        source.discard().await;
        return Err(HttpError::new(StatusCode::FORBIDDEN, "The request must say its Origin"));
    }
    Ok(caller.user.id)
}

async fn upload(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, HttpError> {
    let source = Source::new(request.into_body());
    let owner = uploader(&app, &headers, &source).await?;
    match receive_and_store(&app, owner, query.as_deref(), &headers, &source).await {
        Ok(record) => {
            let base = Base::of(&headers, &app.config);
            let mut response = json(StatusCode::CREATED, &object(&record, &base));
            if let Ok(place) = HeaderValue::from_str(&address(record.id, &base)) {
                response.headers_mut().insert(LOCATION, place);
            }
            Ok(response)
        }
        Err(error) => Err(source.refuse(error).await),
    }
}

async fn receive_and_store(
    app: &Arc<App>,
    owner: UserId,
    query: Option<&str>,
    headers: &HeaderMap,
    source: &Source,
) -> Result<FileRecord, FileError> {
    let files = &app.files;
    let _memory = app.memory.reserve(Owner::User(owner), MEMORY).map_err(|_| busy())?;
    let max = files.config.max_bytes;
    let length = content_length(headers)?;
    let content_type = text_header(headers, &CONTENT_TYPE).unwrap_or_default();
    let boundary = multipart_boundary(content_type)?;
    let overhead = if boundary.is_some() { multipart::MAX_FORM_BYTES } else { 0 };
    if length.is_some_and(|length| length > max.saturating_add(overhead)) {
        return Err(FileError::TooLarge { limit: max });
    }
    // The length of a file in a form is unknown, and so is that of a body without `Content-Length`.
    let mut hold = match (length, &boundary) {
        (Some(length), None) => files.quota.hold(owner, length, files.now()).await?,
        _ => files.quota.hold_up_to(owner, length.unwrap_or(max).min(max), files.now()).await?,
    };
    let room = max.min(hold.bytes());
    let received = match boundary {
        Some(boundary) => multipart::receive(source, boundary, &files.staging, room).await,
        None => match declared_by(query, headers) {
            Ok(declared) => receive_raw(source, app, room).await.map(|incoming| (incoming, declared)),
            Err(error) => Err(error),
        },
    };
    let (incoming, declared) = received.map_err(|error| match error {
        FileError::TooLarge { limit } if limit < max => FileError::Quota(files.config.quota),
        error => error,
    })?;
    let file = incoming.finish().await?;
    let app = app.clone();
    // The file is stored in a separate task, so that a client that disconnects now cannot interrupt it halfway.
    let stored = tokio::spawn(async move {
        let id = FileId::new(app.files.now(), (app.files.random)());
        app.files.accept(id, owner, file, declared, &mut hold).await
    });
    stored.await.map_err(|_| FileError::unavailable("storing a file was broken off"))?
}

async fn receive_raw(source: &Source, app: &App, max: u64) -> Result<Incoming, FileError> {
    let mut incoming = app.files.staging.begin().await?;
    while let Some(piece) = source.next().await? {
        if incoming.len() + piece.len() as u64 > max {
            return Err(FileError::TooLarge { limit: max });
        }
        incoming.write(piece).await?;
    }
    Ok(incoming)
}

pub(super) fn busy() -> FileError {
    HttpError::unavailable("The server is busy. Please try again later.", BUSY).into()
}

fn text_header<'a>(headers: &'a HeaderMap, name: &axum::http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The declared length. If there is one, hyper reads exactly this many bytes.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, FileError> {
    let wrong = |_| FileError::invalid("Content-Length", "it is no number");
    text_header(headers, &CONTENT_LENGTH).map(|text| text.trim().parse().map_err(wrong)).transpose()
}

/// The boundary of a form, or `None` when the body is the file itself.
fn multipart_boundary(content_type: &str) -> Result<Option<String>, FileError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    let boundary = multer::parse_boundary(content_type);
    // The length of a boundary according to RFC 2046, section 5.1.1.
    let boundary = boundary.ok().filter(|boundary| (1..=70).contains(&boundary.len()));
    boundary
        .map(Some)
        .ok_or_else(|| FileError::invalid("Content-Type", "its boundary is missing or too long"))
}

/// The declared metadata of a file that is the whole body: from the query, or else from `Content-Disposition`.
fn declared_by(query: Option<&str>, headers: &HeaderMap) -> Result<Declared, FileError> {
    let name = match parameter(query, "name") {
        Some(name) if name.contains('\u{fffd}') => {
            return Err(FileError::invalid("name", "it is not UTF-8"));
        }
        Some(name) => Some(name.into_owned()),
        None => text_header(headers, &CONTENT_DISPOSITION).and_then(disposition_name),
    };
    let content_type = text_header(headers, &CONTENT_TYPE);
    // The default type of some HTTP clients, which says nothing about the file.
    let content_type = content_type.filter(|given| !given.starts_with("application/x-www-form-urlencoded"));
    let keep_exif = parameter(query, "keepExif").map_or(Ok(false), |text| switch("keepExif", &text))?;
    Ok(Declared { name, content_type: content_type.map(str::to_owned), keep_exif })
}

/// The name in `attachment; filename*=UTF-8''me.png` or `…; filename="me.png"`.
fn disposition_name(value: &str) -> Option<String> {
    let parts = || value.split(';').skip(1).filter_map(|part| part.trim().split_once('='));
    let extended = parts().find(|(name, _)| name.trim().eq_ignore_ascii_case("filename*"));
    let extended = extended.and_then(|(_, value)| {
        let text = value.trim().get(..7).filter(|charset| charset.eq_ignore_ascii_case("UTF-8''"));
        text.and_then(|_| percent_encoding::percent_decode_str(&value.trim()[7..]).decode_utf8().ok())
    });
    let plain = || parts().find(|(name, _)| name.trim().eq_ignore_ascii_case("filename"));
    extended
        .map(|text| text.into_owned())
        .or_else(|| plain().map(|(_, value)| value.trim().trim_matches('"').to_owned()))
}

fn file_id(id: &str) -> Result<FileId, FileError> {
    id.parse().map_err(|_| FileError::NotFound)
}

/// The file, if the caller has a signed link or the permission to read it.
async fn readable(
    app: &Arc<App>,
    id: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(FileRecord, Access), HttpError> {
    let id = file_id(id)?;
    if let Some(left) = app.files.signer.verify(id, query, app.chat.now()) {
        let record = app.files.store.record(id).await?.ok_or(FileError::NotFound)?;
        return Ok((record, Access::Link(left)));
    }
    let caller = caller(app, headers).await?;
    Ok((app.files.find(id, caller.user.id).await?, Access::LogIn))
}

async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let (record, access) = readable(&app, &id, query.as_deref(), &headers).await?;
    #[cfg_attr(
        not(feature = "images"),
        expect(unused_variables, reason = "without smaller copies it is only checked")
    )]
    let width = wanted_width(parameter(query.as_deref(), "w").as_deref())?;
    #[cfg(feature = "images")]
    if let Some(answer) = read_smaller(&app, &method, &headers, width, &record, access).await? {
        return Ok(answer);
    }
    let is_download = parameter(query.as_deref(), "download").is_some_and(|text| text != "false");
    let given = Given {
        size: record.size,
        content_type: &record.content_type,
        tag: &record.sha256,
        name: &record.name,
        is_inline: !is_download && kind::by_type(&record.content_type).is_some_and(kind::Kind::is_shown),
        access,
    };
    let store = &app.files.store;
    download::answer(&method, &headers, &given, async |range| store.read(record.id, range).await).await
}

/// A smaller copy of an image, if the client requests one and it is available.
#[cfg(feature = "images")]
async fn read_smaller(
    app: &Arc<App>,
    method: &Method,
    headers: &HeaderMap,
    width: Option<u32>,
    record: &FileRecord,
    access: Access,
) -> Result<Option<Response>, HttpError> {
    use super::variants::Wanted;

    let accept = text_header(headers, &axum::http::header::ACCEPT);
    let Some(wanted) = Wanted::read(width, accept) else { return Ok(None) };
    let Some(kind) = kind::by_type(&record.content_type).and_then(kind::Kind::image) else { return Ok(None) };
    let files = &app.files;
    let copy = files.variants.get(record, kind, wanted, &*files.store, &files.staging).await?;
    let Some(copy) = copy else { return Ok(None) };
    let stem = record.name.rsplit_once('.').map_or(&*record.name, |(stem, _)| stem);
    let given = Given {
        size: copy.len,
        content_type: copy.kind.content_type(),
        tag: &format!("{}-{}", record.sha256, wanted.mark()),
        name: &format!("{stem}.{}", copy.kind.extension()),
        is_inline: true,
        access,
    };
    let read = async |range| super::disk::read_range(copy.path.clone(), range).await;
    download::answer(method, headers, &given, read).await.map(Some)
}

async fn info(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let record = app.files.find(file_id(&id)?, caller.user.id).await?;
    Ok(json(StatusCode::OK, &object(&record, &Base::of(&headers, &app.config))))
}

async fn link(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let record = app.files.find(file_id(&id)?, caller.user.id).await?;
    let (query, expires_at) = app.files.signer.query(record.id, app.chat.now());
    let url = format!("{}?{query}", address(record.id, &Base::of(&headers, &app.config)));
    Ok(json(StatusCode::OK, &LinkObject { url, expires_at: expires_at.to_string() }))
}

async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    app.files.remove(file_id(&id)?, caller.user.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
pub(super) mod tests;
