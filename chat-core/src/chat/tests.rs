//! Tests of accounts, and of what a user who is not a member may not learn.

use super::*;
use crate::codec::{Blob, Encoding};
use crate::command::{
    AddMember, Command, DeleteMessage, MarkRead, ReadHistory, ReadUpTo, RemoveMember, RestoreMessage,
    SendMessage, SetRole, SetTyping,
};
use crate::error::ErrorKind;
use crate::history::Window;
use crate::id::MessageId;
use crate::model::{Content, NewUser, PasswordHash, User};
use crate::store::NewMessage;

async fn person(chat: &Chat, name: &str) -> UserId {
    chat.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap().user.id
}

fn with_address(email: &str) -> Registration {
    Registration {
        username: None,
        email: Some(email.into()),
        full_name: "Somebody".into(),
        password_hash: PasswordHash::new("x"),
    }
}

#[tokio::test]
async fn a_name_that_looks_like_anothers_is_taken() {
    let chat = Chat::in_memory();
    person(&chat, "coco").await;
    person(&chat, "modern").await;
    chat.register(with_address("zoe@example.org")).await.unwrap();
    for name in ["СОСО", "сосо", "ｃｏｃｏ", "𝐜𝐨𝐜𝐨", "zoe@example.org", "ＺＯＥ@example.org"]
    {
        let refused = chat.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap_err();
        assert!(matches!(refused, Error::UsernameTaken), "{name}: {refused}");
    }
    for name in ["co\u{200b}co", "cосо", "\u{202e}coco"] {
        let refused = chat.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { field: "username", .. }), "{name:?}: {refused}");
    }
    // Some ASCII letters look alike in some fonts. Such names are still allowed for everyone.
    person(&chat, "modem").await;
    person(&chat, "山田taro").await;
    assert!(chat.register(with_address("Coco@b.c")).await.is_ok());
    assert!(matches!(chat.register(with_address("ZOE@example.org")).await, Err(Error::EmailTaken)));
}

#[tokio::test]
async fn people_are_found_however_their_name_is_typed() {
    let chat = Chat::in_memory();
    let zoe = person(&chat, "Zoe\u{301}").await;
    let jorg = chat.register(with_address("Jorg@xn--bcher-kva.example")).await.unwrap().user;
    assert_eq!(jorg.email.as_deref(), Some("jorg@bücher.example"));
    for (key, who) in [
        (UserKey::Username("zoé".into()), zoe),
        (UserKey::Username("ZOE\u{301}".into()), zoe),
        (UserKey::Email("jorg@bücher.example".into()), jorg.id),
        (UserKey::Email("JORG@xn--bcher-kva.EXAMPLE".into()), jorg.id),
    ] {
        let found = chat.credentials(&key).await.unwrap().map(|(user, _)| user.id);
        assert_eq!(found, Some(who), "{key:?}");
        let found = chat.find_user(&key).await.unwrap().map(|user| user.id);
        assert_eq!(found, Some(who), "{key:?}");
    }
}

#[tokio::test]
async fn accounts_from_before_the_rules_go_on() {
    let chat = Chat::in_memory();
    let at = chat.now();
    let old = User {
        id: UserId::from_bytes([7; 12]),
        username: Some("a\u{200b}\u{430}nn".into()),
        email: Some("\"><img/src=x>@b.c".into()),
        full_name: "\u{202e}nnA".into(),
        picture: String::new(),
        created_at: at,
        updated_at: at,
        last_seen: None,
    };
    let new = NewUser { name_key: None, ..NewUser::new(old.clone(), PasswordHash::new("x")) };
    chat.store().create_user(new).await.unwrap();
    for key in [UserKey::Username(old.username.clone().unwrap()), UserKey::Email(old.email.clone().unwrap())]
    {
        let found = chat.credentials(&key).await.unwrap().map(|(user, _)| user.id);
        assert_eq!(found, Some(old.id), "{key:?}");
    }
}

/// The text of this message cannot be decoded. A member gets an error; another user gets the same answer as for an
/// unknown message, because the text is not read for that user.
#[tokio::test]
async fn a_strangers_request_looks_at_no_text() {
    let chat = Chat::in_memory();
    let [ann, bob, eve] =
        [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "eve").await];
    let at = chat.now();
    let conversation =
        chat.store().open_direct(Pair::new(ann, bob), ConversationId::from_bytes([1; 12]), at).await.unwrap();
    let id = MessageId::from_bytes([2; 12]);
    let new = NewMessage {
        id,
        conversation: conversation.id,
        sender: ann,
        body: Blob { encoding: Encoding::Huffman, bytes: vec![0xff; 64] },
        file_name: None,
        image: None,
        client_id: None,
        fingerprint: None,
        at,
    };
    chat.store().append(new).await.unwrap();
    let nothing = MessageId::from_bytes([3; 12]);
    for message in [id, nothing] {
        for command in [
            Command::DeleteMessage(DeleteMessage { message }),
            Command::RestoreMessage(RestoreMessage { message }),
        ] {
            let refused = chat.execute(&Actor { user: eve }, command.clone()).await.unwrap_err();
            assert!(matches!(refused, Error::MessageNotFound), "{command:?}: {refused}");
        }
    }
    let failed = chat
        .execute(&Actor { user: ann }, Command::DeleteMessage(DeleteMessage { message: id }))
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Internal);
    // The same for conversations: a user who is not a member learns nothing about them.
    for of in [conversation.id, ConversationId::from_bytes([9; 12])] {
        let of = Destination::Conversation(of);
        let commands = [
            Command::ReadHistory(ReadHistory {
                of: of.clone(),
                window: Window::Latest { limit: 1 },
                include_deleted: true,
            }),
            Command::MarkRead(MarkRead { of: of.clone(), up_to: ReadUpTo::Message(id) }),
            Command::SetTyping(SetTyping { to: of.clone(), typing: true }),
            Command::SendMessage(SendMessage {
                to: of,
                content: Content::text("x"),
                client_id: None,
                fingerprint: None,
                context: Default::default(),
            }),
        ];
        for command in commands {
            let refused = chat.execute(&Actor { user: eve }, command.clone()).await.unwrap_err();
            assert!(matches!(refused, Error::ConversationNotFound), "{command:?}: {refused}");
        }
    }
    for room in [conversation.id, ConversationId::from_bytes([9; 12])] {
        for command in [
            Command::AddMember(AddMember { room, user: eve }),
            Command::RemoveMember(RemoveMember { room, user: ann }),
            Command::SetRole(SetRole { room, user: ann, role: crate::model::Role::Admin }),
        ] {
            let refused = chat.execute(&Actor { user: eve }, command.clone()).await.unwrap_err();
            assert!(matches!(refused, Error::ConversationNotFound), "{command:?}: {refused}");
        }
    }
}
