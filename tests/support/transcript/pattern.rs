//! Compares what came with what a transcript says; placeholders are described in [`super`].

use std::collections::HashMap;

use serde_json::Value;

/// The values of the placeholders that have a name.
#[derive(Default)]
pub(super) struct Values(HashMap<String, Value>);

impl Values {
    pub(super) fn set(&mut self, placeholder: &str, value: Value) {
        self.0.insert(placeholder.to_owned(), value);
    }

    /// The JSON with values in the places of its placeholders, for sending.
    ///
    /// # Errors
    /// Names a placeholder without a value.
    pub(super) fn fill(&self, json: &Value) -> Result<Value, String> {
        Ok(match json {
            Value::String(text) => match text.strip_prefix('$') {
                Some(_) => self.value(text)?,
                None => json.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?,
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), self.fill(value)?)))
                .collect::<Result<_, String>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
        })
    }

    /// The path with values in the places of its placeholders: they stand between slashes, or are values in its query.
    ///
    /// # Errors
    /// Names a placeholder without a value.
    pub(super) fn fill_path(&self, path: &str) -> Result<String, String> {
        let mut filled = String::new();
        for part in path.split_inclusive(['/', '?', '&', '=']) {
            let name = part.trim_end_matches(['/', '?', '&', '=']);
            match name.starts_with('$') {
                true => filled.push_str(self.value(name)?.as_str().unwrap_or_default()),
                false => filled.push_str(name),
            }
            filled.push_str(&part[name.len()..]);
        }
        Ok(filled)
    }

    fn value(&self, placeholder: &str) -> Result<Value, String> {
        if let Some(text) = repeated(placeholder) {
            return Ok(text.into());
        }
        self.0.get(placeholder).cloned().ok_or_else(|| format!("{placeholder} has no value yet"))
    }

    /// Compares. Placeholders that have no value get it now.
    ///
    /// # Errors
    /// Tells what differs and where.
    pub(super) fn compare(&mut self, expected: &Value, got: &Value) -> Result<(), String> {
        self.compare_at("$", expected, got)
    }

    fn compare_at(&mut self, place: &str, expected: &Value, got: &Value) -> Result<(), String> {
        match (expected, got) {
            (Value::String(placeholder), _) if placeholder.starts_with('$') => {
                self.compare_placeholder(place, placeholder, got)
            }
            (Value::Object(expected), Value::Object(got)) => {
                let open = expected.contains_key("...");
                for (name, value) in expected.iter().filter(|(name, _)| *name != "...") {
                    let place = format!("{place}.{name}");
                    let got = got.get(name).ok_or_else(|| format!("{place} is missing"))?;
                    self.compare_at(&place, value, got)?;
                }
                match got.keys().find(|name| !open && !expected.contains_key(*name)) {
                    Some(name) => Err(format!("{place}.{name} is not expected")),
                    None => Ok(()),
                }
            }
            (Value::Array(expected), Value::Array(got)) => {
                if expected.len() != got.len() {
                    let (expected, got) = (expected.len(), got.len());
                    return Err(format!("{place} has {got} items instead of {expected}"));
                }
                for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                    self.compare_at(&format!("{place}[{index}]"), expected, got)?;
                }
                Ok(())
            }
            _ if expected == got => Ok(()),
            _ => Err(format!("{place} differs: {} instead of {}", short(got), short(expected))),
        }
    }

    fn compare_placeholder(&mut self, place: &str, placeholder: &str, got: &Value) -> Result<(), String> {
        let known = repeated(placeholder).map(Value::from).or_else(|| self.0.get(placeholder).cloned());
        if let Some(known) = known {
            return match known == *got {
                true => Ok(()),
                false => Err(format!("{place} differs: {} instead of {}", short(got), short(&known))),
            };
        }
        let (kind, name) = placeholder[1..].split_once(':').unwrap_or((&placeholder[1..], ""));
        let text = got.as_str().unwrap_or_default();
        let fits = match kind {
            "any" => true,
            "text" => got.is_string(),
            "id" => is_id(text),
            "time" => is_time(text),
            "url" => text.starts_with("http://") || text.starts_with("https://"),
            _ => return Err(format!("there is no placeholder {placeholder}")),
        };
        if !fits {
            return Err(format!("{place} is no {kind}: {}", short(got)));
        }
        if !name.is_empty() {
            self.set(placeholder, got.clone());
        }
        Ok(())
    }

    /// Compares who is online: of a list the order does not count.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub(super) fn compare_state(&mut self, expected: &Value, got: &Value) -> Result<(), String> {
        let (Value::Array(_), Value::Array(items)) = (expected, got) else {
            return self.compare(expected, got);
        };
        let sorted = |items: &[Value]| {
            let mut items = items.to_vec();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        };
        let Value::Array(expected) = self.fill(expected)? else {
            return Err("no list is expected".to_owned());
        };
        self.compare(&sorted(&expected), &sorted(items))
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        let Some(index) = rest.find(part) else { return false };
        rest = &rest[index + part.len()..];
        last = Some(part);
    }
    // The last part may occur early too; what counts is that it ends the text.
    last.map_or(rest.is_empty(), |last| rest.is_empty() || text.ends_with(last))
}

/// `$repeat:3:ab` is `ababab`.
fn repeated(placeholder: &str) -> Option<String> {
    let (times, text) = placeholder.strip_prefix("$repeat:")?.split_once(':')?;
    Some(text.repeat(times.parse().ok()?))
}

fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// As `Date.toISOString` writes it.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    let same = |(form, got): (char, char)| if form == '0' { got.is_ascii_digit() } else { got == form };
    text.len() == form.len() && form.chars().zip(text.chars()).all(same)
}

/// The JSON, with texts that nobody wants to read cut short.
pub(super) fn short(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_stand_for_the_same_value_everywhere() {
        let (one, two) = ("0123456789abcdef01234567", "ffffffffffffffffffffffff");
        let mut values = Values::default();
        assert!(values.compare(&json!({ "_id": "$id:a" }), &json!({ "_id": "no id" })).is_err());
        assert!(values.compare(&json!({ "_id": "$id:a" }), &json!({ "_id": one })).is_ok());
        assert!(values.compare(&json!(["$id:a", "$id:b"]), &json!([one, two])).is_ok());
        assert!(values.compare(&json!(["$id:a", "$id:b"]), &json!([one, one])).is_err());
        assert_eq!(values.fill_path("/x/$id:b?y=1"), Ok(format!("/x/{two}?y=1")));
        assert_eq!(values.fill_path("/x?y=$id:b&z=$id:a"), Ok(format!("/x?y={two}&z={one}")));
    }

    #[test]
    fn extra_fields_and_items_are_noticed() {
        let mut values = Values::default();
        assert!(values.compare(&json!({ "a": 1 }), &json!({ "a": 1, "b": 2 })).is_err());
        assert!(values.compare(&json!({ "a": 1, "...": "..." }), &json!({ "a": 1, "b": 2 })).is_ok());
        assert!(values.compare(&json!({ "a": 1 }), &json!({})).is_err());
        assert!(values.compare(&json!([1]), &json!([1, 2])).is_err());
        assert!(values.compare_state(&json!([2, 1]), &json!([1, 2])).is_ok());
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(fits("a*c", "abc") && fits("a*c", "abcc") && fits("*", "") && fits("abc", "abc"));
        assert!(!fits("a*c", "abd") && !fits("abc", "abcd") && !fits("abc", "ab"));
    }
}
