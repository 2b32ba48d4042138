//! Errors in the configuration.

/// The operator must correct the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The value of a variable is invalid.
    #[error("{variable}: {problem}")]
    Variable {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong with the value.
        problem: String,
    },
    /// The variable is unknown, although it has our prefix.
    #[error("{name}: {problem}")]
    UnknownVariable {
        /// The name of the variable.
        name: String,
        /// What is wrong, and which name may be meant.
        problem: String,
    },
    /// The existing data does not fit together, and a start would do damage.
    #[error("{0}")]
    Unfit(String),
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] chat_core::store::StoreError),
}

impl ConfigError {
    /// Whether the operator must change something before another start can succeed. Other errors may disappear without
    /// that, for instance an unavailable database.
    pub fn is_for_the_operator(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

pub(super) fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.into() }
}
