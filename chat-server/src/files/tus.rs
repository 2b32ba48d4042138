//! Resumable uploads with tus 1.0 (<https://tus.io/protocols/resumable-upload>): the core, and the extensions creation,
//! termination, checksum and expiration.
//!
//! This is our own code: among the existing crates, `rustus` is a complete server, and `tus-server` and `tus_server`
//! are at their first version and choose themselves where they write. The protocol needs only five headers on top of
//! [`uploads`](super::uploads).
//!
//! ```text
//! POST   /api/v1/uploads       Upload-Length: 1000, Upload-Metadata: filename bWUucG5n     201 Location: /api/v1/uploads/ID
//! HEAD   /api/v1/uploads/:id                                                               200 Upload-Offset: 400
//! PATCH  /api/v1/uploads/:id   Upload-Offset: 400, application/offset+octet-stream         204 Upload-Offset: 1000
//! DELETE /api/v1/uploads/:id                                                               204
//! ```
//! The last part creates the file, which has the id of the upload: `/api/v1/files/ID`. If the file is then not
//! accepted, the response to that part is the refusal, and the upload is removed.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chat_core::clock::Timestamp;
use chat_core::id::UserId;

use super::body::Source;
use super::error::FileError;
use super::id::FileId;
use super::paths::UPLOADS;
use super::routes::{MEMORY, busy, uploader};
use super::service::Files;
use super::staging::{Staged, blocking};
use super::uploads::{self, Checksum, Note, PartError, Upload};
use crate::app::App;
use crate::dialect::Route;
use crate::dialect::described::{Body, Described};
use crate::dialect::field::{Field, Kind};
use crate::http::{HttpError, caller};
use crate::links::Base;
use crate::memory::Owner;

const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
const EXTENSIONS: HeaderValue = HeaderValue::from_static("creation,termination,checksum,expiration");
const ALGORITHMS: HeaderValue = HeaderValue::from_static("sha1,sha256");
const PART: &str = "application/offset+octet-stream";
/// The maximum size of `Upload-Metadata`, in bytes.
const MAX_METADATA_BYTES: usize = 4 << 10;

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");

pub(super) fn all() -> Vec<Route> {
    vec![
        Route::new(Method::OPTIONS, UPLOADS, options).described(
            Described::silent("Tells what of tus 1.0 is spoken.", &[], StatusCode::NO_CONTENT)
                .for_everybody(),
        ),
        Route::post(UPLOADS, create).described(Described {
            headers: &[RESUMABLE, LENGTH, METADATA],
            ..Described::silent("Begins a resumable upload (tus 1.0).", &[], StatusCode::CREATED)
                .without_body()
        }),
        Route::new(Method::HEAD, "/api/v1/uploads/:id", progress).described(Described {
            headers: &[RESUMABLE],
            ..Described::silent("Tells how far an upload has come.", &[ID], StatusCode::OK)
        }),
        Route::patch("/api/v1/uploads/:id", receive).described(Described {
            headers: &[RESUMABLE, OFFSET],
            body: Body::Bytes(&[PART]),
            ..Described::silent("Takes a part of an upload.", &[ID], StatusCode::NO_CONTENT)
        }),
        Route::delete("/api/v1/uploads/:id", terminate).described(Described {
            headers: &[RESUMABLE],
            ..Described::silent("Gives an upload up.", &[ID], StatusCode::NO_CONTENT)
        }),
    ]
}

const ID: Field = Field::new("id", Kind::Id("a file's id"), "The upload.");
const RESUMABLE: Field =
    Field::new("Tus-Resumable", Kind::Choice(&["1.0.0"], "1.0.0"), "The version of the protocol.");
const LENGTH: Field = Field::new("Upload-Length", Kind::Count, "How long the file is, in bytes.");
const METADATA: Field =
    Field::new("Upload-Metadata", Kind::Told("pairs of a name and base64"), "The name and type of the file.")
        .optional();
const OFFSET: Field = Field::new("Upload-Offset", Kind::Count, "Where the part begins.");

/// Adds the protocol version to a response.
fn tus(mut answer: Result<Response, HttpError>) -> Response {
    let mut response = match &mut answer {
        Ok(response) => std::mem::take(response),
        Err(_) => answer.into_response(),
    };
    response.headers_mut().insert(TUS_RESUMABLE, VERSION);
    response
}

async fn options(State(app): State<Arc<App>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, VERSION);
    headers.insert(TUS_EXTENSION, EXTENSIONS);
    headers.insert(TUS_MAX_SIZE, app.files.config.max_bytes.into());
    headers.insert(TUS_CHECKSUM_ALGORITHM, ALGORITHMS);
    tus(Ok(response))
}

/// Checks that the client uses the supported version.
fn check_version(headers: &HeaderMap) -> Result<(), Box<Response>> {
    if headers.get(TUS_RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let refusal = HttpError::new(StatusCode::PRECONDITION_FAILED, "Tus-Resumable: it must be 1.0.0");
    let mut response = tus(Err(refusal));
    response.headers_mut().insert(TUS_VERSION, VERSION);
    Err(Box::new(response))
}

async fn create(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = check_version(&headers) {
        return *refusal;
    }
    tus(begin(&app, &headers).await)
}

async fn begin(app: &Arc<App>, headers: &HeaderMap) -> Result<Response, HttpError> {
    let owner = caller(app, headers).await?.user.id;
    if headers.contains_key(UPLOAD_DEFER_LENGTH) {
        return Err(FileError::invalid("Upload-Defer-Length", "the length must be known").into());
    }
    let length = number(headers, &UPLOAD_LENGTH, "Upload-Length")?;
    let files = &app.files;
    if length == 0 {
        return Err(FileError::invalid("Upload-Length", "it must be at least 1").into());
    }
    if length > files.config.max_bytes {
        return Err(FileError::TooLarge { limit: files.config.max_bytes }.into());
    }
    let metadata = headers.get(UPLOAD_METADATA).map(HeaderValue::to_str).transpose();
    let metadata = metadata.map_err(|_| FileError::invalid("Upload-Metadata", "it is not ASCII"))?;
    let metadata = metadata.unwrap_or_default().to_owned();
    if metadata.len() > MAX_METADATA_BYTES {
        let problem = format!("it is longer than {MAX_METADATA_BYTES} bytes");
        return Err(FileError::invalid("Upload-Metadata", problem).into());
    }
    uploads::declared(&metadata)?;
    let now = files.now();
    let id = FileId::new(now, (files.random)());
    let hold = files.quota.hold(owner, length, now).await?;
    let note = Note { id, owner, length, metadata, created_at: now.as_millis() };
    let expires = note.expires_at();
    files.uploads.begin(note, hold).await?;
    let mut response = StatusCode::CREATED.into_response();
    let base = Base::of(headers, &app.config);
    let place = format!("{}{UPLOADS}/{id}", base.as_str().unwrap_or_default());
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    set_expires(response.headers_mut(), expires);
    Ok(response)
}

async fn progress(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = check_version(&headers) {
        return *refusal;
    }
    tus(told(&app, &id, &headers).await)
}

async fn told(app: &Arc<App>, id: &str, headers: &HeaderMap) -> Result<Response, HttpError> {
    let owner = caller(app, headers).await?.user.id;
    let id: FileId = id.parse().map_err(|_| FileError::NotFound)?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    if let Some(upload) = app.files.uploads.find(id, owner) {
        answer.insert(UPLOAD_OFFSET, upload.offset().await.into());
        answer.insert(UPLOAD_LENGTH, upload.note.length.into());
        if let Ok(metadata) = HeaderValue::from_str(&upload.note.metadata) {
            answer.insert(UPLOAD_METADATA, metadata);
        }
        set_expires(answer, upload.note.expires_at());
        return Ok(response);
    }
    // The upload is complete, and the response that said so was lost.
    let record = app.files.store.record(id).await?.filter(|record| record.owner == owner);
    let record = record.ok_or(FileError::NotFound)?;
    answer.insert(UPLOAD_OFFSET, record.size.into());
    answer.insert(UPLOAD_LENGTH, record.size.into());
    Ok(response)
}

async fn receive(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    if let Err(refusal) = check_version(&headers) {
        return *refusal;
    }
    let source = Source::new(request.into_body());
    let received = async {
        let owner = uploader(&app, &headers, &source).await?;
        let id: FileId = id.parse().map_err(|_| FileError::NotFound)?;
        let upload = app.files.uploads.find(id, owner).ok_or(FileError::NotFound)?;
        let (at, checksum) = part(&headers)?;
        let (app, source) = (app.clone(), source.clone());
        // The received bytes are stored even if the client disconnects.
        let taken = tokio::spawn(async move { take(&app, owner, &upload, at, &source, checksum).await });
        taken.await.map_err(|_| HttpError::internal())?
    };
    let received = received.await;
    if received.is_err() {
        source.discard().await;
    }
    tus(received)
}

/// Receives a part, and creates the file if it is the last one.
async fn take(
    app: &Arc<App>,
    owner: UserId,
    upload: &Upload,
    at: u64,
    source: &Source,
    checksum: Option<Checksum>,
) -> Result<Response, HttpError> {
    let _memory = app.memory.reserve(Owner::User(owner), MEMORY).map_err(|_| HttpError::from(busy()))?;
    let turn = upload.receive(at, source, checksum).await.map_err(refusal)?;
    let offset = *turn;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, offset.into());
    if offset < upload.note.length {
        set_expires(response.headers_mut(), upload.note.expires_at());
        return Ok(response);
    }
    match finish(&app.files, upload).await {
        Ok(()) => app.files.uploads.remove(upload, turn).await?,
        // The client may send the same part, which is now empty, again.
        Err(error @ (FileError::Unavailable { .. } | FileError::Full)) => return Err(error.into()),
        Err(error) => {
            app.files.uploads.remove(upload, turn).await?;
            return Err(error.into());
        }
    }
    Ok(response)
}

async fn finish(files: &Files, upload: &Upload) -> Result<(), FileError> {
    let note = &upload.note;
    let declared = uploads::declared(&note.metadata)?;
    let file = upload.file();
    let file = blocking(move || Staged::of(file)).await?;
    let mut hold =
        upload.take_hold().ok_or_else(|| FileError::unavailable("an upload was finished twice"))?;
    let accepted = files.accept(note.id, note.owner, file, declared, &mut hold).await;
    if accepted.is_err() {
        upload.return_hold(hold);
    }
    accepted.map(drop)
}

async fn terminate(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = check_version(&headers) {
        return *refusal;
    }
    let removed = async {
        let owner = caller(&app, &headers).await?.user.id;
        let id: FileId = id.parse().map_err(|_| FileError::NotFound)?;
        let upload = app.files.uploads.find(id, owner).ok_or(FileError::NotFound)?;
        let turn = upload.turn().map_err(refusal)?;
        app.files.uploads.remove(&upload, turn).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    tus(removed.await)
}

fn refusal(error: PartError) -> HttpError {
    match error {
        PartError::Locked => HttpError::new(StatusCode::LOCKED, "another part is being received"),
        PartError::Offset => {
            HttpError::new(StatusCode::CONFLICT, "Upload-Offset: it is not where the upload has come to")
        }
        PartError::Checksum => {
            let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
            HttpError::new(status, "Upload-Checksum: the part is not what it says")
        }
        PartError::File(error) => error.into(),
    }
}

/// The offset of a part, and its checksum.
fn part(headers: &HeaderMap) -> Result<(u64, Option<Checksum>), HttpError> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != PART) {
        let message = "The Content-Type must be application/offset+octet-stream";
        return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let at = number(headers, &UPLOAD_OFFSET, "Upload-Offset")?;
    let Some(checksum) = headers.get(UPLOAD_CHECKSUM) else { return Ok((at, None)) };
    let wrong = || FileError::invalid("Upload-Checksum", "it must be sha1 or sha256, and the hash in base64");
    let (algorithm, value) =
        checksum.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(wrong)?;
    let value = BASE64_STANDARD.decode(value.trim()).map_err(|_| wrong())?;
    let checksum = match algorithm {
        "sha1" => value.try_into().map(Checksum::Sha1),
        "sha256" => value.try_into().map(Checksum::Sha256),
        _ => return Err(wrong().into()),
    };
    Ok((at, Some(checksum.map_err(|_| wrong())?)))
}

fn number(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<u64, FileError> {
    let text = headers.get(name).ok_or_else(|| FileError::invalid(shown, "it is missing"))?;
    let digits = text.to_str().ok().filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| FileError::invalid(shown, "it must be a whole number"))
}

fn set_expires(headers: &mut HeaderMap, at: Timestamp) {
    let at = UNIX_EPOCH + Duration::from_millis(at.as_millis().unsigned_abs());
    if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(at)) {
        headers.insert(UPLOAD_EXPIRES, value);
    }
}

#[cfg(test)]
mod tests;
