//! What is wrong with a command: each field of it in each way.

use std::fmt;

use chat_server::describe::commands::{Command, CommandField, FieldKind};
use serde_json::{Value, json};

use crate::world::{Arguments, NOBODY};

/// Most characters of a text that are sent to see whether it is too long.
const MAX_TRIED: usize = 100_000;

/// One bad command.
pub(crate) struct Case {
    /// What is wrong: a column of the page.
    pub(crate) what: &'static str,
    /// With which field.
    pub(crate) field: &'static str,
    /// The whole command.
    pub(crate) arguments: Arguments,
    /// Whether it is refused, whoever asks.
    pub(crate) must_be_refused: bool,
    /// Whether the refusal names the field, if whoever asks may ask.
    pub(crate) names_field: bool,
    /// Whether it is wrong as text, too.
    is_wrong_as_text: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self
            .arguments
            .get(self.field)
            .map_or_else(String::new, |value| value.to_string().chars().take(60).collect());
        write!(f, "{} {} {shown}", self.field, self.what)
    }
}

impl Case {
    /// Whether the route of the command can be asked for this: in paths and queries everything is text.
    pub(crate) fn can_be_said_by_http(&self, command: &Command) -> bool {
        let in_path = command.path.split('/').any(|part| part.strip_prefix(':') == Some(self.field));
        let is_text = in_path || matches!(command.method.as_str(), "GET" | "DELETE");
        let is_absent = !self.arguments.contains_key(self.field);
        // A path without one of its parts is another one, and a long one is refused before it is looked at.
        let is_too_long = self.what == "huge" || (is_text && self.what == "too long");
        let is_another_path = in_path && is_absent;
        !is_too_long && !is_another_path && (!is_text || is_absent || self.is_wrong_as_text)
    }
}

/// All that can be wrong with a command; `good` is one with which nothing is.
pub(crate) fn cases(command: &Command, good: &Arguments) -> Vec<Case> {
    let mut cases = Vec::new();
    for field in &command.fields {
        of_field(command, field, good, &mut cases);
    }
    cases
}

fn of_field(command: &Command, field: &CommandField, good: &Arguments, cases: &mut Vec<Case>) {
    // Another field of its group would be one too many.
    let mut rest = good.clone();
    for group in command.exclusive.iter().filter(|group| group.contains(&field.name)) {
        rest.retain(|name, _| !group.contains(&name.as_str()));
    }
    rest.remove(field.name);
    let mut add = |what, value: Option<Value>, must_be_refused, names_field, is_wrong_as_text| {
        let mut arguments = rest.clone();
        arguments.extend(value.map(|value| (field.name.to_owned(), value)));
        let field = field.name;
        cases.push(Case { what, field, arguments, must_be_refused, names_field, is_wrong_as_text });
    };
    for (strange, is_wrong_as_text) in of_other_types(field.kind) {
        add("wrong type", Some(strange), true, true, is_wrong_as_text);
    }
    if field.is_required {
        add("missing", None, true, true, false);
        add("null", Some(Value::Null), true, true, false);
    }
    let deep = (0..300).fold(json!(1), |inside, _| json!([inside]));
    add("deep", Some(deep), true, false, false);
    match field.kind {
        FieldKind::Text(most) => {
            let reads = command.method == "GET";
            add("empty", Some(json!("")), field.is_required && !reads && most > 0, false, !reads);
            if most > 0 && most <= MAX_TRIED {
                add("too long", Some(json!("x".repeat(most + 1))), true, true, true);
            }
            if most <= MAX_TRIED {
                add("huge", Some(json!("x".repeat(200_000))), most > 0, most > 0, true);
            }
        }
        FieldKind::Id => {
            for wrong in ["", "7", &"z".repeat(24), &"a".repeat(200_000)] {
                let what = if wrong.len() > 24 { "huge" } else { "no id" };
                add(what, Some(json!(wrong)), true, true, true);
            }
            if ["roomId", "userId", "messageId", "threadId", "sessionId"].contains(&field.name) {
                add("does not exist", Some(json!(NOBODY)), false, false, true);
            }
        }
        FieldKind::Ids => {
            add("no id", Some(json!(["7"])), true, true, true);
            add("huge", Some(json!(vec!["7"; 20_000])), true, true, true);
            add("does not exist", Some(json!([NOBODY])), true, false, true);
        }
        FieldKind::Choice(_) => add("no choice", Some(json!("no such choice")), true, true, true),
        FieldKind::Choices(_) => add("no choice", Some(json!(["no such choice"])), true, true, true),
        FieldKind::Number => add("too large", Some(json!(1e30)), true, true, true),
        FieldKind::Told => {
            add("empty", Some(json!("")), true, true, true);
            add("huge", Some(json!("9".repeat(200_000))), true, true, true);
        }
        FieldKind::Flag | FieldKind::Image | FieldKind::Other => {}
    }
}

/// Values of other types, and whether they are wrong as text too.
fn of_other_types(kind: FieldKind) -> Vec<(Value, bool)> {
    let object = json!({ "$gt": "" });
    match kind {
        FieldKind::Text(_) | FieldKind::Told | FieldKind::Image => {
            vec![(json!(7), false), (json!(true), false), (object, false), (json!([[]]), false)]
        }
        FieldKind::Id | FieldKind::Choice(_) => {
            vec![(json!(7), true), (json!(true), true), (object, true), (json!([["x"]]), true)]
        }
        FieldKind::Ids | FieldKind::Choices(_) => {
            vec![
                (json!(7), true),
                (json!(true), true),
                (object, true),
                (json!([7]), true),
                (json!("x"), true),
            ]
        }
        FieldKind::Flag => vec![(json!(7), true), (json!("x"), true), (object, true), (json!([]), false)],
        FieldKind::Number => vec![
            (json!("x"), true),
            (json!(true), true),
            (object, true),
            (json!([]), false),
            (json!(-1), true),
            (json!(1.5), true),
        ],
        FieldKind::Other => vec![],
    }
}
