//! Message bodies carry their own bookkeeping, so any dialect that returns the body can be measured:
//! `~lg:<run>:<flow>:<seq>:<t_us>~` followed by English-like padding up to the wanted length.
//! The padding follows from `seq`, so a receiver can check the whole body byte for byte.
const TEXT: &str = "the quick brown fox jumps over the lazy dog while the team talks about lunch and the next \
release of the chat server, which should be faster than the last one and use far less memory than before, \
says anna; see you at nine tomorrow in the usual room, and bring the notes from the meeting on tuesday please ";
/// What every body begins with.
pub const MARK: &str = "~lg:";

/// The bookkeeping of one message: run, flow, number within the flow, and the time of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub run: u32,
    pub flow: u32,
    pub seq: u64,
    pub t_us: u64,
}

/// Appends a body of `len` bytes (or more when the head alone is longer).
pub fn write(out: &mut String, h: Head, len: usize) {
    use std::fmt::Write;
    let start = out.len();
    let _ = write!(out, "{MARK}{}:{}:{}:{}~", h.run, h.flow, h.seq, h.t_us);
    let mut need = len.saturating_sub(out.len() - start);
    let mut at = (h.seq as usize * 31) % TEXT.len();
    while need > 0 {
        let n = need.min(TEXT.len() - at);
        out.push_str(&TEXT[at..at + n]);
        need -= n;
        at = 0;
    }
    // Some dialects trim what is sent.
    if out.ends_with(' ') {
        out.pop();
        out.push('.');
    }
}

/// Finds and reads the mark anywhere in a frame.
pub fn find(frame: &str) -> Option<Head> {
    let i = memchr::memmem::find(frame.as_bytes(), MARK.as_bytes())? + MARK.len();
    let mut v = [0u64; 4];
    let (mut k, mut any) = (0, false);
    for b in frame.as_bytes()[i..].iter() {
        match b {
            b'0'..=b'9' => {
                v[k] = v[k].checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
                any = true;
            }
            b':' if any && k < 3 => (k, any) = (k + 1, false),
            b'~' if any && k == 3 => {
                return Some(Head {
                    run: u32::try_from(v[0]).ok()?,
                    flow: u32::try_from(v[1]).ok()?,
                    seq: v[2],
                    t_us: v[3],
                });
            }
            _ => return None,
        }
    }
    None
}

/// True when `body` is exactly what `write` makes for its own head and `len`.
pub fn intact(body: &str, len: usize) -> bool {
    find(body).is_some_and(|h| {
        let mut want = String::with_capacity(len + 64);
        write(&mut want, h, len);
        want == body
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let h = Head { run: 7, flow: 3, seq: 41, t_us: 123_456 };
        let mut s = String::new();
        write(&mut s, h, 100);
        assert_eq!(s.len(), 100);
        assert_eq!(find(&format!("42[\"x\",{{\"m\":\"{s}\"}}]")), Some(h));
        assert!(intact(&s, 100));
        assert!(!intact(&s.replace("the", "teh"), 100));
        assert_eq!(find("no mark ~lg:1:2:~"), None);
    }
}
