//! `{name}` templates over JSON text. A placeholder is lower-case letters, digits and `_` in braces,
//! so ordinary JSON braces never clash with it.
use anyhow::{Result, bail};

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Lit(String),
    Var(String),
}

/// A parsed template.
#[derive(Clone, Debug, Default)]
pub struct Template(Vec<Part>);

impl Template {
    /// Never fails: what is no placeholder is text.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut lit, mut rest) = (Vec::new(), String::new(), text);
        while let Some(open) = rest.find('{') {
            lit.push_str(&rest[..open]);
            let tail = &rest[open + 1..];
            let len = tail
                .bytes()
                .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
                .count();
            if len > 0 && tail.as_bytes().get(len) == Some(&b'}') {
                if !lit.is_empty() {
                    parts.push(Part::Lit(std::mem::take(&mut lit)));
                }
                parts.push(Part::Var(tail[..len].to_owned()));
                rest = &tail[len + 1..];
            } else {
                lit.push('{');
                rest = tail;
            }
        }
        lit.push_str(rest);
        if !lit.is_empty() {
            parts.push(Part::Lit(lit));
        }
        Self(parts)
    }

    /// Fills what `look` knows now and keeps the rest as placeholders, so that the per-message
    /// rendering touches only `{body}` and `{seq}`.
    pub fn partial(&self, look: impl Fn(&str) -> Option<String>) -> Self {
        let mut out: Vec<Part> = Vec::new();
        for p in &self.0 {
            let p = match p {
                Part::Var(v) => look(v).map_or_else(|| p.clone(), Part::Lit),
                Part::Lit(_) => p.clone(),
            };
            match (out.last_mut(), p) {
                (Some(Part::Lit(a)), Part::Lit(b)) => a.push_str(&b),
                (_, p) => out.push(p),
            }
        }
        Self(out)
    }

    /// Appends the text to `out`; `write` appends each placeholder's value.
    pub fn render_into(&self, out: &mut String, mut write: impl FnMut(&str, &mut String)) {
        for p in &self.0 {
            match p {
                Part::Lit(s) => out.push_str(s),
                Part::Var(v) => write(v, out),
            }
        }
    }

    /// The text with all placeholders filled; an unknown one is an error.
    pub fn render(&self, look: impl Fn(&str) -> Option<String>) -> Result<String> {
        let t = self.partial(look);
        match t.0.as_slice() {
            [] => Ok(String::new()),
            [Part::Lit(s)] => Ok(s.clone()),
            _ => {
                let Some(Part::Var(v)) = t.0.iter().find(|p| matches!(p, Part::Var(_))) else {
                    unreachable!()
                };
                bail!("unknown placeholder {{{v}}}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_braces_are_literal() {
        let t = Template::parse(r#"{"a":{"to":"{to}"},"b":{}}"#);
        assert_eq!(t.render(|v| (v == "to").then(|| "x".into())).unwrap(), r#"{"a":{"to":"x"},"b":{}}"#);
    }

    #[test]
    fn unknown_is_an_error() {
        assert!(Template::parse("{nope}").render(|_| None).is_err());
    }

    #[test]
    fn partial_keeps_the_rest() {
        let t = Template::parse("{a}-{b}").partial(|v| (v == "a").then(|| "1".into()));
        let mut s = String::new();
        t.render_into(&mut s, |v, o| o.push_str(v));
        assert_eq!(s, "1-b");
    }
}
