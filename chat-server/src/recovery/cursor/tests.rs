//! Tests of [`cursor`](super).

use std::collections::HashSet;

use super::*;

const LAST: u64 = 4;
const AT_ONCE: u64 = 2;

/// A server and one session, between any two steps.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    /// The last position in the log.
    committed: u64,
    /// The last position that the announcer has counted.
    counted: u64,
    /// The last position that the announcer has then passed to the session.
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
    /// All possible next states.
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
        // Changes are announced one at a time: first counted and then passed on.
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
            // The queue has no room for it.
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

/// Every order of events, for every position at which a session can begin.
#[test]
fn nothing_is_missed_and_nothing_told_twice_in_any_order() {
    let mut ends = 0;
    for began_at in 0..=2 {
        for announced_before in 0..=LAST {
            // The session begins at the last announced position, or long before it.
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
