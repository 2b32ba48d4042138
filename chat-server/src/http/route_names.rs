//! The names of the served routes, for display.

use std::sync::Arc;

use crate::dialect::Dialects;

/// Methods and paths of all served routes, for display.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteNames(Arc<[String]>);

impl RouteNames {
    pub(crate) fn of(dialects: &Dialects) -> Self {
        let mut names: Vec<String> = Vec::new();
        for name in dialects.routes().map(|(_, route)| route.shown()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(names.into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
