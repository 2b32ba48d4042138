//! `/docs`: the descriptions of the API, and a page that shows them. It is part of the program and needs no network.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use bytes::Bytes;

use super::own_page::Asset;
use crate::app::App;
use crate::describe::Document;

macro_rules! asset {
    ($path:literal, $type:literal, $file:literal) => {
        ($path, $type, include_bytes!(concat!("../../assets/", $file)))
    };
}

/// Path, type and content of the page.
static ASSETS: &[(&str, &str, &[u8])] = &[
    asset!("/docs", "text/html; charset=utf-8", "docs/index.html"),
    asset!("/docs/app.js", "text/javascript; charset=utf-8", "docs/app.js"),
    asset!("/docs/style.css", "text/css; charset=utf-8", "docs/style.css"),
    asset!("/docs/favicon.svg", "image/svg+xml", "favicon.svg"),
];

/// The page and what it shows.
pub(super) fn routes() -> Router<Arc<App>> {
    let mut routes = Router::new();
    for (path, kind, content) in ASSETS {
        let asset = Asset::new(kind, Bytes::from_static(content));
        routes =
            routes.route(path, get(move |headers: HeaderMap| std::future::ready(asset.answer(&headers))));
    }
    for document in Document::ALL {
        // Made when somebody asks for it first, of the dialects that are served.
        let made = Arc::new(OnceLock::<Asset>::new());
        let answer = move |State(app): State<Arc<App>>, headers: HeaderMap| {
            let asset = made.get_or_init(|| {
                Asset::new(content_type(document), document.text(&app.config.dialects).into())
            });
            std::future::ready(asset.answer(&headers))
        };
        routes = routes.route(&format!("/docs/{}", document.file_name()), get(answer));
    }
    routes
}

fn content_type(document: Document) -> &'static str {
    match document {
        Document::TypeScript => "text/plain; charset=utf-8",
        Document::OpenApi | Document::AsyncApi | Document::Schema => "application/json; charset=utf-8",
    }
}
