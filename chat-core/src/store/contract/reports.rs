//! Reports.

use std::sync::Arc;

use super::support::{add, at, delete, direct, everything, message_id, people, remove, room, say, user_id};
use crate::id::{ConversationId, MessageId, ReportId, UserId};
use crate::policy::Refusal;
use crate::reports::{
    CloseReport, Closed, FileReport, Filed, Queue, Report, Reported, ReportedAs, Resolution, Resolved,
};
use crate::store::write::WriteOf as _;
use crate::store::{Store, Table};

fn report(n: u8, by: UserId, user: UserId, message: Option<(ConversationId, MessageId)>) -> Report {
    Report {
        id: ReportId::from_bytes([n; 12]),
        by,
        user,
        message,
        reason: ReportedAs::Abuse,
        text: "why".into(),
        quote: "what".into(),
        at: at(40_000),
        resolved: None,
    }
}

async fn file(store: &dyn Store, report: &Report, queue: Queue) -> Result<Filed, Refusal> {
    let written = store.write(FileReport { report: report.clone(), queue }.into()).await;
    FileReport::done(written.expect("the store must work")).expect("its own answer")
}

async fn close(store: &dyn Store, queue: Queue, report: &Report, by: UserId) -> Result<Closed, Refusal> {
    let about = report.message.map_or(Reported::User(report.user), |(_, id)| Reported::Message(id));
    let (id, reporter, action) = (report.id, report.by, Resolution::Acted);
    let close = CloseReport { queue, id, reporter, about, by, action, at: at(50_000) };
    CloseReport::done(store.write(close.into()).await.expect("the store must work")).expect("its own answer")
}

/// A report is filed once as long as it is open, and resolved once.
pub async fn a_report_is_filed_once_and_resolved_once(store: Arc<dyn Store>) {
    let store = &*store;
    let [ann, bob, cid] = people(store, [1, 2, 3]).await;
    let queue = Queue::Operators;
    let first = report(1, ann, bob, None);
    assert_eq!(file(store, &first, queue).await, Ok(Filed { id: first.id, is_new: true }));
    let before = everything(store).await;
    let again = report(2, ann, bob, None);
    assert_eq!(file(store, &again, queue).await, Ok(Filed { id: first.id, is_new: false }));
    for refused in [report(3, ann, ann, None), report(4, ann, user_id(99), None)] {
        assert!(file(store, &refused, queue).await.is_err(), "{refused:?}");
    }
    assert_eq!(close(store, queue, &again, cid).await, Err(Refusal::ReportNotFound));
    assert_eq!(everything(store).await, before, "nothing has changed");
    let others = report(5, cid, bob, None);
    assert_eq!(file(store, &others, queue).await, Ok(Filed { id: others.id, is_new: true }));

    let resolved = Some(Resolved { action: Resolution::Acted, by: cid, at: at(50_000) });
    let closed = Report { resolved, ..first.clone() };
    let expected = |is_new| Ok(Closed { report: closed.clone(), is_new });
    assert_eq!(close(store, queue, &first, cid).await, expected(true));
    assert_eq!(close(store, queue, &first, bob).await, expected(false), "it stays as it is");
    assert_eq!(file(store, &again, queue).await, Ok(Filed { id: again.id, is_new: true }), "it was closed");
    assert_eq!(store.rows(Table::Reports, &[], None, 9).await.unwrap().len(), 3);
    assert_eq!(store.rows(Table::OpenReports, ann.as_bytes(), None, 9).await.unwrap().len(), 1);
}

/// Members report messages of others that are not deleted, and those who may delete them resolve the reports.
pub async fn reports_in_a_room_are_for_its_moderators(store: Arc<dyn Store>) {
    let store = &*store;
    let [ann, bob, eve] = people(store, [1, 2, 3]).await;
    let club = room(store, 1, ann).await;
    add(store, club, ann, bob, 9).await;
    let elsewhere = direct(store, 2, ann, bob).await;
    let (said, own) = (say(store, 1, club, ann).await, say(store, 2, club, bob).await);
    let gone = say(store, 3, club, ann).await;
    delete(store, gone).await;
    let queue = Queue::Room(club);
    let before = everything(store).await;
    for (n, by, user, place) in [
        (1, eve, ann, (club, said)),
        (2, bob, bob, (club, own)),
        (3, bob, ann, (club, gone)),
        (4, bob, ann, (club, message_id(99))),
        (5, bob, ann, (elsewhere, said)),
        (6, bob, eve, (club, said)),
    ] {
        assert!(file(store, &report(n, by, user, Some(place)), queue).await.is_err(), "{n}");
    }
    assert_eq!(everything(store).await, before, "nothing has changed");
    let filed = report(7, bob, ann, Some((club, said)));
    assert_eq!(file(store, &filed, queue).await, Ok(Filed { id: filed.id, is_new: true }));
    assert!(matches!(close(store, queue, &filed, bob).await, Err(Refusal::Forbidden(_))));
    assert_eq!(close(store, queue, &filed, eve).await, Err(Refusal::ConversationNotFound));
    let other = Queue::Room(elsewhere);
    assert!(close(store, other, &filed, ann).await.is_err(), "it is in another queue");
    assert!(close(store, queue, &filed, ann).await.is_ok_and(|closed| closed.is_new));
    remove(store, club, ann, bob, 10).await;
    let late = report(8, bob, ann, Some((club, said)));
    assert_eq!(file(store, &late, queue).await, Err(Refusal::MessageNotFound), "he is no member any more");
}
