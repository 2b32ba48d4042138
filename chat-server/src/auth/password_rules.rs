//! Rules for new passwords. Existing passwords remain valid.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Maximum size of a new password in bytes. bcrypt uses the first 72.
pub const MAX_BYTES: usize = 1_024;

/// Minimum number of characters of a new password for a family of frontends without a minimum of its own.
pub const DEFAULT_MIN: usize = 8;

/// Very common passwords, in lower case: the top entries that published lists agree on, written down for this program.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// The operator's rules for new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// Minimum number of characters, if it is greater than the family's.
    pub min: Option<usize>,
    /// Whether very common passwords are refused.
    pub check_common: bool,
}

/// A password that passed the rules. Its debug output hides it.
pub struct NewPassword(String);

impl NewPassword {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// Why a password is refused, as the rest of a sentence that begins with the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// The password has fewer characters than this.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// The password is longer than [`MAX_BYTES`].
    #[error("must have at most 1,024 characters")]
    TooLong,
    /// bcrypt stops reading at a NUL.
    #[error("must not contain the character NUL")]
    Nul,
    /// The password is very common.
    #[error("is one of the commonest passwords; choose another one")]
    Common,
}

impl PasswordRules {
    /// Minimum number of characters of a new password; `of_family` is the minimum of the family's page.
    pub fn min(&self, of_family: usize) -> usize {
        // A password must not be empty, even without a minimum.
        self.min.unwrap_or(0).max(of_family).max(1)
    }

    /// Checks a new password; `of_family` is the minimum of the family's page.
    ///
    /// # Errors
    /// Returns the first rule that the password violates.
    pub fn check(&self, password: String, of_family: usize) -> Result<NewPassword, PasswordProblem> {
        let min = self.min(of_family);
        if password.len() > MAX_BYTES {
            return Err(PasswordProblem::TooLong);
        }
        if password.contains('\0') {
            return Err(PasswordProblem::Nul);
        }
        if password.chars().count() < min {
            return Err(PasswordProblem::TooShort(min));
        }
        if self.check_common && COMMON.contains(&*password.to_lowercase()) {
            return Err(PasswordProblem::Common);
        }
        Ok(NewPassword(password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PasswordRules = PasswordRules { min: None, check_common: true };

    fn refused(rules: PasswordRules, password: &str) -> Option<PasswordProblem> {
        rules.check(password.into(), 6).err()
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for common in
            ["123456", "password", "PassWord", "qwerty123", "iloveyou", "P@ssw0rd", "abc123", "letmein"]
        {
            assert_eq!(refused(RULES, common), Some(PasswordProblem::Common), "{common}");
            assert_eq!(refused(PasswordRules { check_common: false, ..RULES }, common), None, "{common}");
        }
        for good in ["correct horse", "пароль мой", "password-of-ann", "1234567 ", "tr0ub4dor"] {
            assert_eq!(refused(RULES, good), None, "{good}");
        }
    }

    #[test]
    fn the_list_is_in_the_form_in_which_it_is_asked() {
        let words: Vec<_> = include_str!("common_passwords.txt").lines().collect();
        assert!(words.len() > 1_000 && words.is_sorted(), "{}", words.len());
        for word in words {
            assert_eq!(word, word.trim().to_lowercase());
            assert!(word.chars().count() >= 6, "{word} is refused for its length everywhere");
        }
    }

    #[test]
    fn lengths_are_the_familys_unless_the_operator_asks_for_more() {
        for (min, least) in [(None, 6), (Some(4), 6), (Some(8), 8), (Some(20), 20)] {
            let rules = PasswordRules { min, ..RULES };
            let of = |characters: usize| "aéx日".chars().cycle().take(characters).collect::<String>();
            assert_eq!(refused(rules, &of(least - 1)), Some(PasswordProblem::TooShort(least)), "{min:?}");
            assert_eq!(refused(rules, &of(least)), None, "{min:?}");
        }
        assert_eq!(RULES.check(String::new(), 0).err(), Some(PasswordProblem::TooShort(1)));
        assert_eq!(refused(RULES, &"x".repeat(1_025)), Some(PasswordProblem::TooLong));
        assert_eq!(refused(RULES, &"x".repeat(1_024)), None);
        assert_eq!(refused(RULES, "correct\0horse"), Some(PasswordProblem::Nul));
        assert_eq!(format!("{:?}", RULES.check("correct horse".into(), 6).unwrap()), "NewPassword(…)");
    }
}
