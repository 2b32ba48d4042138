//! Tests of [`rank`](super).

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_rare_frequent_in_a_message_and_short_comes_first() {
    let weights = Weights::new(1_000, &[vec![500], vec![3]], 10);
    let score = |counts: [u32; 2], words| weights.score(&counts, words);
    assert!(score([1, 2], 10) > score([2, 1], 10), "the rare word weighs more");
    assert!(score([1, 2], 10) > score([1, 1], 10), "oftener is better");
    assert!(score([1, 1], 5) > score([1, 1], 10), "shorter is better");
    let more = |count| score([0, count + 1], 10) - score([0, count], 10);
    let frequent = Weights::new(10_000, &[vec![10_000]], 10);
    let has_more = frequent.score(&[2], 10) > frequent.score(&[1], 10) + 1_000;
    assert!(has_more, "also where all messages have it");
    assert!(more(1) > more(2) && more(2) > more(10), "and the more there is, the less more of it matters");
}

/// Computed by hand: ln(1 + (10 - 2 + 0.5) / (2 + 0.5)) is 1.481605, and two occurrences at the average length give
/// 1.481605 * 2 * 2.2 / 3.2.
#[test]
fn it_is_the_function_of_the_paper() {
    let weights = Weights::new(10, &[vec![2]], 8);
    assert_eq!(weights.weights, [1481605]);
    assert_eq!(weights.score(&[2], 8), 2037206875);
    // It is three times as long: K is 1.2 * (0.25 + 0.75 * 3).
    assert_eq!(weights.score(&[2], 24), 1303812400);
    // A phrase has the sum of the weights of its words, and a word that no message contains has the maximum weight.
    assert_eq!(Weights::new(10, &[vec![2, 2], vec![0]], 8).weights, [2963209, 3091042]);
    assert_eq!(Weights::new(0, &[vec![9]], 0).score(&[0], 0), 0);
}

#[test]
fn only_what_was_told_is_a_cursor() {
    for text in [
        "",
        "1",
        "1.2.3.4.5",
        "1.2.3.4.5.",
        "1.2.3.4.5.-6",
        "+1.2.3.4.5.6",
        "1.2.3.4.5.6 ",
        "a.2.3.4.5.6",
        "1.2.3.4.5.4294967296",
        "18446744073709551616.2.3.4.5.6",
    ] {
        assert_eq!(text.parse::<RankedCursor>(), Err(NoCursor), "{text}");
    }
    let long = "1.2.3.4.5".to_owned() + &".6".repeat(32);
    assert_eq!(long.parse::<RankedCursor>().unwrap().to_string(), long);
    assert!((long + ".6").parse::<RankedCursor>().is_err());
}

proptest! {
    #[test]
    fn a_cursor_comes_back_as_it_was(
        numbers in any::<(u64, u64, u64, u64)>(),
        average_words in 1..u32::MAX,
        weights in prop::collection::vec(any::<u32>(), 1..32),
    ) {
        let (before, from, score, position) = numbers;
        let cursor = RankedCursor {
            before: Position(before),
            from: Position(from),
            last: Rank { score, position: Position(position) },
            weights: Weights { weights, average_words },
        };
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn any_cursor_scores_without_a_panic(text in "[0-9.]{0,40}", counts in prop::collection::vec(any::<u32>(), 0..4), words in any::<usize>()) {
        if let Ok(cursor) = text.parse::<RankedCursor>() {
            cursor.weights.score(&counts, words);
        }
    }
}
