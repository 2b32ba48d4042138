//! A chat without a server: chat-core as a library, on the store that forgets.
//!
//! Ann and Bob get accounts, talk, take something back, and Bob, who was away for a moment, catches up by position.
//! What you see on the left is who is told; that is all an edge (a socket, a terminal, a test) has to do.
//!
//! ```text
//! cargo run --example embed
//! ```

use std::error::Error;
use std::sync::Arc;

use chat_core::prelude::*;
use chat_core::presence::{Roster, RosterChange, SessionId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let chat = Chat::in_memory();

    // chat-core never sees a password. Hash it with what you trust, and hand over the hash.
    let ann = chat.register(Registration::named("ann", PasswordHash::new("$2b$…"))).await?.user;
    let bob = chat.register(Registration::named("bob", PasswordHash::new("$2b$…"))).await?.user;
    let people = [ann.clone(), bob.clone()];

    println!("-- talking");
    let hello = say(&chat, &people, &ann, "bob", "Hello Bob!").await?;
    say(&chat, &people, &bob, "ann", "Hi Ann. How was the journey?").await?;
    let oops = say(&chat, &people, &ann, "bob", "Terribel").await?;

    println!("-- deleting, and thinking better of it");
    tell(&people, ask(&chat, &ann, DeleteMessage { message: oops.message.id }).await?);
    read(&chat, &bob, "ann", false).await?;
    tell(&people, ask(&chat, &ann, RestoreMessage { message: oops.message.id }).await?);
    read(&chat, &bob, "ann", false).await?;

    println!("-- what is not allowed is refused, with a stable code");
    let refused = ask(&chat, &bob, DeleteMessage { message: hello.message.id }).await;
    if let Err(error) = refused {
        println!("     bob: {} ({error})", error.kind().code());
    }

    println!("-- the same send twice is one message");
    let send = SendMessage {
        to: Destination::Person(UserKey::Id(bob.id)),
        content: Content::text("Did you get this?"),
        client_id: ClientId::new("ann-42"),
        fingerprint: None,
        context: Default::default(),
    };
    let first = ask(&chat, &ann, send.clone()).await?;
    let again = ask(&chat, &ann, send).await?;
    println!("     announced {} time, then {} times", first.deliveries.len(), again.deliveries.len());

    println!("-- bob was away since the last thing he saw, and resumes");
    let seen = hello_position(&chat, &hello).await?;
    let missed = chat.changes_after(seen, 100).await?.ok_or("the log does not reach back so far")?;
    for delivery in missed {
        if delivery.audience.includes(bob.id) {
            let Position(position) = delivery.position.unwrap_or_default();
            println!("     {position}: {}", describe(&delivery.event));
        }
    }

    println!("-- who is online, across two tabs");
    let roster = Roster::default();
    for (what, change) in [
        ("ann opens a tab", roster.connect(ann.id, SessionId(1))),
        ("ann opens another one", roster.connect(ann.id, SessionId(2))),
        ("ann closes the first", roster.disconnect(ann.id, SessionId(1))),
        ("ann closes the second", roster.disconnect(ann.id, SessionId(2))),
    ] {
        let news = match change {
            RosterChange::CameOnline => "tell everybody: ann is online",
            RosterChange::WentOffline => "tell everybody: ann is offline",
            RosterChange::Unchanged => "nothing to tell",
        };
        println!("     {what}: {news}");
    }
    Ok(())
}

/// One command of one person. When this returns `Ok`, all of it is stored.
async fn ask<R: Request>(
    chat: &Chat,
    who: &User,
    request: R,
) -> Result<Outcome<R::Reply>, chat_core::error::Error> {
    chat.execute(&Actor { user: who.id }, request).await
}

async fn say(
    chat: &Chat,
    people: &[Arc<User>],
    who: &User,
    to: &str,
    text: &str,
) -> Result<MessageView, Box<dyn Error>> {
    let command = SendMessage {
        to: Destination::Person(UserKey::Username(to.to_owned())),
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    let outcome = ask(chat, who, command).await?;
    let view = outcome.reply.clone();
    tell(people, outcome);
    Ok(view)
}

/// The edge's part: everybody in the audience is told. It is stored already.
fn tell<T>(people: &[Arc<User>], outcome: Outcome<T>) {
    for delivery in outcome.deliveries {
        let audience: Vec<_> = people.iter().filter(|person| delivery.audience.includes(person.id)).collect();
        let names: Vec<_> = audience.iter().map(|person| person.full_name.as_str()).collect();
        println!("{:>8}: {}", names.join(","), describe(&delivery.event));
    }
}

async fn read(chat: &Chat, who: &User, other: &str, include_deleted: bool) -> Result<(), Box<dyn Error>> {
    let command = ReadHistory {
        of: Destination::Person(UserKey::Username(other.to_owned())),
        window: Window::Latest { limit: 50 },
        include_deleted,
    };
    let history = ask(chat, who, command).await?.reply;
    println!("     {} reads:", who.full_name);
    for view in &history.messages {
        println!("       {}. {}", view.message.seq.0, said(view));
    }
    Ok(())
}

/// The position of the change that brought a message. A real client keeps the last position it was told.
async fn hello_position(chat: &Chat, wanted: &MessageView) -> Result<Position, Box<dyn Error>> {
    let all = chat.changes_after(Position(0), 100).await?.unwrap_or_default();
    let found = all.iter().find(|delivery| {
        matches!(&delivery.event, Event::MessageSent(view) if view.message.id == wanted.message.id)
    });
    found.and_then(|delivery| delivery.position).ok_or_else(|| "the message is not in the log".into())
}

fn describe(event: &Event) -> String {
    match event {
        Event::MessageSent(view) => said(view),
        Event::MessageDeleted(view) => format!("{} took back message {}", by(view), view.message.seq.0),
        Event::MessageRestored(view) => format!("{} put message {} back", by(view), view.message.seq.0),
        other => format!("{other:?}"),
    }
}

fn said(view: &MessageView) -> String {
    format!("{}: {}", by(view), view.message.content.text)
}

fn by(view: &MessageView) -> &str {
    &view.sender.full_name
}
