//! Tests of [`input`](super).

use super::*;

const LINES: &str = r#"{"group":"en","text":"hello","split":"dev","source":7}

{"group":"de","text":"grüß dich","split":"train"}
{"group":"en","text":"hi","split":"dev"}
"#;

fn read(lines: &str, filter: Filter<'_>) -> Result<Vec<(String, usize)>, String> {
    let messages = super::read(lines.as_bytes(), filter).map_err(|error| error.to_string())?;
    Ok(messages.into_iter().map(|message| (message.group, message.line)).collect())
}

const ALL: Filter<'_> = Filter { min_bytes: 0, split: None, groups: &[], sources: false };

#[test]
fn messages_are_taken_by_group_size_and_split() {
    let expect = |filter, expected: &[(&str, usize)]| {
        let found = read(LINES, filter).unwrap();
        assert!(found.iter().map(|(group, line)| (group.as_str(), *line)).eq(expected.iter().copied()));
    };
    let groups = ["de".to_owned(), "fr".to_owned()];
    expect(ALL, &[("en", 1), ("de", 3), ("en", 4)]);
    expect(Filter { min_bytes: 5, ..ALL }, &[("en", 1), ("de", 3)]);
    expect(Filter { split: Some("dev"), ..ALL }, &[("en", 1), ("en", 4)]);
    expect(Filter { groups: &groups[..1], ..ALL }, &[("de", 3)]);
    let error = read(LINES, Filter { groups: &groups, ..ALL }).unwrap_err();
    assert_eq!(error, r#"no message is left of the group "fr""#);
}

#[test]
fn sources_are_read_where_they_are_needed() {
    let lines = r#"{"group":"en","text":"hello","source":"here"}"#;
    let messages = super::read(lines.as_bytes(), Filter { sources: true, ..ALL }).unwrap();
    assert_eq!(messages[0].source, "here");
    let error = read(LINES, Filter { sources: true, ..ALL }).unwrap_err();
    assert_eq!(error, "line 1: the field `source` is not a string");
}

#[test]
fn a_bad_line_is_named_with_its_field_and_without_its_content() {
    let good = r#"{"group":"en","text":"hello"}"#;
    for (line, problem) in [
        ("secret", "line 2: is not a JSON object"),
        (r#"["secret"]"#, "line 2: is not a JSON object"),
        (r#"{"group":"secret"}"#, "line 2: the field `text` is missing"),
        (r#"{"text":"secret"}"#, "line 2: the field `group` is missing"),
        (r#"{"group":"en","text":["secret"]}"#, "line 2: the field `text` is not a string"),
        (r#"{"group":3,"text":"secret"}"#, "line 2: the field `group` is not a string"),
    ] {
        let error = read(&format!("{good}\n{line}\n"), ALL).unwrap_err();
        assert_eq!(error, problem);
    }
    let dev = Filter { split: Some("dev"), ..ALL };
    assert_eq!(read(good, dev).unwrap_err(), "line 1: the field `split` is missing");
    let long = Filter { min_bytes: 100, ..ALL };
    assert_eq!(read(good, long).unwrap_err(), "no message is left");
}
