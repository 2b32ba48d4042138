//! How far a session has been told, and whether it is told of announcements at once.

use chat_core::model::Position;

/// See [`super`], "Without gap and overlap".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    /// Every change up to here has been told.
    told: Position,
    /// Announced changes are told at once; otherwise they are read from the log later.
    live: bool,
    /// It was live and could not be told everything.
    lags: bool,
}

/// Changes that a session has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    /// It has been told everything up to here.
    pub(crate) after: Position,
    /// Everything up to here was announced.
    pub(crate) up_to: Position,
}

impl Cursor {
    /// A session that is held and has been told everything up to `told`.
    pub(crate) fn held(told: Position) -> Self {
        Self { told, live: false, lags: false }
    }

    /// It has been told every change up to here.
    pub(crate) fn told(&self) -> Position {
        self.told
    }

    /// Whether it waits for room to be told what it has missed.
    pub(crate) fn lags(&self) -> bool {
        self.lags
    }

    /// Whether a change that is announced now must be told now. Then it is [passed](Self::pass), or the session is
    /// [held back](Self::hold).
    pub(crate) fn is_due(&self, position: Position) -> bool {
        self.live && position > self.told
    }

    /// A change that was due could not be told: it and what comes after it will be read from the log.
    pub(crate) fn hold(&mut self) {
        self.live = false;
        self.lags = true;
    }

    /// Everything up to `position` was told, or concerns others.
    pub(crate) fn pass(&mut self, position: Position) {
        self.told = self.told.max(position);
    }

    /// Goes live if nothing is missing of what was announced.
    pub(crate) fn go_live(&mut self, announced: Position) -> Result<(), Missing> {
        self.live = self.told >= announced;
        self.lags &= !self.live;
        if self.live { Ok(()) } else { Err(Missing { after: self.told, up_to: announced }) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LAST: u64 = 4;
    const AT_ONCE: u64 = 2;

    /// A server and one session, between any two steps.
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct World {
        /// What is in the log.
        committed: u64,
        /// What the announcer has counted.
        counted: u64,
        /// What the announcer has then handed to the session.
        handed: u64,
        cursor: Cursor,
        catching_up: CatchingUp,
        told: Vec<u64>,
    }

    #[derive(Clone, PartialEq, Eq, Hash)]
    enum CatchingUp {
        Asks,
        Reads { after: u64, up_to: u64 },
        Tells { changes: Vec<u64>, up_to: u64 },
        Over,
    }

    impl World {
        /// All that can happen next.
        fn steps(&self) -> Vec<World> {
            let mut next = Vec::new();
            let mut step = |change: &dyn Fn(&mut World)| {
                let mut world = self.clone();
                change(&mut world);
                next.push(world);
            };
            if self.committed < LAST {
                step(&|world| world.committed += 1);
            }
            // One change at a time is announced, first counted and then handed over.
            if self.counted < self.committed && self.counted == self.handed {
                step(&|world| world.counted += 1);
            }
            if self.handed < self.counted {
                step(&|world| {
                    world.handed += 1;
                    if world.cursor.is_due(Position(world.handed)) {
                        world.told.push(world.handed);
                        world.cursor.pass(Position(world.handed));
                    }
                });
                // There is no room for it.
                if self.cursor.is_due(Position(self.handed + 1)) {
                    step(&|world| {
                        world.handed += 1;
                        world.cursor.hold();
                        assert!(world.catching_up == CatchingUp::Over, "nobody else catches it up");
                        world.catching_up = CatchingUp::Asks;
                    });
                }
            }
            match &self.catching_up {
                CatchingUp::Asks => step(&|world| {
                    world.catching_up = match world.cursor.go_live(Position(world.counted)) {
                        Ok(()) => CatchingUp::Over,
                        Err(Missing { after, up_to }) => CatchingUp::Reads { after: after.0, up_to: up_to.0 },
                    };
                }),
                &CatchingUp::Reads { after, up_to } => step(&|world| {
                    let changes = (after + 1..=world.committed).take(AT_ONCE as usize).collect();
                    world.catching_up = CatchingUp::Tells { changes, up_to };
                }),
                CatchingUp::Tells { changes, up_to } => match changes.split_first() {
                    Some((first, rest)) => step(&|world| {
                        world.told.push(*first);
                        world.cursor.pass(Position(*first));
                        let rest = CatchingUp::Tells { changes: rest.to_vec(), up_to: *first };
                        world.catching_up = rest;
                    }),
                    None => step(&|world| {
                        world.cursor.pass(Position(*up_to));
                        world.catching_up = CatchingUp::Asks;
                    }),
                },
                CatchingUp::Over => {}
            }
            next
        }
    }

    /// Every order in which things can happen, for every position at which a session can begin.
    #[test]
    fn nothing_is_missed_and_nothing_told_twice_in_any_order() {
        let mut ends = 0;
        for began_at in 0..=2 {
            for announced_before in 0..=LAST {
                // The session has begun behind what was announced then, or long before.
                let world = World {
                    committed: announced_before,
                    counted: announced_before,
                    handed: announced_before,
                    cursor: Cursor::held(Position(began_at)),
                    catching_up: CatchingUp::Asks,
                    told: Vec::new(),
                };
                let (mut seen, mut open) = (HashSet::new(), vec![world]);
                while let Some(world) = open.pop() {
                    if !seen.insert(world.clone()) {
                        continue;
                    }
                    let steps = world.steps();
                    if steps.is_empty() {
                        let expected: Vec<u64> = (began_at + 1..=LAST).collect();
                        assert_eq!(world.told, expected, "begun at {began_at}");
                        ends += 1;
                    }
                    open.extend(steps);
                }
                assert!(seen.len() > 1);
            }
        }
        assert!(ends > 10, "{ends} ways to end");
    }
}
