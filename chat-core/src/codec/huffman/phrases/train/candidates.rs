//! Finds byte strings that occur often.

use super::super::model::MAX_PHRASE;

/// A byte string and its number of occurrences.
pub(super) type Candidate = (Vec<u8>, u64);

/// The minimum number of occurrences of a candidate.
const LEAST: usize = 6;

/// Finds the strings that occur often, the most promising first.
///
/// Strings of more than three bytes begin and end at character boundaries. Shorter ones may be parts of characters, so
/// that rare characters of a script can share their first bytes. Strings with a zero byte are excluded.
pub(super) fn find(messages: &[&[u8]]) -> Vec<Candidate> {
    // A number for each position in the messages: the bytes from there on, with zeros after the end.
    let mut places: Vec<u128> = Vec::with_capacity(messages.iter().map(|message| message.len()).sum());
    for message in messages {
        for at in 0..message.len() {
            let mut bytes = [0; MAX_PHRASE];
            let len = MAX_PHRASE.min(message.len() - at);
            bytes[..len].copy_from_slice(&message[at..at + len]);
            places.push(u128::from_be_bytes(bytes));
        }
    }
    places.sort_unstable();

    // After sorting, equal prefixes are neighbours.
    let mut found = Vec::new();
    for len in 2..=MAX_PHRASE {
        let shift = 8 * (MAX_PHRASE - len);
        for run in places.chunk_by(|a, b| a >> shift == b >> shift) {
            let string = &run[0].to_be_bytes()[..len];
            if run.len() >= LEAST && !string.contains(&0) && (len <= 3 || std::str::from_utf8(string).is_ok())
            {
                found.push((string.to_vec(), run.len() as u64));
            }
        }
    }
    // Each occurrence of a string saves about one byte less than its length.
    found.sort_by_cached_key(|(string, count)| {
        (std::cmp::Reverse((string.len() as u64 - 1) * count), string.clone())
    });
    found
}
