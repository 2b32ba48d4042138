//! Types of `native`'s events for `socket.io-client`, in TypeScript, made from their JSON Schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::events::{self, Direction};
use super::{definitions, generator};
use crate::dialect::answer::Refused;

const HEAD: &str = "\
// The events of chat-server's own dialect, native, for socket.io-client:
//
//     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { token } });
//     const answer = await socket.emitWithAck('message.send', { username: 'bob', content: 'hello' });
//     if (answer.ok) show(answer.message);
//
// Made by `chat-server describe`; see docs/protocol.md.

/** What a command is answered with. */
export type Answer<T> = ({ ok: true; success: true } & T) | Refused;
";

/// The declarations.
pub(super) fn document() -> String {
    let mut generator = generator("/$defs");
    let (mut told, mut commands) = (String::new(), String::new());
    for event in events::of("native", &mut generator) {
        let about = comment(&event.about, 2);
        let argument = of_type(&event.argument, 2);
        // Writing into a text cannot fail.
        let _ = match event.direction {
            Direction::ToClient => {
                writeln!(told, "{about}  {}: (told: {argument}) => void;", key(&event.name))
            }
            Direction::ToServer { answer, is_optional } => {
                let argument = if is_optional { format!("{argument} | null") } else { argument };
                let answer = of_type(&answer, 2);
                write!(
                    commands,
                    "{about}  {}: (\n    fields: {argument},\n    answer: (answer: Answer<{answer}>) => void,\n  ) => void;\n",
                    key(&event.name)
                )
            }
        };
    }
    generator.subschema_for::<Refused<'_>>();
    let mut text = HEAD.to_owned();
    for (name, schema) in definitions(&mut generator).as_object().unwrap_or(&Map::new()) {
        let about = comment(schema["description"].as_str().unwrap_or_default(), 0);
        let _ = write!(text, "\n{about}export type {name} = {};\n", of_type(schema, 0));
    }
    let _ = write!(
        text,
        "\n/** What clients are told. */\nexport interface ServerToClientEvents {{\n{told}}}\n\n/** What clients send. */\nexport interface \
         ClientToServerEvents {{\n{commands}}}\n"
    );
    text
}

/// The type of what a schema allows.
fn of_type(schema: &Value, depth: usize) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return match schema.get("properties") {
            Some(fields) => format!("({name} & {})", object(fields, &schema["required"], depth)),
            None => name.to_owned(),
        };
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    let of_object = || schema.get("properties").map(|fields| object(fields, &schema["required"], depth));
    for (alternatives, between) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        // Rules of which fields must be there together are not said here.
        if let Some(all) = schema[alternatives].as_array()
            && !all.iter().any(|one| one.get("oneOf").or(one.get("anyOf")).is_some())
        {
            let all: Vec<_> = all.iter().map(|one| of_type(one, depth)).collect();
            let all = all.join(between);
            return match of_object() {
                Some(fields) => format!("{fields} & ({all})"),
                None => all,
            };
        }
    }
    match &schema["type"] {
        Value::Array(types) => {
            let types = types.iter().map(|name| of_name(name, schema, depth));
            types.collect::<Vec<_>>().join(" | ")
        }
        name => of_name(name, schema, depth),
    }
}

fn of_name(name: &Value, schema: &Value, depth: usize) -> String {
    match name.as_str().unwrap_or_default() {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => {
            if let Some(items) = schema["prefixItems"].as_array() {
                return format!(
                    "[{}]",
                    items.iter().map(|item| of_type(item, depth)).collect::<Vec<_>>().join(", ")
                );
            }
            let count =
                schema["minItems"].as_u64().filter(|least| schema["maxItems"].as_u64() == Some(*least));
            let item = of_type(&schema["items"], depth);
            match count {
                Some(count) => {
                    format!("[{}]", vec![item; usize::try_from(count).unwrap_or_default()].join(", "))
                }
                None => format!("Array<{item}>"),
            }
        }
        "object" => object(&schema["properties"], &schema["required"], depth),
        _ => "unknown".to_owned(),
    }
}

fn object(fields: &Value, required: &Value, depth: usize) -> String {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else {
        return "Record<string, unknown>".to_owned();
    };
    let is_required =
        |name: &str| required.as_array().is_some_and(|all| all.iter().any(|field| field == name));
    let indent = " ".repeat(depth + 2);
    let mut text = "{\n".to_owned();
    for (name, schema) in fields {
        let about = comment(schema["description"].as_str().unwrap_or_default(), depth + 2);
        let mark = if is_required(name) { "" } else { "?" };
        let _ = writeln!(text, "{about}{indent}{}{mark}: {};", key(name), of_type(schema, depth + 2));
    }
    text + &" ".repeat(depth) + "}"
}

fn comment(text: &str, depth: usize) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{}/** {} */\n", " ".repeat(depth), text.replace('\n', " ").replace("*/", "* /"))
}

fn key(name: &str) -> String {
    match name.bytes().all(|c| c.is_ascii_alphanumeric()) {
        true => name.to_owned(),
        false => format!("'{name}'"),
    }
}
