//! Reports, from outside.

use super::*;
use crate::chat::{Chat, Registration};
use crate::command::{Actor, AddMember, CreateRoom, DeleteMessage, Destination, Request, SendMessage};
use crate::error::Error;
use crate::id::{ConversationId, MessageId, ReportId, UserId};
use crate::model::{Content, PasswordHash, UserKey, Visibility};

struct Scene {
    chat: Chat,
    people: Vec<UserId>,
    room: ConversationId,
}

const ANN: usize = 0;
const BOB: usize = 1;
const EVE: usize = 2;
const OPERATOR: usize = 3;

impl Scene {
    /// Ann is the admin of a room with bob.
    async fn new() -> Self {
        let chat = Chat::in_memory().with_operators(["Root".to_owned()]);
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve", "root"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let create =
            CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![people[BOB]] };
        let room = chat.execute(&Actor { user: people[ANN] }, create).await.unwrap().reply.id;
        Self { chat, people, room }
    }

    async fn by<R: Request>(&self, actor: usize, request: R) -> Result<R::Reply, Error> {
        let outcome = self.chat.execute(&Actor { user: self.people[actor] }, request).await?;
        Ok(outcome.reply)
    }

    async fn say(&self, by: usize, to: Destination, text: &str) -> MessageId {
        let send = SendMessage {
            to,
            content: Content::text(text),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        self.by(by, send).await.unwrap().message.id
    }

    async fn report(&self, by: usize, about: Reported) -> Result<Report, Error> {
        self.by(by, CreateReport { about, reason: ReportedAs::Abuse, text: "please look".into() }).await
    }

    async fn list(&self, by: usize, of: Queue, resolved: bool) -> Result<Vec<ReportId>, Error> {
        let mut all = Vec::new();
        for limit in [100, 1, 2] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = self.by(by, ListReports { of, resolved, after, limit }).await?;
                seen.extend(page.reports.iter().map(|report| report.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(all.is_empty() || all == seen);
            all = seen;
        }
        Ok(all)
    }
}

#[tokio::test]
async fn moderators_see_reports_of_messages_in_their_room() {
    let scene = Scene::new().await;
    let here = || Destination::Conversation(scene.room);
    let said = scene.say(ANN, here(), "be off").await;
    let report = scene.report(BOB, Reported::Message(said)).await.unwrap();
    assert_eq!((report.quote.as_str(), report.text.as_str()), ("be off", "please look"));
    assert_eq!((report.by, report.user), (scene.people[BOB], scene.people[ANN]));
    assert_eq!(scene.report(BOB, Reported::Message(said)).await.unwrap(), report, "it is the same");
    let queue = Queue::Room(scene.room);
    assert_eq!(scene.list(ANN, queue, false).await.unwrap(), [report.id]);
    for (who, of) in [(BOB, queue), (EVE, queue), (OPERATOR, queue), (ANN, Queue::Operators)] {
        assert!(scene.list(who, of, false).await.is_err(), "{who}");
        let resolve = ResolveReport { of, report: report.id, action: Resolution::Acted };
        assert!(scene.by(who, resolve).await.is_err(), "{who}");
    }
    // What was said is there after it was deleted.
    scene.by(ANN, DeleteMessage { message: said }).await.unwrap();
    let resolve = ResolveReport { of: queue, report: report.id, action: Resolution::Acted };
    let resolved = scene.by(ANN, resolve).await.unwrap();
    assert_eq!(resolved.quote, "be off");
    assert_eq!(resolved.resolved.map(|resolved| resolved.by), Some(scene.people[ANN]));
    assert_eq!(scene.by(ANN, resolve).await.unwrap(), resolved);
    assert_eq!(scene.list(ANN, queue, false).await.unwrap(), []);
    assert_eq!(scene.list(ANN, queue, true).await.unwrap(), [report.id]);
    let unknown = ResolveReport { report: ReportId::from_bytes([9; 12]), ..resolve };
    assert!(matches!(scene.by(ANN, unknown).await, Err(Error::ReportNotFound)));
    assert!(matches!(scene.report(BOB, Reported::Message(said)).await, Err(Error::MessageNotFound)));
}

#[tokio::test]
async fn operators_see_reports_of_people_and_of_direct_messages() {
    let scene = Scene::new().await;
    let to_bob = Destination::Person(UserKey::Id(scene.people[BOB]));
    let said = scene.say(EVE, to_bob, &"ä".repeat(Report::MAX_QUOTE_BYTES)).await;
    let of_message = scene.report(BOB, Reported::Message(said)).await.unwrap();
    assert!(of_message.quote.len() <= Report::MAX_QUOTE_BYTES && of_message.quote.ends_with('ä'));
    let of_eve = scene.report(ANN, Reported::User(scene.people[EVE])).await.unwrap();
    assert_eq!((of_eve.message, of_eve.quote.as_str()), (None, ""));
    let seen = scene.list(OPERATOR, Queue::Operators, false).await.unwrap();
    assert_eq!(seen, [of_message.id, of_eve.id]);
    for who in [ANN, BOB, EVE] {
        let refused = scene.list(who, Queue::Operators, false).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    }
    let resolve = ResolveReport { of: Queue::Operators, report: of_eve.id, action: Resolution::Dismissed };
    scene.by(OPERATOR, resolve).await.unwrap();
    assert_eq!(scene.list(OPERATOR, Queue::Operators, true).await.unwrap(), [of_eve.id]);
    // Without operators nobody sees them.
    let nobody = Scene { chat: Chat::new(scene.chat.store().clone()), ..scene };
    assert!(nobody.list(OPERATOR, Queue::Operators, false).await.is_err());
}

#[tokio::test]
async fn strangers_report_nothing_and_learn_nothing() {
    let scene = Scene::new().await;
    let said = scene.say(ANN, Destination::Conversation(scene.room), "x").await;
    let unknown = MessageId::from_bytes([9; 12]);
    for message in [said, unknown] {
        let refused = scene.report(EVE, Reported::Message(message)).await;
        assert!(matches!(refused, Err(Error::MessageNotFound)), "{refused:?}");
    }
    assert!(matches!(scene.report(ANN, Reported::Message(said)).await, Err(Error::Forbidden(_))));
    let oneself = Reported::User(scene.people[ANN]);
    assert!(matches!(scene.report(ANN, oneself).await, Err(Error::Forbidden(_))));
    let nobody = Reported::User(UserId::from_bytes([9; 12]));
    assert!(matches!(scene.report(ANN, nobody).await, Err(Error::UserNotFound)));
    let text = "x".repeat(Report::MAX_TEXT_BYTES + 1);
    let about = Reported::User(scene.people[EVE]);
    let long = scene.by(ANN, CreateReport { about, reason: ReportedAs::Other, text }).await;
    assert!(matches!(long, Err(Error::TooLarge { field: "note", .. })), "{long:?}");
    scene.by(EVE, AddMember { room: scene.room, user: scene.people[EVE] }).await.unwrap();
    assert!(scene.report(EVE, Reported::Message(said)).await.is_ok(), "she can read it now");
}
