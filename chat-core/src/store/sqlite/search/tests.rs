//! What holds for [`search`](super).

use super::*;

fn token(key: i64, term: &str) -> String {
    let mut token = String::new();
    push_token(&mut token, key, term);
    token
}

#[test]
fn what_terms_are_made_of_stays_as_it_is() {
    assert_eq!(token(0x1f, "été2"), "1fzété2");
    assert_eq!(token(1, "a_\"*\0Z"), "1za_5f_22_2a_00_5a");
}
