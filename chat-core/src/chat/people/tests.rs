//! The search for people, from outside.

use super::*;
use crate::command::{Actor, Request};

async fn found(chat: &Chat, by: UserId, prefix: &str) -> Result<Vec<String>, Error> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let search = SearchUsers { prefix: prefix.into(), after, limit: 2 };
        let page = execute(chat, by, search).await?;
        assert!(page.users.len() <= 2);
        names.extend(page.users.iter().map(|user| user.handle()));
        after = page.next;
        if after.is_none() {
            return Ok(names);
        }
    }
}

async fn execute<R: Request>(chat: &Chat, user: UserId, request: R) -> Result<R::Reply, Error> {
    chat.execute(&Actor { user }, request).await.map(|outcome| outcome.reply)
}

#[tokio::test]
async fn people_are_found_by_name_and_never_by_address() {
    let chat = Chat::in_memory();
    let mut people = Vec::new();
    for name in ["anna", "Annabel", "annie", "ann", "bob", "anders"] {
        let registration = Registration::named(name, PasswordHash::new("x"));
        people.push(chat.register(registration).await.unwrap().user.id);
    }
    let address = Some("anne@example.com".to_owned());
    let hidden = Registration {
        username: None,
        email: address,
        full_name: "Ann E".into(),
        password_hash: PasswordHash::new("x"),
    };
    chat.register(hidden).await.unwrap();
    let bob = people[4];
    assert_eq!(found(&chat, bob, "ann").await.unwrap(), ["ann", "anna", "Annabel", "annie"]);
    assert_eq!(found(&chat, bob, " ANNA ").await.unwrap(), ["anna", "Annabel"]);
    assert_eq!(found(&chat, people[0], "an").await.unwrap(), ["anders", "ann", "Annabel", "annie"]);
    assert_eq!(found(&chat, bob, "bo").await.unwrap(), [""; 0], "oneself is left out");
    assert_eq!(found(&chat, bob, "anne").await.unwrap(), [""; 0]);
    for short in ["", "a", "  a  "] {
        let refused = found(&chat, bob, short).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "q", .. })), "{refused:?}");
    }
    let refused = found(&chat, bob, &"x".repeat(65)).await;
    assert!(matches!(refused, Err(Error::TooLarge { field: "q", .. })), "{refused:?}");
}
