//! Conversations as data: what people do, and what they must then see.
//!
//! A file is one behaviour, run against a server of its own. A line that begins with white space continues the line
//! before it. `ann@tablet` is a second device of `ann`.
//!
//! ```text
//! # A comment.
//! server login_limit=2                       an option that differs from the defaults; before all else (`dialects=a,b` too)
//! ann = account native river-42              an account of a dialect, with what its fixture in `accounts.rs` asks for
//! ann@tablet = log-in native river-42        another log-in of the same account
//! ann = register secret1                     a camel account of this name: `account camel secret1`
//! bob = signup "Bob" bob@example.com secret1 a push account; its id is $id:bob from now on
//! ann@tablet = login secret1                 another log-in of camel (push: login ann@example.com secret1)
//! eve = stranger                             nobody; `eve = token x.y.z` has a token that we did not issue, or a `$text:name`
//! ann connects                               a socket; `eve is refused "Authentication error"`
//! ann > privateMessage {"text":"hello"}      an event; >? asks for an answer
//! ann < privateMessage {"text":"hello", …}   the next event of this socket
//! ann <? {"ok":true, …}                      the answer
//! ann > POST /api/messages/send/$id:bob {…}  a request
//! ann < 201 {…}                              its answer; `< 200 (image/png)` for what is no JSON
//! ann < header set-cookie: jwt=; Max-Age=0*  a header of that answer; * stands for anything
//! ann < nothing                              nothing comes that is not in the file
//! ann < disconnect                           the server sends this client away for good
//! ann disconnects
//! restart                                    of the server, with the same data; all sockets end
//! ```
//!
//! In JSON: `"$id:name"`, `"$time:name"`, `"$url:name"`, `"$text:name"` stand for a value of that kind; with a name, for
//! the same one everywhere. `"$any"` stands for anything. `"$repeat:5:ab"` is `ababababab`. An object with `"...":"..."`
//! may have other fields too; everything else is compared exactly. The event that tells a position in the log, for clients
//! that ask for what they missed, may follow any event, and is not compared.
//!
//! **Nothing goes unseen.** An event that the file does not expect is a failure, at the latest when its socket ends. Only
//! events that tell who is online (`getOnlineUsers` in `push`, `presence` in `native`) may come at any time and repeatedly: such a
//! line waits until that is told, and the order of a list in it does not count.

mod accounts;
mod parse;
mod pattern;
mod run;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_server::dialect::{Dialects, PresenceChange, Registered, Roster};

/// Whether an event tells who is online, in a dialect that is built in.
fn is_state(event: &str) -> bool {
    static STATES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let change =
            PresenceChange { user: UserId::from_bytes([0; 12]), online: true, at: Timestamp::from_millis(0) };
        let told = |dialect: &Registered| match dialect.roster() {
            Roster::Untold => None,
            Roster::Whole => dialect.online(&[]),
            Roster::Changes | Roster::Contacts => dialect.presence(&change),
        };
        let states: Vec<_> =
            Dialects::built_in().known().iter().filter_map(told).map(|it| it.event).collect();
        assert!(!states.is_empty(), "a dialect tells who is online");
        states
    });
    STATES.contains(&event)
}

/// Runs all files of a folder, or those whose path contains what `CHAT_TRANSCRIPT` says.
///
/// # Panics
/// When one fails; the message tells of all that do. When none is wanted of all that there are.
pub async fn check_folder(folder: &Path) {
    let wanted = std::env::var("CHAT_TRANSCRIPT").unwrap_or_default();
    let (mut count, mut failed, mut report) = (0, 0, String::new());
    for file in files(folder) {
        if !file.to_string_lossy().contains(&wanted) {
            continue;
        }
        count += 1;
        // On a task of its own, so that a panic is the failure of one file.
        let checked = tokio::spawn({
            let file = file.clone();
            async move { check(&file).await }
        });
        let checked = checked.await.unwrap_or_else(|panic| Err(at(&file, 1, "", &panicked(panic))));
        if let Err(failure) = checked {
            failed += 1;
            let _ = write!(report, "\n{failure}\n");
        }
    }
    assert!(count > 0 || is_elsewhere(folder, &wanted), "no transcript is called {wanted:?}");
    assert!(failed == 0, "{failed} of {count} transcripts in {} failed\n{report}", folder.display());
}

/// Whether a dialect has an account in transcripts.
pub fn has_accounts(dialect: &str) -> bool {
    accounts::fixture(dialect).is_ok()
}

/// Whether a file of another dialect is wanted.
fn is_elsewhere(folder: &Path, wanted: &str) -> bool {
    let dialects = folder.parent().and_then(|parent| std::fs::read_dir(parent).ok()).into_iter().flatten();
    let folders = dialects.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    folders.flat_map(|folder| files(&folder)).any(|file| file.to_string_lossy().contains(wanted))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "txt")).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no transcripts", folder.display());
    files
}

async fn check(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = parse::lines(&text).map_err(|(number, problem)| at(file, number, "", &problem))?;
    run::run(&lines).await.map_err(|(line, problem)| at(file, line.number, &line.text, &problem))
}

fn panicked(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

/// `file:line`, as editors and terminals link it.
fn at(file: &Path, number: usize, line: &str, problem: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.strip_prefix(root).unwrap_or(file);
    let problem = problem.replace('\n', "\n    ");
    format!("{}:{number}: {line}\n    {problem}", file.display())
}
