//! The page of what came of it all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cases::Case;
use crate::world::Caller;

/// The columns of what is wrong with a field.
const WRONGS: [&str; 10] = [
    "wrong type",
    "missing",
    "null",
    "empty",
    "no id",
    "no choice",
    "too long",
    "too large",
    "huge",
    "does not exist",
];

/// What came of a field, by what was wrong with it.
type Outcomes = BTreeMap<&'static str, Vec<String>>;

/// What came of all commands.
#[derive(Default)]
pub(crate) struct Page {
    who: Vec<(&'static str, Vec<String>)>,
    what: Vec<(&'static str, &'static str, Outcomes)>,
}

impl Page {
    pub(crate) fn who(&mut self, event: &'static str, outcome: &str) {
        if self.who.last().is_none_or(|(last, _)| *last != event) {
            self.who.push((event, Vec::new()));
        }
        if let Some((_, outcomes)) = self.who.last_mut() {
            outcomes.push(outcome.to_owned());
        }
    }

    pub(crate) fn what(&mut self, event: &'static str, case: &Case, outcome: &str) {
        if self.what.last().is_none_or(|(last, field, _)| (*last, *field) != (event, case.field)) {
            self.what.push((event, case.field, BTreeMap::new()));
        }
        let Some((_, field, outcomes)) = self.what.last_mut() else { return };
        // The field is in the first column already.
        let outcome = outcome
            .strip_suffix(&format!(" `{field}`"))
            .map_or(outcome.to_owned(), |code| format!("{code}."));
        let seen = outcomes.entry(case.what).or_default();
        if !seen.contains(&outcome) {
            seen.push(outcome);
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "# Bad input\n\n\
             What every command of `native` answers to those who may not ask, and to what cannot be asked. Made by\n\
             [`tests/bad_input.rs`](../tests/bad_input.rs) from the table of the commands itself, by sockets and HTTP, which answer the same; `./test --describe`\n\
             writes it anew. Whatever is refused has changed nothing: neither the log nor any row.\n\n\
             ## Who asks\n\n\
             A good command about a private room, a message in it, its author, and a login session of that person. Who is outside is\n\
             answered the same whether these exist or not. A blocked person asks about the conversation with the one who blocks them. Without a\n\
             token, with one that has expired and with one that is none every command is `unauthenticated`, and sockets are not let in.\n\n",
        );
        let callers: Vec<_> =
            Caller::all().iter().map(|caller| format!("{caller:?}").to_lowercase()).collect();
        let _ =
            writeln!(text, "| Command | {} |\n|---|{}", callers.join(" | "), "---|".repeat(callers.len()));
        for (event, outcomes) in &self.who {
            let _ = writeln!(text, "| `{event}` | {} |", outcomes.join(" | "));
        }
        text.push_str(
            "\n## What is asked\n\n\
             By somebody who may. A code with a point names the field (`invalid.` of `roomId` has `\"field\":\"roomId\"`). Where it is `ok`, nothing\n\
             was changed. A value that is nested too deeply is `invalid` in every field, before it is known which.\n\n",
        );
        let _ = writeln!(
            text,
            "| Command | Field | {} |\n|---|---|{}",
            WRONGS.join(" | "),
            "---|".repeat(WRONGS.len())
        );
        for (event, field, outcomes) in &self.what {
            let cells =
                WRONGS.map(|wrong| outcomes.get(wrong).map_or_else(String::new, |seen| seen.join(", ")));
            let _ = writeln!(text, "| `{event}` | `{field}` | {} |", cells.join(" | "));
        }
        text
    }
}
