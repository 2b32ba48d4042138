//! All objects: JSON Schema 2020-12.

use serde_json::{Value, json};

use super::events::{self, Direction};
use super::{definitions, generator};
use crate::dialect::Dialects;
use crate::dialect::answer::Refused;

/// The document: the arguments and answers of all commands and events, by dialect and name.
pub(super) fn document() -> Value {
    let mut generator = generator("/$defs");
    let mut dialects = serde_json::Map::new();
    for dialect in Dialects::built_in().known() {
        let mut of_dialect = json!({ "clientToServer": {}, "serverToClient": {} });
        for event in events::of(dialect.name(), &mut generator) {
            match event.direction {
                Direction::ToServer { answer, .. } => {
                    of_dialect["clientToServer"][event.name] =
                        json!({ "argument": event.argument, "answer": accepted(&answer) });
                }
                Direction::ToClient => of_dialect["serverToClient"][event.name] = event.argument,
            }
        }
        dialects.insert(dialect.name().to_owned(), of_dialect);
    }
    let refused = generator.subschema_for::<Refused<'_>>().to_value();
    let schemas = definitions(&mut generator);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chat-server",
        "$defs": schemas,
        "x-events": dialects,
        "x-refused": refused,
    })
}

/// An answer that says that all went well.
pub(super) fn accepted(fields: &Value) -> Value {
    let accepted = json!({
        "type": "object",
        "required": ["ok", "success"],
        "properties": { "ok": { "const": true }, "success": { "const": true } },
    });
    json!({ "allOf": [accepted, fields] })
}
