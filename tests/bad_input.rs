//! Bad input, for every command of `native`: who may not ask, and what may not be asked, over sockets and HTTP. The commands come
//! from the table itself, so that a new row is tried by that alone. What came of it is `docs/bad-input.md`; `./test --describe`
//! writes it anew.

#[path = "bad_input/asking.rs"]
mod asking;
#[path = "bad_input/cases.rs"]
mod cases;
#[path = "bad_input/page.rs"]
mod page;
#[path = "bad_input/world.rs"]
mod world;

use std::path::Path;

use chat::MountedServer;
use chat_server::describe::commands::{Command, all};
use serde_json::Value;

use crate::asking::{Outcome, Way};
use crate::cases::{Case, cases};
use crate::page::Page;
use crate::world::{Caller, World, stored};

/// Everything that is asked without a limit on how often.
async fn server() -> MountedServer {
    MountedServer::start(|options| {
        options.dialects = vec!["native".to_owned()];
        options.store = Some("memory:".to_owned());
        (options.change_budget, options.read_budget, options.send_budget) = (0, 0, 0);
        (options.message_limit, options.search_limit) = (0, 0);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_what_it_must() {
    let mut server = server().await;
    let mut page = Page::default();
    let commands = all();
    assert!(commands.len() > 20);
    for (number, command) in commands.iter().enumerate() {
        who_asks(&server, number, command, &mut page).await;
        what_is_asked(&server, number, command, &mut page).await;
    }
    assert!(!chat::log::captured().contains("panicked"), "the server has panicked");
    server.until_sessions(0).await;
    // Who comes with a token that has expired.
    server.turned_away = commands.len();
    server.stop().await;
    let (path, text) = ("docs/bad-input.md", page.text());
    println!("{text}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var("DESCRIBE").is_ok_and(|what| what == "write") {
        std::fs::write(&path, &text).expect("it can be written");
    }
    let is_same = std::fs::read_to_string(&path).is_ok_and(|committed| committed == text);
    assert!(is_same, "{} is of another time: run `./test --describe`", path.display());
}

/// A good command of everybody: whoever may not is refused alike on both ways, and learns and changes nothing.
async fn who_asks(server: &MountedServer, number: usize, command: &Command, page: &mut Page) {
    let event = command.event;
    for caller in Caller::all() {
        let mut outcomes = Vec::new();
        for way in [Way::Socket, Way::Http] {
            // Each in a world of its own, since what is allowed changes it.
            let mut world = World::new(server, number, &[caller]).await;
            let before = stored(server).await;
            let outcome = world.ask(caller, way, command, world.example(caller, command)).await;
            if outcome.is_refused() {
                let is_unchanged = stored(server).await == before;
                assert!(is_unchanged, "{event} of {caller:?} by {way:?} has stored something");
                world.told_nothing(caller, event).await;
            }
            if caller.is_outside() {
                is_hidden(&mut world, caller, way, command).await;
            }
            outcomes.push(outcome);
            world.close().await;
        }
        let [by_socket, by_http] = &outcomes[..] else { unreachable!("there are two ways") };
        if caller != Caller::Expired {
            assert_eq!(by_socket.short(), by_http.short(), "{event} of {caller:?}");
        }
        page.who(event, &by_http.short());
    }
}

/// What somebody may not see is answered like what does not exist.
async fn is_hidden(world: &mut World<'_>, caller: Caller, way: Way, command: &Command) {
    for (field, hidden) in world.hidden_fields(command) {
        let mut missing = hidden.clone();
        missing.insert(field.to_owned(), Value::from(world::NOBODY));
        let hidden = world.ask(caller, way, command, hidden).await;
        let missing = world.ask(caller, way, command, missing).await;
        assert_eq!(
            hidden, missing,
            "{} of {caller:?} by {way:?} tells whether {field} exists",
            command.event
        );
    }
}

/// Bad fields, of somebody who may and of some who may not.
async fn what_is_asked(server: &MountedServer, number: usize, command: &Command, page: &mut Page) {
    let callers = [Caller::Admin, Caller::Stranger, Caller::Removed, Caller::Blocked];
    let mut world = World::new(server, number, &callers).await;
    for caller in callers {
        let cases = cases(command, &world.example(caller, command));
        for way in [Way::Socket, Way::Http] {
            let before = stored(server).await;
            let outcomes = world.ask_all(caller, way, command, &cases).await;
            for (case, outcome) in cases.iter().zip(&outcomes) {
                let Some(outcome) = outcome else { continue };
                check(command, caller, way, case, outcome);
                if caller == Caller::Admin && way == Way::Socket {
                    page.what(command.event, case, &outcome.short());
                }
            }
            // Some cases are good after all, for whoever may do this.
            let all_refused = outcomes.iter().flatten().all(Outcome::is_refused);
            let is_unchanged = stored(server).await == before;
            assert!(
                is_unchanged || !all_refused,
                "{} of {caller:?} by {way:?} has stored something",
                command.event
            );
        }
    }
    world.close().await;
}

fn check(command: &Command, caller: Caller, way: Way, case: &Case, outcome: &Outcome) {
    let what = format!("{} of {caller:?} by {way:?}, {case:?}: {outcome:?}", command.event);
    assert!(outcome.is_refused() || !case.must_be_refused, "{what}");
    // Whoever may not is told that, or what is wrong with the field, whatever is looked at first.
    if caller == Caller::Admin
        && case.names_field
        && let Outcome::Refused { field, .. } = outcome
    {
        assert_eq!(field.as_deref(), Some(case.field), "{what}");
    }
}

/// Without a good token nothing is looked at.
#[tokio::test]
async fn who_has_no_good_token_is_told_nothing() {
    let server = server().await;
    let mut world = World::new(&server, 0, &[Caller::Admin]).await;
    let before = stored(&server).await;
    for command in all() {
        let example = world.example(Caller::Admin, &command);
        // A good one and a few bad ones: whatever it is, it is not looked at.
        let bad = cases(&command, &example).into_iter().filter(|case| case.can_be_said_by_http(&command));
        for arguments in bad.map(|case| case.arguments).take(3).chain([example.clone()]) {
            let outcomes = world.ask_without_token(&command, arguments).await;
            for outcome in outcomes {
                assert_eq!(outcome.code(), Some("unauthenticated"), "{}: {outcome:?}", command.event);
            }
        }
    }
    assert_eq!(stored(&server).await, before);
    world.close().await;
    server.stop().await;
}
