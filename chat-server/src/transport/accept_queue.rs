//! Accepted connections that are not served yet, by address.
//!
//! The kernel returns connections in order of arrival. If one address opens a thousand at once, a connection of any other
//! address is behind them, for example the next request of a long-polling client. To accept a connection takes a fraction
//! of the time that it takes to serve it. So all are accepted first, and addresses take turns to be served.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::address::one_customer;

/// An address with at most this many waiting connections need not wait for the others.
pub(super) const FEW: usize = 16;

/// The waiting connections.
pub(super) struct AcceptQueue<S> {
    of_address: HashMap<IpAddr, VecDeque<(S, SocketAddr)>>,
    /// The addresses in `of_address`, the next one first.
    order: VecDeque<IpAddr>,
    len: usize,
}

impl<S> Default for AcceptQueue<S> {
    fn default() -> Self {
        Self { of_address: HashMap::new(), order: VecDeque::new(), len: 0 }
    }
}

impl<S> AcceptQueue<S> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection. Returns how many of its address wait now.
    pub(super) fn push(&mut self, stream: S, peer: SocketAddr) -> usize {
        let address = one_customer(peer.ip());
        let waiting = self.of_address.entry(address).or_insert_with(|| {
            self.order.push_back(address);
            VecDeque::new()
        });
        waiting.push_back((stream, peer));
        self.len += 1;
        waiting.len()
    }

    /// Takes the oldest connection of the address whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(S, SocketAddr)> {
        let address = self.order.pop_front()?;
        let waiting = self.of_address.get_mut(&address)?;
        let taken = waiting.pop_front();
        match waiting.is_empty() {
            true => drop(self.of_address.remove(&address)),
            false => self.order.push_back(address),
        }
        self.len -= 1;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: u8, port: u16) -> SocketAddr {
        ([127, 0, 0, address], port).into()
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut queue = AcceptQueue::default();
        let waiting: Vec<_> = [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (2, 2)]
            .map(|(address, n)| queue.push((), peer(address, n)))
            .into();
        assert_eq!(waiting, [1, 2, 3, 1, 1, 2]);
        let mut served = Vec::new();
        while let Some(((), peer)) = queue.pop() {
            served.push((peer.to_string(), queue.len()));
        }
        let expected = ["1:1", "2:1", "3:1", "1:2", "2:2", "1:3"].map(|peer| format!("127.0.0.{peer}"));
        assert_eq!(served, expected.into_iter().zip((0..6).rev()).collect::<Vec<_>>());
        assert_eq!(queue.push((), peer(1, 9)), 1, "nothing is remembered of an address without connections");
    }

    #[test]
    fn a_customer_of_ipv6_is_one_address() {
        let mut queue = AcceptQueue::default();
        queue.push((), "[2001:db8::1]:1".parse().unwrap());
        assert_eq!(queue.push((), "[2001:db8::2]:1".parse().unwrap()), 2);
    }
}
