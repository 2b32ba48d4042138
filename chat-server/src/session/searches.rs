//! The searches of one connection: one runs, and the latest waits. A client that searches while the user types does not
//! need the intermediate results, so a newer search replaces the one that waits.

/// The maximum number of replaced searches that wait for their answer.
const MAX_REPLACED: usize = 4_096;

/// Searches and the destinations of their answers. Of a replaced search only the destination is kept.
pub(super) struct Searches<T, A> {
    is_busy: bool,
    // Boxed, because every connection has this field and almost none of them searches.
    waiting: Option<Box<(T, A)>>,
    replaced: Vec<A>,
}

/// What happens to a new search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<T, A> {
    /// It must run now, and then whatever is due.
    Begin(T, A),
    /// It waits for the running search.
    Waits,
    /// Too many searches wait for an answer. It was rejected.
    TooMany,
}

/// What to do next, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<T, A> {
    /// These searches were replaced by newer ones, and their answers say so.
    pub(super) replaced: Vec<A>,
    /// The search to run. `None` when none waits: then the task ends.
    pub(super) search: Option<(T, A)>,
}

impl<T, A> Default for Searches<T, A> {
    fn default() -> Self {
        Self { is_busy: false, waiting: None, replaced: Vec::new() }
    }
}

impl<T, A> Searches<T, A> {
    /// Whether no search waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_busy
    }

    pub(super) fn ask(&mut self, search: T, answer: A) -> Asked<T, A> {
        if !std::mem::replace(&mut self.is_busy, true) {
            return Asked::Begin(search, answer);
        }
        if self.replaced.len() == MAX_REPLACED {
            return Asked::TooMany;
        }
        // Answers are sent in the order of requests, so this one waits until the running search is answered.
        let replaced = self.waiting.replace(Box::new((search, answer)));
        self.replaced.extend(replaced.map(|replaced| replaced.1));
        Asked::Waits
    }

    /// What is due after a search has finished.
    pub(super) fn next(&mut self) -> Due<T, A> {
        let search = self.waiting.take().map(|waiting| *waiting);
        self.is_busy = search.is_some();
        Due { replaced: std::mem::take(&mut self.replaced), search }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_made_and_the_latest_waits() {
        let mut searches = Searches::default();
        assert_eq!(searches.ask("a", 1), Asked::Begin("a", 1));
        let more = [("b", 2), ("c", 3), ("d", 4)];
        assert!(more.into_iter().all(|(search, answer)| searches.ask(search, answer) == Asked::Waits));
        assert_eq!(searches.next(), Due { replaced: vec![2, 3], search: Some(("d", 4)) });
        assert!(!searches.is_idle());
        assert_eq!(searches.next(), Due { replaced: vec![], search: None });
        assert!(searches.is_idle());
        assert_eq!(searches.ask("e", 5), Asked::Begin("e", 5));
    }

    #[test]
    fn so_many_wait_for_an_answer() {
        let mut searches = Searches::default();
        for n in 0..MAX_REPLACED + 2 {
            assert_ne!(searches.ask((), n), Asked::TooMany);
        }
        assert_eq!(searches.ask((), 0), Asked::TooMany);
        let due = searches.next();
        assert_eq!((due.replaced.len(), due.search), (MAX_REPLACED, Some(((), MAX_REPLACED + 1))));
    }
}
