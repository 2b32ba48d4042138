//! All events: AsyncAPI 3.0.

use serde_json::{Map, Value, json};

use super::events::{self, Direction};
use super::{definitions, generator};
use crate::dialect::Dialects;

/// The document for the events of these dialects.
pub(super) fn document(dialects: &Dialects) -> Value {
    let mut generator = generator("/components/schemas");
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for dialect in dialects.routed() {
        let dialect = dialect.name();
        let mut messages = Map::new();
        let (mut received, mut sent) = (Vec::new(), Vec::new());
        for event in events::of(dialect, &mut generator) {
            let (list, key) = match event.direction {
                Direction::ToServer { .. } => (&mut received, format!("{}_command", event.name)),
                Direction::ToClient => (&mut sent, event.name.clone()),
            };
            // Keys are what a reference can hold.
            let key: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            list.push(json!({ "$ref": format!("#/channels/{dialect}/messages/{key}") }));
            let mut message =
                json!({ "name": event.name, "summary": event.about, "payload": event.argument });
            if let Direction::ToServer { answer, is_optional } = event.direction {
                message["x-acknowledgement"] = super::schema::accepted(&answer);
                message["x-argument-optional"] = json!(is_optional);
            }
            messages.insert(key, message);
        }
        let channel = json!({ "$ref": format!("#/channels/{dialect}") });
        let operation = |action: &str, summary: &str, messages: Vec<Value>| json!({ "action": action, "channel": channel, "summary": summary, "messages": messages });
        operations.insert(
            format!("{dialect}_clientToServer"),
            operation("receive", "What clients send.", received),
        );
        operations
            .insert(format!("{dialect}_serverToClient"), operation("send", "What clients are told.", sent));
        channels.insert(
            dialect.to_owned(),
            json!({ "address": "/socket.io/", "title": dialect, "messages": messages }),
        );
    }
    let refused = generator.subschema_for::<crate::dialect::answer::Refused<'_>>();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "chat-server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The Socket.IO events of all dialects. An event is [name, argument]; a command is acknowledged with its \
                            x-acknowledgement, or with x-refused.",
            "license": { "name": "MIT" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "x-refused": refused,
        "components": { "schemas": definitions(&mut generator) },
    })
}
