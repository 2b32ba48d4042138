//! What is wrong with a configuration.

/// The operator must mend the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable has a value that cannot be used.
    #[error("{variable}: {problem}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// There is no such variable, though it begins like ours.
    #[error("{name}: {problem}")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What may be meant.
        problem: String,
    },
    /// What is there does not fit together, and a start would do harm.
    #[error("{0}")]
    Unfit(String),
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] chat_core::store::StoreError),
}

impl ConfigError {
    /// Whether somebody must change something before another start can end differently. What fails for other reasons may
    /// be mended by itself: a database that is away, for instance.
    pub fn is_for_the_operator(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

pub(super) fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.into() }
}
