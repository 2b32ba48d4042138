//! Descriptions of the API for programs, made from what the code goes by: the rows of `native`'s commands, the routes and events
//! of the other dialects, and the types that are sent.
//!
//! They are committed in `docs/api`, and a test compares. A server serves those of the dialects that it speaks, with a page that
//! shows them, under `/docs` ([`crate::http`]).

mod asyncapi;
#[doc(hidden)]
pub mod commands;
mod events;
mod fields;
mod openapi;
mod schema;
mod typescript;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::dialect::Dialects;

/// A description of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// All routes: OpenAPI 3.1.
    OpenApi,
    /// All events: AsyncAPI 3.0.
    AsyncApi,
    /// Types of the events for `socket.io-client`, in TypeScript.
    TypeScript,
    /// All objects: JSON Schema 2020-12.
    Schema,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenApi, Self::AsyncApi, Self::TypeScript, Self::Schema];

    /// The name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::OpenApi => "openapi.json",
            Self::AsyncApi => "asyncapi.json",
            Self::TypeScript => "events.d.ts",
            Self::Schema => "schema.json",
        }
    }

    /// The whole text, for these dialects.
    pub fn text(self, dialects: &Dialects) -> String {
        let json = match self {
            Self::OpenApi => openapi::document(dialects),
            Self::AsyncApi => asyncapi::document(dialects),
            Self::TypeScript => return typescript::document(),
            Self::Schema => schema::document(),
        };
        // A tree of texts, numbers and lists has nothing in it that can fail.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }
}

/// Makes schemas of what is sent, which refer to each other under this path.
fn generator(path: &'static str) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.with(|settings| settings.definitions_path = path.into()).into_generator()
}

/// The schemas that others refer to.
fn definitions(generator: &mut SchemaGenerator) -> Value {
    let mut schemas = Value::Object(generator.take_definitions(true));
    leave_out(&mut schemas);
    schemas
}

/// What is sent is null only where a field is always there: one that may be missing is left out instead.
fn leave_out(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        Value::Object(object) => {
            let required = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
                let optional =
                    properties.iter_mut().filter(|(name, _)| !required.iter().any(|it| it == *name));
                optional.for_each(|(_, property)| never_null(property));
            }
            object.values_mut().for_each(leave_out);
        }
        _ => {}
    }
}

fn never_null(property: &mut Value) {
    let Some(kind) = property.get_mut("type") else { return };
    let Some(types) = kind.as_array_mut() else { return };
    types.retain(|name| name != "null");
    if let [name] = &types[..] {
        *kind = name.clone();
    }
}

#[cfg(test)]
mod tests;
