//! Tests of [`range`](super).

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_goes_in_comes_out(numbers in prop::collection::vec(0_u32..64, 0..3000)) {
        let mut chances = [Chance::EVEN; 64];
        let mut writer = Writer::new();
        for &number in &numbers {
            writer.number(&mut chances, 6, number);
        }
        let packed = writer.finish();
        let mut chances = [Chance::EVEN; 64];
        let mut reader = Reader::new(&packed);
        for number in numbers {
            prop_assert_eq!(reader.number(&mut chances, 6, 0), number);
        }
    }
}

#[test]
fn what_is_certain_costs_nothing() {
    let mut chances = [Chance::EVEN; 16];
    let mut writer = Writer::new();
    for _ in 0..10_000 {
        writer.number(&mut chances, 4, 15);
    }
    assert!(writer.finish().len() < 60);
}
