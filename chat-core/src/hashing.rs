//! Hash maps for what a message looks up several times.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map whose keys the server has made (ids, and numbers computed from them), so that clients cannot choose keys that
/// collide. Its hashes cost a third of those of the standard library, which are made for keys that anybody may choose.
pub(crate) type IdMap<K, V> = HashMap<K, V, RandomState>;

/// The same for sets.
pub(crate) type IdSet<K> = HashSet<K, RandomState>;
