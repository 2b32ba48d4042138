//! Contract tests of login sessions: their refresh tokens are replaced once, and their end is effective at once.

use std::sync::Arc;
use std::time::Duration;

use super::parallel::{Spawn, all};
use super::support::{at, everything, people, whole_log};
use crate::clock::Timestamp;
use crate::id::{LoginSessionId, UserId};
use crate::model::{LoginSession, TokenHash, TokenNonce};
use crate::policy::{MAX_SESSIONS, REFRESH_GRACE, Refusal};
use crate::store::{
    Change, EndSessions, EndedSession, RefreshSession, Refreshed, StartSession, Store, Table, WhichSessions,
};

fn session_id(n: u8) -> LoginSessionId {
    LoginSessionId::from_bytes([n; 12])
}

/// A login at a moment, for an hour; its access token is valid for a minute.
fn starting(user: UserId, n: u8, since: Timestamp) -> StartSession {
    StartSession {
        user,
        session: LoginSession {
            id: session_id(n),
            device: format!("device {n}"),
            created_at: since,
            used_at: since,
            expires_at: since.after(Duration::from_secs(3_600)),
        },
        family: TokenHash([n; 32]),
        token: TokenHash([0; 32]),
        access_until: since.after(Duration::from_secs(60)),
    }
}

/// The use of a token of a session, to be replaced by another one.
fn using(user: UserId, n: u8, (token, next): (u8, u8), when: Timestamp) -> RefreshSession {
    RefreshSession {
        user,
        session: session_id(n),
        family: TokenHash([n; 32]),
        token: TokenHash([token; 32]),
        next: TokenHash([next; 32]),
        nonce: TokenNonce([next; 32]),
        expires_at: when.after(Duration::from_secs(3_600)),
        access_until: when.after(Duration::from_secs(60)),
        at: when,
    }
}

async fn start(store: &dyn Store, start: StartSession) -> Vec<EndedSession> {
    store.start_session(start).await.expect("the store must work").expect("it is allowed")
}

async fn refresh(store: &dyn Store, refresh: RefreshSession) -> Result<Refreshed, Refusal> {
    store.refresh_session(refresh).await.expect("the store must work")
}

async fn count(store: &dyn Store, user: UserId) -> usize {
    store.rows(Table::Sessions, user.as_bytes(), None, 1_000).await.unwrap().len()
}

/// A refresh token is replaced once. Used again, it ends its session, unless its successor is unused and it was replaced
/// a moment ago.
pub async fn a_refresh_token_is_replaced_once(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let (begin, grace) = (at(100_000), REFRESH_GRACE);
    assert_eq!(start(&*store, starting(ann, 1, begin)).await, []);
    assert_eq!(refresh(&*store, using(ann, 1, (0, 1), begin)).await, Ok(Refreshed::Replaced));
    let lost = refresh(&*store, using(ann, 1, (0, 9), begin.after(grace))).await;
    assert_eq!(lost, Ok(Refreshed::Repeated(TokenNonce([1; 32]))), "the same successor again");
    assert_eq!(refresh(&*store, using(ann, 1, (1, 2), begin.after(grace))).await, Ok(Refreshed::Replaced));
    let before = everything(&*store).await;
    let late = begin.after(Duration::from_secs(3_600) + grace);
    for refused in [
        using(bob, 1, (2, 3), begin),
        using(ann, 2, (2, 3), begin),
        RefreshSession { family: TokenHash([7; 32]), ..using(ann, 1, (2, 3), begin) },
        RefreshSession { family: TokenHash([7; 32]), ..using(ann, 1, (0, 3), begin) },
        using(ann, 1, (2, 3), late),
    ] {
        assert_eq!(refresh(&*store, refused).await, Err(Refusal::SessionNotFound), "{refused:?}");
    }
    assert_eq!(everything(&*store).await, before, "what is refused changes nothing");
    let when = begin.after(grace);
    let reused = refresh(&*store, using(ann, 1, (0, 3), when)).await;
    let Ok(Refreshed::Reused(ended)) = reused else { panic!("{reused:?}") };
    let until = when.after(Duration::from_secs(60));
    assert_eq!((ended.id, ended.until), (session_id(1), until), "the last access token counts");
    assert_eq!(store.revoked_tokens(when).await.unwrap(), [(session_id(1).revocation(ann), until)]);
    let told = Change::SessionEnded { user: ann, session: session_id(1), until };
    let last = whole_log(&*store).await.pop().expect("it is logged");
    assert_eq!((last.position, last.change), (ended.position, told));
    assert_eq!(refresh(&*store, using(ann, 1, (2, 3), when)).await, Err(Refusal::SessionNotFound));
    assert_eq!(count(&*store, ann).await, 0);
}

/// A session that ends is revoked, and its end is told to its owner and to nobody else.
pub async fn a_session_that_ends_is_revoked(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    for n in 1..=3 {
        start(&*store, starting(ann, n, at(1_000))).await;
    }
    start(&*store, starting(bob, 4, at(1_000))).await;
    let end = async |user, which| {
        store.end_sessions(EndSessions { user, which, at: at(2_000) }).await.expect("the store must work")
    };
    let before = everything(&*store).await;
    for n in [4, 9] {
        let refused = end(ann, WhichSessions::One(session_id(n))).await;
        assert_eq!(refused, Err(Refusal::SessionNotFound), "{n}");
    }
    assert_eq!(everything(&*store).await, before);
    let ended = end(ann, WhichSessions::One(session_id(1))).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(end(ann, WhichSessions::One(session_id(1))).await, Err(Refusal::SessionNotFound));
    let others = end(ann, WhichSessions::AllBut(Some(session_id(2)))).await.unwrap();
    assert_eq!(others.iter().map(|ended| ended.id).collect::<Vec<_>>(), [session_id(3)]);
    assert_eq!(end(ann, WhichSessions::AllBut(Some(session_id(2)))).await, Ok(vec![]));
    assert_eq!((count(&*store, ann).await, count(&*store, bob).await), (1, 1));
    let mut revoked = store.revoked_tokens(at(2_000)).await.unwrap();
    revoked.sort_unstable();
    let until = at(1_000).after(Duration::from_secs(60));
    assert_eq!(revoked, [1, 3].map(|n| (session_id(n).revocation(ann), until)));
    let begin = store.log_begin().await.unwrap();
    let told = async |user| store.changes_for(user, begin, 99).await.unwrap().unwrap().changes.len();
    assert_eq!((told(ann).await, told(bob).await), (2, 0));
    // One whose access tokens have expired needs no revocation, and an expired one has ended already.
    let later = at(3_000_000);
    let end = EndSessions { user: bob, which: WhichSessions::AllBut(None), at: later };
    assert_eq!(store.end_sessions(end).await.unwrap().map(|ended| ended.len()), Ok(1));
    assert_eq!(store.revoked_tokens(later).await.unwrap(), []);
    let late = at(9_000_000);
    let one = EndSessions { user: ann, which: WhichSessions::One(session_id(2)), at: late };
    assert_eq!(store.end_sessions(one).await.unwrap(), Err(Refusal::SessionNotFound));
    let rest = EndSessions { user: ann, which: WhichSessions::AllBut(None), at: late };
    assert_eq!((store.end_sessions(rest).await.unwrap(), count(&*store, ann).await), (Ok(vec![]), 0));
}

/// A person has only so many sessions: a new one ends the one that was unused for the longest time.
pub async fn only_so_many_sessions_last(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let most = u8::try_from(MAX_SESSIONS).unwrap();
    for n in 1..=most {
        let ended = start(&*store, starting(ann, n, at(i64::from(n)))).await;
        assert_eq!(ended, [], "{n}");
    }
    assert_eq!(refresh(&*store, using(ann, 1, (0, 1), at(100))).await, Ok(Refreshed::Replaced));
    let ended = start(&*store, starting(ann, most + 1, at(200))).await;
    assert_eq!(ended.iter().map(|ended| ended.id).collect::<Vec<_>>(), [session_id(2)]);
    assert_eq!(count(&*store, ann).await, MAX_SESSIONS);
    let ended = start(&*store, starting(ann, most + 2, at(9_000_000))).await;
    assert_eq!((ended, count(&*store, ann).await), (vec![], 1), "the others have expired");
    let nobody = starting(super::support::user_id(99), 1, at(1));
    assert_eq!(store.start_session(nobody).await.unwrap(), Err(Refusal::UserNotFound));
}

/// When a refresh token is used by many at once, one of them replaces it, and the others get the same successor.
pub async fn a_refresh_token_used_at_once_has_one_successor(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u8 = 16;
    let [ann] = people(&*store, [1]).await;
    start(&*store, starting(ann, 1, at(1_000))).await;
    let step = |n: u8| {
        let store = store.clone();
        async move { (n, refresh(&*store, using(ann, 1, (0, n), at(1_000))).await.unwrap()) }
    };
    let refreshed = all(spawn, (1..=EACH).map(step)).await;
    let winners: Vec<_> =
        refreshed.iter().filter(|(_, refreshed)| *refreshed == Refreshed::Replaced).collect();
    let [(winner, _)] = winners[..] else { panic!("{refreshed:?}") };
    let successor = Refreshed::Repeated(TokenNonce([*winner; 32]));
    assert!(refreshed.iter().all(|(n, refreshed)| n == winner || *refreshed == successor), "{refreshed:?}");
    // Later, those that use the old one all lose it for everybody.
    let step = |n: u8| {
        let (store, when) = (store.clone(), at(1_000).after(2 * REFRESH_GRACE));
        async move { refresh(&*store, using(ann, 1, (0, n), when)).await }
    };
    let refreshed = all(spawn, (1..=EACH).map(step)).await;
    let reused = refreshed.iter().filter(|refreshed| matches!(refreshed, Ok(Refreshed::Reused(_))));
    assert_eq!(reused.count(), 1, "it ends once");
    let refused = refreshed.iter().filter(|refreshed| **refreshed == Err(Refusal::SessionNotFound));
    assert_eq!(refused.count(), usize::from(EACH) - 1);
}
