//! Clauses of [`SearchIndex::search`](crate::store::SearchIndex::search) about conditions other than terms, and about
//! the limit on examined messages.

use std::sync::Arc;

use super::support::{add, append, at, delete, direct, message_id, new_message, people, room, say};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::Seq;
use crate::search::{ContentKind, Filter, Query, Terms, Wanted};
use crate::store::{Lookup, Match, Matches, NewMessage, Store};

fn word(term: &str) -> Wanted {
    Wanted { term: term.into(), is_prefix: false }
}

fn begins(term: &str) -> Wanted {
    Wanted { term: term.into(), is_prefix: true }
}

fn query(wanted: &[Wanted], unwanted: &[Wanted]) -> Query {
    let query = Query::of(wanted.iter().cloned()).and_then(|query| query.without(unwanted.iter().cloned()));
    query.expect("a query of the clauses is well formed")
}

async fn index(store: &dyn Store, conversation: ConversationId, terms: &[&str]) {
    let terms: Vec<Terms> = terms.iter().map(|text| text.split(' ').collect()).collect();
    let end = Seq(terms.len() as u32);
    assert_eq!(store.index(conversation, Seq(0), terms).await.expect("terms must be indexed"), Some(end));
}

/// All matches, read in pages of this size, and how often the limit ended a page.
async fn found(
    store: &dyn Store,
    conversations: &[ConversationId],
    lookup: &Lookup,
    page: usize,
) -> (Vec<MessageId>, usize) {
    let (mut all, mut before, mut bounds): (Vec<Match>, _, _) = (Vec::new(), None, 0);
    loop {
        let answer = store.search(conversations, lookup, before, page).await.expect("a search must work");
        let Matches { found, has_more, looked_at_from } = answer;
        assert!(found.len() <= page);
        if let Some(from) = looked_at_from {
            assert!(has_more, "there may be more before what was looked at");
            assert!(before.is_none_or(|before| from < before), "it goes on");
            assert!(found.iter().all(|found| found.position >= from), "all that is found was looked at");
            bounds += 1;
        }
        before = looked_at_from.or(found.last().map(|last| last.position)).or(before);
        let is_empty = found.is_empty();
        all.extend(found);
        if !has_more {
            break;
        }
        assert!(!is_empty || looked_at_from.is_some(), "a page with nothing goes on only for a bound");
    }
    assert!(all.is_sorted_by(|one, next| one.position > next.position), "the newest come first");
    (all.into_iter().map(|found| found.message.id).collect(), bounds)
}

async fn all(store: &dyn Store, conversations: &[ConversationId], lookup: &Lookup) -> Vec<MessageId> {
    let (whole, bounds) = found(store, conversations, lookup, 100).await;
    assert_eq!(bounds, 0, "nothing bounds it");
    for page in [1, 2, 3] {
        let (pages, _) = found(store, conversations, lookup, page).await;
        assert_eq!(pages, whole, "pages of {page}: {lookup:?}");
    }
    whole
}

/// A message with an excluded term is left out, whatever other terms it has.
pub async fn a_message_with_an_unwanted_term_is_left_out(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let here = room(&*store, 1, ann).await;
    let texts = ["red apple", "red apricot", "green apple", "red", "red apple pie", "NOT red", "\" red"];
    for n in 1..=texts.len() as u16 {
        say(&*store, n, here, ann).await;
    }
    index(&*store, here, &texts).await;
    let cases: [(&[Wanted], &[Wanted], &[u16]); 9] = [
        (&[word("red")], &[], &[7, 6, 5, 4, 2, 1]),
        (&[word("red")], &[word("apple")], &[7, 6, 4, 2]),
        (&[word("red")], &[begins("ap")], &[7, 6, 4]),
        (&[word("red")], &[word("apple"), word("apricot")], &[7, 6, 4]),
        (&[word("red"), begins("ap")], &[word("pie")], &[2, 1]),
        (&[begins("ap")], &[word("red"), word("green")], &[]),
        (&[word("red")], &[word("red")], &[]),
        (&[word("red")], &[word("ap"), word("nowhere")], &[7, 6, 5, 4, 2, 1]),
        (&[word("red")], &[word("NOT"), word("\"")], &[5, 4, 2, 1]),
    ];
    for (wanted, unwanted, expected) in cases {
        let lookup = Lookup::new(query(wanted, unwanted));
        let expected: Vec<_> = expected.iter().copied().map(message_id).collect();
        assert_eq!(all(&*store, &[here], &lookup).await, expected, "{wanted:?} without {unwanted:?}");
    }
}

/// Messages of many kinds, senders and times in two conversations. All have the term `x`.
async fn assorted(store: &dyn Store) -> ([UserId; 2], [ConversationId; 2]) {
    let [ann, bob] = people(store, [1, 2]).await;
    let both = [direct(store, 1, ann, bob).await, room(store, 2, ann).await];
    add(store, both[1], ann, bob, 1).await;
    for n in 0..24 {
        let (sender, conversation) = ([ann, bob][usize::from(n % 2)], both[usize::from(n % 3 == 0)]);
        let file_name = (n % 4 == 1).then(|| "a.txt".to_owned());
        let image = (n % 4 == 1 || n % 4 == 2).then(|| "/a.png".to_owned());
        let moment = match n {
            0 => Timestamp::from_millis(i64::MIN),
            23 => Timestamp::from_millis(i64::MAX),
            // The clocks of nodes differ: a later message may have an earlier time.
            n => at(10_000 + i64::from(n ^ 1)),
        };
        let new = NewMessage { file_name, image, at: moment, ..new_message(n, conversation, sender) };
        append(store, new).await;
    }
    for (conversation, count) in both.into_iter().zip([16, 8]) {
        index(store, conversation, &vec!["x"; count]).await;
    }
    ([ann, bob], both)
}

/// Exactly the messages that pass the filter are found, with terms and without.
pub async fn a_filter_leaves_messages_out(store: Arc<dyn Store>) {
    let ([ann, bob], both) = assorted(&*store).await;
    delete(&*store, message_id(13)).await;
    let kind = |n: u16| match n % 4 {
        1 => ContentKind::File,
        2 => ContentKind::Image,
        _ => ContentKind::Text,
    };
    let moment = |n: u16| match n {
        0 => Timestamp::from_millis(i64::MIN),
        23 => Timestamp::from_millis(i64::MAX),
        n => at(10_000 + i64::from(n ^ 1)),
    };
    let mut filters = vec![Filter::default()];
    for author in [None, Some(ann), Some(bob), Some(super::support::user_id(9))] {
        for kinds in [vec![], vec![ContentKind::Image], vec![ContentKind::Text, ContentKind::File]] {
            for (from, until) in [
                (None, None),
                (Some(at(10_007)), None),
                (None, Some(at(10_007))),
                (Some(at(10_005)), Some(at(10_015))),
                (Some(Timestamp::from_millis(i64::MAX)), None),
                (None, Some(Timestamp::from_millis(i64::MAX))),
                (Some(Timestamp::from_millis(i64::MIN)), None),
                (None, Some(Timestamp::from_millis(i64::MIN))),
            ] {
                filters.push(Filter { author, kinds: kinds.clone(), from, until });
            }
        }
    }
    for filter in filters {
        let admitted =
            |n: &u16| *n != 13 && filter.admits([ann, bob][usize::from(n % 2)], kind(*n), moment(*n));
        let expected: Vec<_> = (0..24).rev().filter(admitted).map(message_id).collect();
        for asked in [query(&[word("x")], &[]), Query::everything()] {
            let lookup = Lookup { filter: filter.clone(), ..Lookup::new(asked) };
            assert_eq!(all(&*store, &both, &lookup).await, expected, "{lookup:?}");
        }
        let nothing = Lookup { filter, ..Lookup::new(query(&[word("y")], &[])) };
        assert_eq!(all(&*store, &both, &nothing).await, []);
    }
}

/// A query without terms also finds messages that are not indexed, and only in the given conversations.
pub async fn everything_needs_no_index(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [one, two] = [room(&*store, 1, ann).await, room(&*store, 2, ann).await];
    let silent = room(&*store, 3, ann).await;
    for room in [one, two] {
        add(&*store, room, ann, bob, 1).await;
    }
    for n in 0..12 {
        say(&*store, n, [one, two][usize::from(n % 2)], [ann, bob][usize::from(n % 3 == 0)]).await;
    }
    index(&*store, one, &["x"; 3]).await;
    delete(&*store, message_id(4)).await;
    let everything = Lookup::new(Query::everything());
    let expected = |of: &dyn Fn(u16) -> bool| {
        (0..12).rev().filter(|n| *n != 4 && of(*n)).map(message_id).collect::<Vec<_>>()
    };
    assert_eq!(all(&*store, &[one, silent, two], &everything).await, expected(&|_| true));
    assert_eq!(all(&*store, &[two], &everything).await, expected(&|n| n % 2 == 1));
    assert_eq!(all(&*store, &[silent], &everything).await, []);
    let of_bob = Filter { author: Some(bob), ..Filter::default() };
    let of_bob = Lookup { filter: of_bob, ..everything };
    assert_eq!(all(&*store, &[one], &of_bob).await, expected(&|n| n % 6 == 0));
}

/// A search that examines many messages and finds few ends early. It says where, and the next page continues there.
pub async fn a_search_is_bounded(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let both = [room(&*store, 1, ann).await, room(&*store, 2, ann).await];
    for room in both {
        add(&*store, room, ann, bob, 1).await;
    }
    // Bob sends few messages. Ann sends many, mostly in the second room.
    let of_bob = |n: u16| n % 13 == 3;
    for n in 0..60 {
        say(&*store, n, both[usize::from(n % 5 > 0)], if of_bob(n) { bob } else { ann }).await;
    }
    index(&*store, both[0], &["x"; 12]).await;
    index(&*store, both[1], &["x"; 48]).await;
    delete(&*store, message_id(16)).await;
    let expected: Vec<_> = (0..60).rev().filter(|n| of_bob(*n) && *n != 16).map(message_id).collect();
    let filter = Filter { author: Some(bob), ..Filter::default() };
    for asked in [query(&[word("x")], &[]), Query::everything()] {
        for max_looked_at in [0, 7, 1_000] {
            let lookup = Lookup { query: asked.clone(), filter: filter.clone(), max_looked_at };
            for page in [1, 100] {
                let (pages, bounds) = found(&*store, &both, &lookup, page).await;
                assert_eq!(pages, expected, "{max_looked_at}, pages of {page}");
                assert_eq!(bounds > 0, max_looked_at < 60, "{max_looked_at}, pages of {page}");
                assert!(bounds <= 60 / max_looked_at.max(1) * 2 + 2, "{bounds} of {max_looked_at}");
            }
        }
    }
}

/// The indexed messages with a term are counted in the given conversations, up to a limit.
pub async fn messages_with_a_term_are_counted(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let both = [room(&*store, 1, ann).await, room(&*store, 2, ann).await];
    for n in 0..8 {
        say(&*store, n, both[usize::from(n % 2)], ann).await;
    }
    index(&*store, both[0], &["red", "red", "red apple", "apples apple"]).await;
    index(&*store, both[1], &["red", "apple", "* red"]).await;
    delete(&*store, message_id(0)).await;
    let terms = [word("red"), word("apple"), begins("apple"), word("nowhere"), word("*"), begins("r")];
    let unknown = super::support::conversation_id(9);
    let cases: [(&[ConversationId], u64, [u64; 6]); 6] = [
        (&both, u64::MAX, [5, 3, 3, 0, 1, 5]),
        (&both[..1], 100, [3, 2, 2, 0, 0, 3]),
        (&[both[1], unknown], 100, [2, 1, 1, 0, 1, 2]),
        (&both, 2, [2, 2, 2, 0, 1, 2]),
        (&both, 0, [0; 6]),
        (&[], 100, [0; 6]),
    ];
    for (conversations, at_most, expected) in cases {
        let counts = store.count_terms(conversations, &terms, at_most).await.expect("terms must be counted");
        assert_eq!(counts, expected, "in {} up to {at_most}", conversations.len());
    }
    assert_eq!(store.count_terms(&both, &[], 9).await.unwrap(), []);
}
