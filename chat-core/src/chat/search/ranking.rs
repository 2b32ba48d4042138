//! The most relevant first: what is found is read, and put into order here, since the index does not know how often a
//! word is in a message.

use super::finding::{READ_AT_ONCE, Reading, Seen, Sought};
use crate::chat::Chat;
use crate::chat::decoding::Budget as Room;
use crate::error::Error;
use crate::model::Position;
use crate::search::{Found, Rank, RankedCursor, Tokens, Wanted, Weights};
use crate::store::{Match, SearchProgress, StoredMessage};

/// How rare words are is seen in so many conversations: those in which something was said lately.
const SAMPLE: usize = 32;
/// Counting ends here: what so many messages have is frequent.
const MAX_COUNTED: u64 = 10_000;

/// A message that is put into order.
struct Candidate {
    position: Position,
    message: StoredMessage,
    /// How often it has each thing that is looked for.
    counts: Vec<u32>,
    words: usize,
}

/// Those of which the order is made.
struct Candidates {
    all: Vec<Candidate>,
    /// Nothing before this place was looked at, though there may be more; 0 when all there is was looked at.
    from: Position,
}

impl Chat {
    /// The most relevant messages of those before a position; the next ones behind a cursor.
    pub(super) async fn find_best(
        &self,
        sought: &Sought,
        progress: &[SearchProgress],
        cursor: Option<&RankedCursor>,
        before: Option<Position>,
    ) -> Result<Found, Error> {
        let wrong = || Error::Invalid {
            field: "before",
            problem: "must be the place where a page of this search ended",
        };
        if cursor.is_some_and(|cursor| cursor.weights.len() != sought.lookup.query.sought().len()) {
            return Err(wrong());
        }
        let before = cursor.map_or(before, |cursor| Some(cursor.before));
        let candidates = self.candidates(sought, before, cursor.map(|cursor| cursor.from)).await?;
        let Some(newest) = candidates.all.first().map(|newest| newest.position) else {
            let bounded = candidates.from > Position(0);
            return Ok(Found { bounded, ..Found::default() });
        };
        let (weights, before) = match cursor {
            Some(cursor) => (cursor.weights.clone(), cursor.before),
            None => {
                let weights = self.weights(sought, progress, &candidates.all).await?;
                (weights, Position(newest.0.saturating_add(1)))
            }
        };
        let rank = |candidate: &Candidate| Rank {
            score: weights.score(&candidate.counts, candidate.words),
            position: candidate.position,
        };
        let mut ranked: Vec<_> = candidates.all.into_iter().map(|one| (rank(&one), one.message)).collect();
        ranked.retain(|(rank, _)| cursor.is_none_or(|cursor| *rank < cursor.last));
        ranked.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));

        let mut found = Found { bounded: candidates.from > Position(0), ..Found::default() };
        let mut room = Room::new(self.limits.answer_bytes);
        let (mut last, mut is_cut) = (None, false);
        for (rank, message) in ranked {
            if found.messages.len() == sought.limit {
                is_cut = true;
                break;
            }
            let id = message.id;
            match self.see(sought, message, &mut room).await {
                Ok(Seen::Full) => {
                    is_cut = true;
                    break;
                }
                Ok(Seen::Shown(view)) => found.messages.push(*view),
                Ok(Seen::Hidden) => {}
                Err(error) => self.pass_over(id, error)?,
            }
            last = Some(rank);
        }
        let next = |last| RankedCursor { before, from: candidates.from, last, weights };
        found.next_ranked = last.filter(|_| is_cut).map(next);
        Ok(found)
    }

    /// What is found before a position, from another one on, as far as a search reads.
    async fn candidates(
        &self,
        sought: &Sought,
        before: Option<Position>,
        from: Option<Position>,
    ) -> Result<Candidates, Error> {
        let query = &sought.lookup.query;
        let (mut reading, mut at) = (Reading::new(), before);
        // Later pages look no farther back than the first.
        let floor = from.unwrap_or_default();
        let mut all = Vec::new();
        let end = |all, from: Option<Position>| Ok(Candidates { all, from: from.unwrap_or(floor) });
        loop {
            let count = READ_AT_ONCE.min(reading.messages);
            let page = self.store.search(&sought.conversations, &sought.lookup, at, count).await?;
            for Match { position, message } in page.found {
                if position < floor {
                    return end(all, None);
                }
                let words = match self.words_of(&message, &mut reading).await {
                    Ok(Some(words)) => words,
                    Ok(None) => return end(all, at),
                    Err(error) => {
                        self.pass_over(message.id, error)?;
                        at = Some(position);
                        continue;
                    }
                };
                at = Some(position);
                let parts = words.parts();
                if !query.is_met_by(&parts) {
                    continue;
                }
                let counts = query.patterns().map(|pattern| {
                    let places = parts.iter().map(|tokens| pattern.places(tokens).count());
                    u32::try_from(places.sum::<usize>()).unwrap_or(u32::MAX)
                });
                let counts = counts.collect();
                let words = parts.iter().map(|tokens: &&Tokens| tokens.len()).sum();
                all.push(Candidate { position, message, counts, words });
            }
            if page.looked_at_from.is_some() {
                return end(all, page.looked_at_from.max(from));
            }
            if !page.has_more {
                return end(all, None);
            }
            if reading.messages == 0 {
                return end(all, at);
            }
        }
    }

    /// What the order goes by: how rare the words are, and how long the messages.
    async fn weights(
        &self,
        sought: &Sought,
        progress: &[SearchProgress],
        candidates: &[Candidate],
    ) -> Result<Weights, Error> {
        let sample = &progress[..progress.len().min(SAMPLE)];
        let conversations: Vec<_> = sample.iter().map(|progress| progress.conversation).collect();
        let things = sought.lookup.query.sought();
        let words: Vec<Wanted> = things.iter().flat_map(|(_, words)| words).cloned().collect();
        let counts = self.store.count_terms(&conversations, &words, MAX_COUNTED).await?;
        let mut counts = counts.into_iter();
        let counts: Vec<Vec<u64>> =
            things.iter().map(|(_, words)| counts.by_ref().take(words.len()).collect()).collect();
        // What was indexed for this search, too.
        let messages = sample.iter().map(|progress| u64::from(progress.last.0)).sum();
        let all_words: usize = candidates.iter().map(|candidate| candidate.words).sum();
        let average = all_words / candidates.len().max(1);
        Ok(Weights::new(messages, &counts, u32::try_from(average).unwrap_or(u32::MAX)))
    }
}
