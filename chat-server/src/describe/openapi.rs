//! All routes: OpenAPI 3.1.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{definitions, fields, generator};
use crate::dialect::described::{Body, Described, Gives};
use crate::dialect::field::Field;
use crate::dialect::{Dialects, Route};
use crate::http::error::Full;

/// A refusal in the words of a family, which may have more to say.
#[derive(JsonSchema)]
#[schemars(rename = "Refusal")]
#[expect(dead_code, reason = "each dialect writes it in its own form")]
struct Message {
    /// For people.
    message: String,
}

/// The document for the routes that are served with these dialects.
pub(super) fn document(dialects: &Dialects) -> Value {
    let mut generator = generator("/components/schemas");
    // By their form; the names of the first one count.
    let mut paths: BTreeMap<String, (String, Map<String, Value>)> = BTreeMap::new();
    for (dialect, route) in dialects.routes() {
        let Some(described) = route.description() else { continue };
        let method = route.method().as_str().to_ascii_lowercase();
        let operation = operation(&route, described, dialect.name(), &method, &mut generator);
        let (_, methods) = paths.entry(route.pattern()).or_insert_with(|| (path(&route), Map::new()));
        match methods.get_mut(&method) {
            Some(other) => join(other, &operation),
            None => drop(methods.insert(method, operation)),
        }
    }
    let paths: Map<_, _> =
        paths.into_values().map(|(path, methods)| (path, Value::Object(methods))).collect();
    let schemas = definitions(&mut generator);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "chat-server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The routes of all dialects. Those under /api/v1 are native's, each of which is an event too.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": dialects.routed().map(|dialect| json!({ "name": dialect.name() })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "jwt" },
            },
        },
    })
}

fn path(route: &Route) -> String {
    let parts = route.path().split('/').map(|part| match part.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn operation(
    route: &Route,
    described: &Described,
    dialect: &str,
    method: &str,
    generator: &mut SchemaGenerator,
) -> Value {
    let in_path: Vec<_> = route.path().split('/').filter_map(|part| part.strip_prefix(':')).collect();
    let (in_path, elsewhere): (Vec<&Field>, Vec<&Field>) =
        described.fields.iter().partition(|field| in_path.contains(&field.name));
    let has_body = !matches!(*route.method(), Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS)
        && described.body != Body::Nothing;
    let (in_query, in_body) = if has_body { (Vec::new(), elsewhere) } else { (elsewhere, Vec::new()) };
    let parameters = in_path
        .iter()
        .map(|field| parameter(field, "path"))
        .chain(in_query.into_iter().chain(described.query).map(|field| parameter(field, "query")))
        .chain(described.headers.iter().map(|field| parameter(field, "header")));
    let id = match described.event {
        "" => format!("{dialect}.{method}{}", path(route).replace(['{', '}'], "").replace('/', ".")),
        event => event.to_owned(),
    };
    let mut operation = json!({
        "operationId": id,
        "tags": [dialect],
        "summary": described.about,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": answers(described, generator),
        "security": if described.needs_login { json!([{ "bearer": [] }, { "cookie": [] }]) } else { json!([]) },
    });
    if has_body {
        operation["requestBody"] = body(described, &in_body);
    }
    operation
}

fn parameter(field: &Field, place: &str) -> Value {
    let schema = fields::schema(field.kind);
    let mut parameter = json!({
        "name": field.name,
        "in": place,
        "required": field.is_required || place == "path",
        "description": field.about,
        "schema": schema,
    });
    if parameter["schema"]["type"] == "array" {
        parameter["explode"] = json!(false);
    }
    parameter
}

fn body(described: &Described, in_body: &[&Field]) -> Value {
    if let Body::Bytes(types) = described.body {
        let bytes = types.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": file(kind) })));
        return json!({ "required": true, "content": bytes.collect::<Map<_, _>>() });
    }
    let schema = fields::object(in_body, described.rules);
    json!({ "required": described.body == Body::Fields, "content": { "application/json": { "schema": schema } } })
}

fn file(kind: &str) -> Value {
    match kind {
        "multipart/form-data" => json!({
            "type": "object",
            "required": ["file"],
            "properties": { "file": { "type": "string", "contentMediaType": "application/octet-stream" } },
        }),
        _ => json!({ "type": "string" }),
    }
}

fn answers(described: &Described, generator: &mut SchemaGenerator) -> Value {
    let refusal = match described.refuses_in_full {
        true => generator.subschema_for::<Full<'_>>(),
        false => generator.subschema_for::<Message>(),
    };
    let refused = json!({
        "description": "It was refused.",
        "content": { "application/json": { "schema": refusal } },
    });
    let mut answers = Map::new();
    for (status, gives) in [&described.answer].into_iter().chain(described.also) {
        let mut answer = json!({ "description": status.canonical_reason().unwrap_or_default() });
        match gives {
            Gives::Json(shown) => {
                answer["content"] = json!({ "application/json": { "schema": shown(generator) } });
            }
            Gives::Accepted(shown) => {
                let schema = super::schema::accepted(&shown(generator).to_value());
                answer["content"] = json!({ "application/json": { "schema": schema } });
            }
            Gives::Bytes => answer["content"] = json!({ "*/*": { "schema": {} } }),
            Gives::Nothing => {}
        }
        answers.insert(status.as_u16().to_string(), answer);
    }
    answers.insert("default".to_owned(), refused);
    Value::Object(answers)
}

/// Two dialects have this route: what is sent and answered is of the one or of the other.
fn join(one: &mut Value, other: &Value) {
    let summary = format!(
        "{} Or: {}",
        one["summary"].as_str().unwrap_or_default(),
        other["summary"].as_str().unwrap_or_default()
    );
    one["summary"] = json!(summary);
    if let (Some(tags), Some(more)) = (one["tags"].as_array_mut(), other["tags"].as_array()) {
        tags.extend(more.iter().cloned());
    }
    match (one.get_mut("requestBody"), other.get("requestBody")) {
        (Some(known), Some(body)) => join_schema(
            &mut known["content"]["application/json"]["schema"],
            &body["content"]["application/json"]["schema"],
        ),
        (None, Some(body)) => one["requestBody"] = body.clone(),
        (_, None) => {}
    }
    let answers = other["responses"].as_object().cloned().unwrap_or_default();
    for (status, answer) in answers {
        match one["responses"].get_mut(&status) {
            Some(known) => {
                let schema = &answer["content"]["application/json"]["schema"];
                join_schema(&mut known["content"]["application/json"]["schema"], schema);
            }
            None => one["responses"][status] = answer,
        }
    }
}

fn join_schema(one: &mut Value, other: &Value) {
    if one != other {
        *one = json!({ "anyOf": [one.take(), other] });
    }
}
