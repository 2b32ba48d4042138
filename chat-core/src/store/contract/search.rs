//! Clauses of [`SearchIndex`](crate::store::SearchIndex).

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use super::parallel::{Spawn, all};
use super::support::{
    ODD_TEXTS, add, append, conversation_id, delete, direct, last_position, member, message_id, new_message,
    new_room, people, remove, restore, room, say,
};
use crate::codec::{Blob, Encoding};
use crate::id::{ConversationId, MessageId};
use crate::model::{Position, Role, Seq};
use crate::search::{Query, Terms, Wanted};
use crate::store::{Lookup, Match, Matches, NewMessage, SearchProgress, Store, StoreError};

/// Terms that would be operators, patterns or ends of strings if a database interpreted them.
const OPERATORS: &[&str] = &[
    "AND",
    "OR",
    "NOT",
    "NEAR(a b)",
    "a*",
    "*",
    "\"",
    "\"a\" *",
    "a:b",
    "terms:a",
    "^a",
    "-a",
    "+a",
    "(",
    "{a}",
    "'",
    "a b",
    " ",
    "\0",
    "a\0b",
    ".*",
    "a|b",
    "[a-z]",
    "\\",
    "^$",
    "$gt",
    "$where",
    "{\"$gt\":\"\"}",
    "_id",
    "é",
    "É",
    "e\u{301}",
    "ab",
    "abc",
    "b",
    "Ab",
    "_61",
    "1za",
    "zz",
    "\u{d7ff}",
    "\u{e000}",
    "\u{10ffff}",
    "\u{10ffff}a",
];

fn wanted(term: &str) -> Wanted {
    Wanted { term: term.into(), is_prefix: false }
}

fn begins(term: &str) -> Wanted {
    Wanted { term: term.into(), is_prefix: true }
}

fn query(wanted: impl IntoIterator<Item = Wanted>) -> Query {
    Query::of(wanted).expect("a query of the clauses is well formed")
}

fn words(text: &str) -> Terms {
    text.split(' ').collect()
}

async fn progress(store: &dyn Store, conversation: ConversationId) -> (u32, u32) {
    let progress = store.search_progress(conversation).await.expect("the progress must be readable");
    let SearchProgress { conversation: of, indexed, last } = progress.expect("the conversation is there");
    assert_eq!(of, conversation);
    (indexed.0, last.0)
}

/// Adds terms to an index that must end at `after`.
async fn index(store: &dyn Store, conversation: ConversationId, after: u32, terms: Vec<Terms>) {
    let end = Seq(after + terms.len() as u32);
    let indexed = store.index(conversation, Seq(after), terms).await;
    assert_eq!(indexed.expect("terms must be indexed"), Some(end));
}

/// Runs all futures at once, started in this order.
async fn together<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The messages that a store finds for a query, and whether there are more.
async fn look(
    store: &dyn Store,
    conversations: &[ConversationId],
    query: &Query,
    before: Option<Position>,
    limit: usize,
) -> Result<(Vec<Match>, bool), StoreError> {
    let lookup = Lookup::new(query.clone());
    let Matches { found, has_more, looked_at_from } =
        store.search(conversations, &lookup, before, limit).await?;
    assert_eq!(looked_at_from, None, "nothing bounds it");
    Ok((found, has_more))
}

/// All matches in these conversations, read in pages of this size.
async fn matches(
    store: &dyn Store,
    conversations: &[ConversationId],
    query: &Query,
    page: usize,
) -> Vec<Match> {
    let mut found: Vec<Match> = Vec::new();
    loop {
        let before = found.last().map(|last| last.position);
        let (more, has_more) =
            look(store, conversations, query, before, page).await.expect("a search must work");
        assert!(more.len() == page || (more.len() < page && !has_more), "only the last page is short");
        found.extend(more);
        if !has_more {
            break;
        }
    }
    assert!(found.is_sorted_by(|one, next| one.position > next.position), "the newest come first");
    found
}

async fn found(store: &dyn Store, conversation: ConversationId, wanted: &[Wanted]) -> Vec<MessageId> {
    let found = matches(store, &[conversation], &query(wanted.iter().cloned()), 100).await;
    found.into_iter().map(|found| found.message.id).collect()
}

/// A message is found by all of its terms and by a prefix of any of them, together with any other condition, and
/// other messages are not found.
pub async fn a_message_is_found_by_its_terms(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    for n in 1..=4 {
        say(&*store, n, here, ann).await;
    }
    index(
        &*store,
        here,
        0,
        vec![words("red apple pie"), words("red apricot"), Terms::default(), words("green apple")],
    )
    .await;
    let [apple, apricot, green] = [1, 2, 4].map(message_id);
    let cases: [(&[Wanted], &[MessageId]); 11] = [
        (&[wanted("apple")], &[green, apple]),
        (&[wanted("red")], &[apricot, apple]),
        (&[wanted("red"), wanted("apple")], &[apple]),
        (&[wanted("red"), wanted("apple"), wanted("green")], &[]),
        (&[begins("ap")], &[green, apricot, apple]),
        (&[begins("ap"), wanted("red")], &[apricot, apple]),
        (&[begins("ap"), begins("r"), begins("pi")], &[apple]),
        (&[begins("apple")], &[green, apple]),
        (&[begins("apples")], &[]),
        (&[wanted("ap")], &[]),
        (&[wanted("message")], &[]),
    ];
    for (asked, expected) in cases {
        assert_eq!(found(&*store, here, asked).await, expected, "{asked:?}");
    }
    let history = super::support::whole_history(&*store, here).await;
    let (all, has_more) = look(&*store, &[here], &query([begins("green")]), None, 9).await.unwrap();
    assert_eq!((all.len(), has_more), (1, false));
    assert_eq!(
        (&all[0].message, all[0].position),
        (&history[3], Position(5)),
        "matches come as they are kept"
    );
}

/// Only indexed messages are found, and the progress says which messages are indexed.
pub async fn only_indexed_messages_are_found(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let here = direct(&*store, 1, ann, bob).await;
    assert_eq!(progress(&*store, here).await, (0, 0));
    index(&*store, here, 0, vec![]).await;
    for n in 1..=5 {
        say(&*store, n, here, ann).await;
    }
    let before = last_position(&*store).await;
    assert_eq!(progress(&*store, here).await, (0, 5));
    for (n, indexed) in [(0, 2), (2, 3), (3, 5)] {
        assert_eq!(found(&*store, here, &[wanted("x")]).await.len(), n as usize);
        index(&*store, here, n, vec![words("x"); (indexed - n) as usize]).await;
        assert_eq!(progress(&*store, here).await, (indexed, 5));
    }
    assert_eq!(found(&*store, here, &[wanted("x")]).await, [5, 4, 3, 2, 1].map(message_id));
    assert_eq!(last_position(&*store).await, before, "the index is no change");
    let unknown = conversation_id(9);
    assert_eq!(store.search_progress(unknown).await.unwrap(), None);
    assert_eq!(store.index(unknown, Seq(0), vec![words("x")]).await.unwrap(), None);
    assert_eq!(look(&*store, &[unknown], &query([wanted("x")]), None, 9).await.unwrap(), (vec![], false));
    assert_eq!(look(&*store, &[], &query([wanted("x")]), None, 9).await.unwrap(), (vec![], false));
}

/// Every text is a term like any other.
pub async fn any_text_is_a_term(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    let texts: BTreeSet<&str> =
        OPERATORS.iter().chain(ODD_TEXTS).copied().filter(|text| !text.is_empty()).collect();
    let terms: Vec<Terms> = texts.iter().map(|text| Terms::from_iter([*text])).collect();
    for n in 0..texts.len() as u16 {
        say(&*store, n, here, ann).await;
    }
    index(&*store, here, 0, terms.clone()).await;
    for text in &texts {
        for asked in [wanted(text), begins(text)] {
            let asked = query([asked]);
            let expected = (0..).zip(&terms).filter(|(_, terms)| asked.finds(terms));
            let mut expected: Vec<_> = expected.map(|(n, _)| message_id(n)).collect();
            expected.reverse();
            let found = matches(&*store, &[here], &asked, 100).await;
            let found: Vec<_> = found.into_iter().map(|found| found.message.id).collect();
            assert_eq!(found, expected, "{text:?}, {asked:?}");
        }
    }
}

/// Deleted messages are left out and restored ones are found, and neither makes a page shorter.
pub async fn deleted_messages_are_not_found(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    for n in 1..=60 {
        say(&*store, n, here, ann).await;
    }
    index(&*store, here, 0, vec![words("x"); 60]).await;
    // Some single messages before the matches, and a long run of them.
    for n in (1..=60).filter(|n| n % 3 == 0 || (20..40).contains(n) || *n > 55) {
        delete(&*store, message_id(n)).await;
    }
    let expected =
        |kept: &dyn Fn(u16) -> bool| (1..=60).rev().filter(|n| kept(*n)).map(message_id).collect::<Vec<_>>();
    let is_kept = |n: u16| !(n.is_multiple_of(3) || (20..40).contains(&n) || n > 55);
    for page in [1, 2, 7, 100] {
        let found = matches(&*store, &[here], &query([wanted("x")]), page).await;
        let found: Vec<_> = found.into_iter().map(|found| found.message.id).collect();
        assert_eq!(found, expected(&is_kept), "pages of {page}");
    }
    for n in [60, 21, 22] {
        restore(&*store, message_id(n), 30_000).await;
    }
    let is_kept = |n: u16| is_kept(n) || [60, 21, 22].contains(&n);
    assert_eq!(found(&*store, here, &[wanted("x")]).await, expected(&is_kept));
}

/// Only the given conversations are searched, and the progress lists only conversations of which the user is a member
/// now.
pub async fn only_the_conversations_asked_for_are_searched(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let [one, two, three] =
        [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await, direct(&*store, 3, bob, bob).await];
    let silent = room(&*store, 4, ann).await;
    for n in 0..30 {
        let (conversation, who) = [(one, bob), (two, ann), (three, bob)][usize::from(n % 3)];
        say(&*store, n, conversation, who).await;
    }
    for conversation in [one, two, three] {
        index(&*store, conversation, 0, vec![words("x"); 10]).await;
    }
    let every =
        |which: &'static [u16]| (0..30).rev().filter(move |n| which.contains(&(n % 3))).map(message_id);
    let asked = query([wanted("x")]);
    let cases: [(&[ConversationId], &'static [u16]); 4] =
        [(&[two], &[1]), (&[one, three], &[0, 2]), (&[three, one, two], &[0, 1, 2]), (&[silent, two], &[1])];
    for (conversations, which) in cases {
        for page in [1, 4, 7, 100] {
            let found = matches(&*store, conversations, &asked, page).await;
            assert!(found.into_iter().map(|found| found.message.id).eq(every(which)), "{which:?} by {page}");
        }
    }

    let of = async |user| {
        let progress = store.search_progress_of(user).await.expect("the progress must be readable");
        let mut conversations: Vec<_> = progress.iter().map(|progress| progress.conversation).collect();
        conversations.sort_unstable();
        for progress in progress {
            assert_eq!(Some(progress), store.search_progress(progress.conversation).await.unwrap());
        }
        conversations
    };
    // The silent room has no messages.
    assert_eq!(of(ann).await, [one, two]);
    assert_eq!(of(bob).await, [one, three]);
    assert_eq!(of(cid).await, []);
    add(&*store, two, ann, cid, 5).await;
    remove(&*store, two, ann, ann, 6).await;
    assert_eq!((of(ann).await, of(cid).await), (vec![one], vec![two]));
}

/// Pages have no gaps and no duplicates while new messages arrive.
pub async fn pages_of_matches_do_not_shift(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let both = [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await];
    let mut next = 0_u16;
    let mut more = async |count: u16| {
        for n in next..next + count {
            let conversation = both[usize::from(n % 5 < 2)];
            say(&*store, n, conversation, ann).await;
            let (indexed, last) = progress(&*store, conversation).await;
            index(&*store, conversation, indexed, vec![words("x"); (last - indexed) as usize]).await;
        }
        next += count;
    };
    more(25).await;
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let (page, has_more) = look(&*store, &both, &query([wanted("x")]), before, 4).await.unwrap();
        before = page.last().map(|last| last.position);
        pages.extend(page.into_iter().map(|found| found.message.id));
        if !has_more {
            break;
        }
        more(3).await;
    }
    assert!(pages.into_iter().eq((0..25).rev().map(message_id)), "as it was when the first page was read");
    let nothing = look(&*store, &both, &query([wanted("x")]), Some(Position(1)), 4).await.unwrap();
    assert_eq!(nothing, (vec![], false));
    let (none, has_more) = look(&*store, &both, &query([wanted("x")]), None, 0).await.unwrap();
    assert_eq!((none, has_more), (vec![], true));
}

/// Terms of messages that are indexed already, or that do not follow the end of the index, change nothing.
pub async fn terms_are_only_added_at_the_end(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    for n in 1..=4 {
        say(&*store, n, here, ann).await;
    }
    index(&*store, here, 0, vec![words("x"); 2]).await;
    for after in [0, 1, 3, 4, u32::MAX] {
        let indexed = store.index(here, Seq(after), vec![words("y")]).await.unwrap();
        assert_eq!(indexed, Some(Seq(2)), "after {after}");
    }
    let too_many = store.index(here, Seq(2), vec![words("y"); 3]).await;
    assert!(matches!(too_many, Err(StoreError::Refused(_))), "{too_many:?}");
    assert_eq!(progress(&*store, here).await, (2, 4));
    assert_eq!(found(&*store, here, &[wanted("y")]).await, []);
    assert_eq!(found(&*store, here, &[wanted("x")]).await, [2, 1].map(message_id));
    index(&*store, here, 2, vec![words("y"); 2]).await;
    assert_eq!(found(&*store, here, &[wanted("y")]).await, [4, 3].map(message_id));
}

/// A text of the maximum length is found by its first and its last word.
pub async fn a_long_text_is_found(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    let mut text: String = (0..4_000).map(|n| format!("word{n} ")).collect();
    text.push_str(&"filling ".repeat(8_192 - text.len() / 8 - 1));
    text.push_str("last");
    let body = Blob { encoding: Encoding::Stored, bytes: text.clone().into_bytes() };
    append(&*store, NewMessage { body, ..new_message(1, here, ann) }).await;
    say(&*store, 2, here, ann).await;
    index(&*store, here, 0, vec![Terms::of(&text, None), words("other")]).await;
    for asked in [wanted("word0"), wanted("word3999"), begins("word399"), wanted("last")] {
        assert_eq!(found(&*store, here, &[asked]).await, [message_id(1)]);
    }
    assert_eq!(found(&*store, here, &[wanted("word4000")]).await, []);
}

/// A conversation with thousands of messages is indexed in parts and read in pages.
pub async fn a_long_conversation_is_found(store: Arc<dyn Store>) {
    const MESSAGES: u16 = 2_600;
    // Few, because other tests may share the database.
    const AT_ONCE: u16 = 200;
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    for first in (0..MESSAGES).step_by(AT_ONCE.into()) {
        let appends = (first..first + AT_ONCE).map(|n| append(&*store, new_message(n, here, ann)));
        together(appends).await;
        let terms = (first..first + AT_ONCE).map(|n| words(&format!("all n{n} m{}", n % 250))).collect();
        index(&*store, here, first.into(), terms).await;
    }
    assert_eq!(progress(&*store, here).await, (MESSAGES.into(), MESSAGES.into()));
    assert_eq!(found(&*store, here, &[wanted("n7")]).await, [message_id(7)]);
    let expected: Vec<_> = (0..=10).rev().map(|n| message_id(n * 250 + 99)).collect();
    assert_eq!(found(&*store, here, &[wanted("m99"), wanted("all")]).await, expected);
    let (mut before, mut n) = (None, MESSAGES);
    for _ in 0..3 {
        let (page, has_more) = look(&*store, &[here], &query([wanted("all")]), before, 100).await.unwrap();
        assert!(has_more && page.len() == 100);
        for found in &page {
            n -= 1;
            assert_eq!(found.message.id, message_id(n));
        }
        before = page.last().map(|last| last.position);
    }
    let (page, has_more) =
        look(&*store, &[here], &query([wanted("all")]), Some(Position(52)), 100).await.unwrap();
    assert_eq!((page.len(), has_more), (50, false), "the first ones");
}

/// A closed store returns no search results.
pub async fn a_closed_store_cannot_be_searched(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    say(&*store, 1, here, ann).await;
    store.close().await.unwrap();
    let outcomes = [
        store.search_progress(here).await.map(drop),
        store.search_progress_of(ann).await.map(drop),
        store.index(here, Seq(0), vec![words("x")]).await.map(drop),
        look(&*store, &[here], &query([wanted("x")]), None, 1).await.map(drop),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
}

/// When many tasks update the same index at once, each message is indexed once.
pub async fn an_index_is_extended_once_by_many(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const MESSAGES: u16 = 40;
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    for n in 0..MESSAGES {
        say(&*store, n, here, ann).await;
    }
    let indexers = (1..=6).map(|step: u32| {
        let store = store.clone();
        async move {
            let (mut at, mut asked) = (0, 0);
            while at < u32::from(MESSAGES) {
                let count = step.min(u32::from(MESSAGES) - at);
                // The terms show which task was first.
                let terms = (at..at + count).map(|n| words(&format!("x n{n} by{step}"))).collect();
                let end = store.index(here, Seq(at), terms).await.unwrap().unwrap().0;
                assert!(end > at, "somebody has gone on with it");
                at = end;
                asked += 1;
            }
            asked
        }
    });
    let asked = all(spawn, indexers).await;
    assert!(asked.iter().all(|asked| *asked > 0));
    assert_eq!(progress(&*store, here).await, (MESSAGES.into(), MESSAGES.into()));
    let everything: Vec<_> = (0..MESSAGES).rev().map(message_id).collect();
    assert_eq!(found(&*store, here, &[wanted("x")]).await, everything, "each once");
    let mut by_somebody = Vec::new();
    for step in 1..=6 {
        by_somebody.extend(found(&*store, here, &[wanted(&format!("by{step}"))]).await);
    }
    by_somebody.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(by_somebody, everything, "each with the terms of one");
    for n in 0..MESSAGES {
        assert_eq!(found(&*store, here, &[wanted(&format!("n{n}"))]).await, [message_id(n)]);
    }
}

/// After the store is opened again, the index still has its messages and continues at its end.
pub async fn an_index_is_there_again(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in super::durability::places(path) {
        let mut store = open(&path).await;
        let [ann] = people(&*store, [1]).await;
        let here = room(&*store, 1, ann).await;
        store.create_room(new_room(2, vec![member(ann, Role::Admin, 1)], ann)).await.unwrap().unwrap();
        for n in 0..6 {
            say(&*store, n, here, ann).await;
            index(&*store, here, n.into(), vec![words("x")]).await;
            if n % 2 == 0 {
                delete(&*store, message_id(n)).await;
            }
            say(&*store, 100 + n, conversation_id(2), ann).await;
            store = super::durability::again(store, end, &path, &open).await;
            let kept: Vec<_> = (0..=n).rev().filter(|n| n % 2 == 1).map(message_id).collect();
            assert_eq!(found(&*store, here, &[wanted("x")]).await, kept, "{end:?}");
            assert_eq!(progress(&*store, here).await, (u32::from(n) + 1, u32::from(n) + 1), "{end:?}");
            assert_eq!(progress(&*store, conversation_id(2)).await, (0, u32::from(n) + 1), "{end:?}");
        }
    }
}
