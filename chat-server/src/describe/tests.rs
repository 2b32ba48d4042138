//! The descriptions that are committed are what the code says.

mod examples;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;

fn json(document: Document) -> Value {
    serde_json::from_str(&document.text(&Dialects::built_in())).unwrap()
}

/// A file of the repository is this text; with `DESCRIBE=write` it is written.
fn committed_or_written(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var("DESCRIBE").is_ok_and(|what| what == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let is_same = std::fs::read_to_string(&path).is_ok_and(|committed| committed == text);
    assert!(is_same, "{} is of another time: run `./test --describe`", path.display());
}

/// `./test --describe` writes them anew.
#[test]
fn the_committed_files_are_what_the_code_says() {
    for document in Document::ALL {
        let path = format!("../docs/api/{}", document.file_name());
        committed_or_written(&path, &document.text(&Dialects::built_in()));
    }
}

#[test]
fn every_route_and_event_is_described() {
    let dialects = Dialects::built_in();
    let paths = json(Document::OpenApi)["paths"].clone();
    let channels = json(Document::AsyncApi)["channels"].clone();
    for (dialect, route) in dialects.routes() {
        let described = route.description().unwrap_or_else(|| panic!("{route:?} is not described"));
        assert!(described.about.ends_with('.'), "{route:?}");
        let method = route.method().as_str().to_lowercase();
        let path = route.path().split('/').map(|part| match part.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => part.to_owned(),
        });
        let path = path.collect::<Vec<_>>().join("/");
        let tags = &paths[&path][&method]["tags"];
        assert!(
            tags.as_array().is_some_and(|tags| tags.iter().any(|tag| tag == dialect.name())),
            "{route:?}"
        );
    }
    for dialect in dialects.known() {
        let messages = channels[dialect.name()]["messages"].as_object().unwrap();
        let described: BTreeSet<_> =
            messages.values().map(|message| message["name"].as_str().unwrap()).collect();
        for event in dialect.events() {
            assert!(described.contains(event), "{} {event}", dialect.name());
        }
    }
}

/// What refers to something leads there, and names of operations are there once.
#[test]
fn references_lead_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    for document in [Document::OpenApi, Document::AsyncApi, Document::Schema] {
        let json = json(document);
        let mut found = Vec::new();
        references(&json, &mut found);
        assert!(found.len() > 20, "{document:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(json.pointer(pointer).is_some(), "{document:?} {reference}");
        }
    }
    let openapi = json(Document::OpenApi);
    let paths = openapi["paths"].as_object().unwrap().values();
    let ids: Vec<_> = paths
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|one| one["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}
