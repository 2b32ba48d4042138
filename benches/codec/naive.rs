//! Huffman as it is written by hand: a code of its own for each body, which goes before it.
//!
//! The blob is the number of letters less one, each letter with the length of its code, and the codes. Empty bodies
//! are not known.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::rivals::Rival;

pub(crate) struct Naive;

impl Rival for Naive {
    fn encode(&mut self, body: &[u8]) -> Vec<u8> {
        let letters = lengths(body);
        let mut codes = [(0_u64, 0_u8); 256];
        for (letter, length, code) in canonical(&letters) {
            codes[usize::from(letter)] = (code, length);
        }
        let mut blob = vec![(letters.len() - 1) as u8];
        blob.extend(letters.iter().flat_map(|&(letter, length)| [letter, length]));
        let (mut waiting, mut bits) = (0_u64, 0_u8);
        for &byte in body {
            let (code, length) = codes[usize::from(byte)];
            waiting = waiting << length | code;
            bits += length;
            while bits >= 8 {
                bits -= 8;
                blob.push((waiting >> bits) as u8);
            }
        }
        if bits > 0 {
            blob.push((waiting << (8 - bits)) as u8);
        }
        blob
    }

    fn decode(&mut self, blob: &[u8], len: usize) -> Vec<u8> {
        let (table, codes) = blob[1..].split_at(2 * (usize::from(blob[0]) + 1));
        let letters: Vec<_> = table.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let by_code = canonical(&letters);
        let mut body = Vec::with_capacity(len);
        let mut bits = codes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u64::from(byte >> bit & 1)));
        while body.len() < len {
            let (mut code, mut length) = (0, 0);
            let index = loop {
                code = code << 1 | bits.next().expect("a code is whole");
                length += 1;
                let place = |&(_, length, code): &(u8, u8, u64)| (length, code);
                if let Ok(index) = by_code.binary_search_by_key(&(length, code), place) {
                    break index;
                }
            };
            body.push(by_code[index].0);
        }
        body
    }
}

/// The letters of a body with the lengths of their codes, the shortest first.
fn lengths(body: &[u8]) -> Vec<(u8, u8)> {
    let mut counts = [0_u32; 256];
    body.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let mut heap: BinaryHeap<_> = (0..=u8::MAX)
        .filter(|&letter| counts[usize::from(letter)] > 0)
        .map(|letter| Reverse((counts[usize::from(letter)], vec![letter])))
        .collect();
    let mut depths = [u8::from(heap.len() == 1); 256];
    while heap.len() > 1
        && let (Some(Reverse((one, mut letters))), Some(Reverse((other, more)))) = (heap.pop(), heap.pop())
    {
        letters.extend(more);
        letters.iter().for_each(|&letter| depths[usize::from(letter)] += 1);
        heap.push(Reverse((one + other, letters)));
    }
    let mut lengths: Vec<_> =
        (0..=u8::MAX).filter(|&l| counts[usize::from(l)] > 0).map(|l| (l, depths[usize::from(l)])).collect();
    lengths.sort_by_key(|&(letter, length)| (length, letter));
    lengths
}

/// Letters, lengths and codes, which follow from the lengths.
fn canonical(letters: &[(u8, u8)]) -> Vec<(u8, u8, u64)> {
    let mut code = 0;
    let mut previous = letters.first().map_or(0, |letter| letter.1);
    let next = |&(letter, length): &(u8, u8)| {
        code <<= length - previous;
        previous = length;
        code += 1;
        (letter, length, code - 1)
    };
    letters.iter().map(next).collect()
}
