//! What holds for [`reading`](super).

use super::*;

const ID: &str = "65a1b2c3d4e5f60718293a4b";
const LATER: &str = "65a1b2c4d4e5f60718293a4b";

fn decoded(event: &str, argument: &str) -> Result<(Destination, ReadUpTo), String> {
    let packet = format!("[\"{event}\",{argument}]");
    match decode(&Call::parse(&packet).unwrap()) {
        Ok(Command::MarkRead(MarkRead { of, up_to })) => Ok((of, up_to)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_spelling_is_understood() {
    let person = || Destination::Person(UserKey::Id(ID.parse().unwrap()));
    let chat = || Destination::Chat(id_of("", "", ID).unwrap());
    let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<MessageId>>();
    let of = |id: &str| Destination::OfMessage(id.parse().unwrap());
    let all = ReadUpTo::TheLast;
    for (event, argument, expected) in [
        ("markMessagesAsSeen", format!("{{\"senderId\":\"{ID}\"}}"), (person(), all.clone())),
        ("markSeen", format!("{{\"partnerId\":\"{ID}\"}}"), (person(), all.clone())),
        ("mark-messages-as-read", format!("{{\"conversationPartnerId\":\"{ID}\"}}"), (person(), all.clone())),
        ("markMessagesAsSeen", format!("\"{ID}\""), (chat(), all.clone())),
        ("messages:read", format!("{{\"messageIds\":[],\"chatId\":\"{ID}\"}}"), (chat(), all)),
        ("messageSeen", format!("{{\"messageId\":\"{ID}\"}}"), (of(ID), ReadUpTo::Messages(ids(&[ID])))),
        (
            "message_read",
            format!("{{\"messageIds\":[\"{LATER}\",\"{ID}\",\"{ID}\"]}}"),
            (of(LATER), ReadUpTo::Messages(ids(&[ID, LATER]))),
        ),
        (
            "messages:read",
            format!("{{\"messageIds\":[\"{ID}\"],\"chatId\":\"{LATER}\"}}"),
            (of(ID), ReadUpTo::Messages(ids(&[ID]))),
        ),
    ] {
        assert_eq!(decoded(event, &argument), Ok(expected), "{event} {argument}");
    }
    let many: Vec<_> = (0..300).map(|n| format!("\"{n:024x}\"")).collect();
    let Ok((of, ReadUpTo::Messages(kept))) =
        decoded("message_read", &format!("{{\"messageIds\":[{}]}}", many.join(",")))
    else {
        panic!("a list of ids")
    };
    assert_eq!((kept.len(), of), (MAX_IDS, Destination::OfMessage(format!("{:024x}", 299).parse().unwrap())));
}

#[test]
fn what_cannot_be_meant_is_named() {
    for (argument, error) in [
        ("{}", "senderId, messageId or messageIds is missing"),
        ("7", "the payload must be an object"),
        ("\"x\"", "senderId must be a user's id"),
        ("{\"senderId\":{\"$gt\":\"\"}}", "senderId must be a string"),
        ("{\"partnerId\":\"x\"}", "partnerId must be a user's id"),
        ("{\"chatId\":\"x\"}", "chatId must be a chat's id"),
        ("{\"messageId\":\"x\"}", "messageId must be a message's id"),
        ("{\"messageIds\":\"x\"}", "messageIds must be a list of strings"),
        ("{\"messageIds\":[\"x\"]}", "messageIds must be a list of messages' ids"),
        ("{\"messageIds\":[7]}", "messageIds must be a list of strings"),
    ] {
        assert_eq!(decoded("markMessagesAsSeen", argument).unwrap_err(), error, "{argument}");
    }
    assert_eq!(decoded("newMessage", "{}").unwrap_err(), "unknown event");
}
