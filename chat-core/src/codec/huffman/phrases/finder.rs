//! Finds all phrases with which the rest of a body can begin.

/// The number of a node or a phrase: 16 bits for tables in use, 32 bits for the many candidates in training.
pub(super) trait Number: Copy + Eq + std::fmt::Debug {
    /// Means no node and no phrase.
    const NONE: Self;
    /// The number `at`, which is below [`MAX`](Self::MAX).
    fn new(at: usize) -> Self;
    fn get(self) -> usize;
    /// The maximum number of nodes: a multiple of 256, so that the 256 places of a base exist.
    const MAX: usize;
}

impl Number for u16 {
    const NONE: u16 = u16::MAX;
    const MAX: usize = 0xff00;

    fn new(at: usize) -> u16 {
        at as u16
    }

    #[inline]
    fn get(self) -> usize {
        self.into()
    }
}

#[cfg(feature = "train")]
impl Number for u32 {
    const NONE: u32 = u32::MAX;
    const MAX: usize = 0xff_ff00;

    fn new(at: usize) -> u32 {
        at as u32
    }

    #[inline]
    fn get(self) -> usize {
        self as usize
    }
}

/// A trie in two arrays, as J. Aoe describes in "An efficient digital search algorithm by using a
/// double-array structure" (1989): the child of a node for a byte is at `base ^ byte`, if the node
/// there names the parent.
#[derive(Debug)]
pub(super) struct Finder<N = u16> {
    nodes: Box<[Node<N>]>,
}

#[derive(Clone, Copy, Debug)]
struct Node<N> {
    base: N,
    parent: N,
    /// The phrase that ends here, if any.
    phrase: N,
}

impl<N: Number> Node<N> {
    fn free() -> Node<N> {
        Node { base: N::new(0), parent: N::NONE, phrase: N::NONE }
    }

    fn is_free(self) -> bool {
        self.parent == N::NONE
    }
}

const ROOT: usize = 0;

impl<N: Number> Finder<N> {
    /// Builds a finder for `phrases`, which must be distinct, sorted and not empty, with the number of each. Returns
    /// `None` if there are too many for this type of node numbers.
    pub(super) fn new(phrases: &[(&[u8], N)]) -> Option<Finder<N>> {
        let mut build = Build { nodes: vec![Node::free(); 256], first_free: 1 };
        build.nodes[ROOT].parent = N::new(ROOT);
        build.children(phrases, 0, ROOT)?;
        Some(Finder { nodes: build.nodes.into() })
    }

    /// Calls `found` with the length and the number of each phrase that is a prefix of `text`, the shortest first.
    #[inline]
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, N)) {
        let mut at = ROOT;
        for (index, &byte) in text.iter().enumerate() {
            let child = self.nodes[at].base.get() ^ usize::from(byte);
            // The root is not a child of any node, although it refers to itself as its parent.
            let Some(node) = self.nodes.get(child) else { return };
            if node.parent != N::new(at) || child == ROOT {
                return;
            }
            if node.phrase != N::NONE {
                found(index + 1, node.phrase);
            }
            at = child;
        }
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.nodes)
    }
}

struct Build<N> {
    nodes: Vec<Node<N>>,
    /// All nodes before this one are used.
    first_free: usize,
}

impl<N: Number> Build<N> {
    /// Places the children of `parent`, which stands for the first `depth` bytes of `phrases`.
    fn children(&mut self, phrases: &[(&[u8], N)], depth: usize, parent: usize) -> Option<()> {
        let mut phrases = phrases;
        if let Some((first, rest)) = phrases.split_first()
            && first.0.len() == depth
        {
            self.nodes[parent].phrase = first.1;
            phrases = rest;
        }
        if phrases.is_empty() {
            return Some(());
        }
        let groups: Vec<_> = phrases.chunk_by(|a, b| a.0.get(depth) == b.0.get(depth)).collect();
        let bytes: Vec<u8> = groups.iter().filter_map(|group| group[0].0.get(depth).copied()).collect();
        let base = self.place(&bytes)?;
        self.nodes[parent].base = N::new(base);
        for &byte in &bytes {
            self.nodes[base ^ usize::from(byte)].parent = N::new(parent);
        }
        for (group, byte) in groups.into_iter().zip(bytes) {
            self.children(group, depth + 1, base ^ usize::from(byte))?;
        }
        Some(())
    }

    /// A base at which the nodes for all of `bytes` are free.
    fn place(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.nodes.get(self.first_free).is_some_and(|node| !node.is_free()) {
            self.first_free += 1;
        }
        let (&first, others) = bytes.split_first()?;
        for at in self.first_free..N::MAX {
            let base = at ^ usize::from(first);
            // All 256 places of a base are in the same block of 256.
            if self.nodes.len() <= base {
                self.nodes.resize((base | 0xff) + 1, Node::free());
            }
            let is_free = |byte: &u8| self.nodes[base ^ usize::from(*byte)].is_free();
            if is_free(&first) && others.iter().all(is_free) {
                return Some(base);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
