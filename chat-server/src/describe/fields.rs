//! Fields of requests as JSON Schemas.

use serde_json::{Map, Value, json};

use crate::dialect::field::{Field, Kind, Rule};

/// An object with these fields. Others are passed over.
pub(super) fn object(fields: &[&Field], rules: &[Rule]) -> Value {
    let properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    let rules: Vec<_> = rules.iter().map(rule).collect();
    if !rules.is_empty() {
        object["allOf"] = json!(rules);
    }
    object
}

/// A rule that says which of its fields are there. One that is null is as good as missing.
fn rule(rule: &Rule) -> Value {
    let given = |field: &&'static str| json!({ "required": [field], "properties": { *field: { "not": { "type": "null" } } } });
    let (Rule::One(fields) | Rule::AtMostOne(fields) | Rule::Some(fields)) = rule;
    let each: Vec<_> = fields.iter().map(given).collect();
    match rule {
        Rule::One(_) => json!({ "oneOf": each }),
        Rule::Some(_) => json!({ "anyOf": each }),
        Rule::AtMostOne(_) => {
            json!({ "oneOf": each.iter().cloned().chain([json!({ "not": { "anyOf": each } })]).collect::<Vec<_>>() })
        }
    }
}

/// A field of an object. What may be missing may be null, too.
fn property(field: &Field) -> Value {
    let mut schema = schema(field.kind);
    if !field.is_required {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(choices) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            choices.push(Value::Null);
        }
    }
    schema["description"] = json!(field.about);
    schema
}

/// A value of a field.
pub(super) fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Text { least, most } => {
            let mut text = json!({ "type": "string" });
            for (limit, length) in [("minLength", least), ("maxLength", most)] {
                if length > 0 {
                    text[limit] = json!(length);
                }
            }
            text
        }
        Kind::Told(_) => json!({ "type": "string" }),
        Kind::Id(_) => id(),
        Kind::Ids(_) => json!({ "type": "array", "items": id() }),
        Kind::Choice(choices, _) => json!({ "type": "string", "enum": choices }),
        Kind::Choices(choices, _) => {
            json!({ "type": "array", "items": { "type": "string", "enum": choices } })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        Kind::Moment => json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
        // More may be asked for than is given.
        Kind::Limit { usually, most } => json!({
            "type": "integer",
            "minimum": 1,
            "maximum": u64::MAX,
            "default": usually,
            "x-most": most,
        }),
        Kind::Image(_) => json!({ "type": "string", "pattern": "^data:" }),
        Kind::Commands { most } => json!({
            "type": "array",
            "minItems": 1,
            "maxItems": most,
            "items": {
                "type": "object",
                "required": ["event"],
                "properties": { "event": { "type": "string" }, "data": { "type": "object" } },
            },
        }),
    }
}

fn id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-fA-F]{24}$" })
}
