//! Where requests come from, as far as trusted proxies tell: what limits count by.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

/// Where a request comes from, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub IpAddr);

impl Address {
    /// Reads it from a request's parts.
    pub fn of(parts: &Parts, trust_proxy: usize) -> Self {
        Self::read(&parts.headers, &parts.extensions, trust_proxy)
    }

    /// Reads it from a request.
    pub fn of_request(request: &axum::extract::Request, trust_proxy: usize) -> Self {
        Self::read(request.headers(), request.extensions(), trust_proxy)
    }

    fn read(headers: &HeaderMap, extensions: &Extensions, trust_proxy: usize) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        // As bytes: what a client has made up must not hide what the proxies have appended to it.
        let forwarded = headers.get_all("x-forwarded-for").into_iter();
        let mut hops = forwarded.rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        // Each trusted proxy has appended whom it heard from; what stands before that is hearsay.
        let client = trust_proxy.checked_sub(1).and_then(|nth| hops.nth(nth));
        let client = client.and_then(|client| std::str::from_utf8(client).ok()?.trim().parse().ok());
        Self(one_customer(client.unwrap_or(peer)))
    }
}

/// What limits count as one address: of IPv6 the /64 that one customer has to themselves (RFC 6177).
pub(crate) fn one_customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    fn parts(forwarded: &[&[u8]]) -> Parts {
        let mut request = Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let unknown = Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let address = |text: &str| Address(text.parse().unwrap());
        for forwarded in
            [&[&b"6.6.6.6, 1.2.3.4, 10.0.0.1"[..]][..], &[&b"6.6.6.6"[..], b" 1.2.3.4 ,10.0.0.1"]]
        {
            let parts = parts(forwarded);
            assert_eq!(Address::of(&parts, 0), unknown);
            assert_eq!(Address::of(&parts, 1), address("10.0.0.1"));
            assert_eq!(Address::of(&parts, 2), address("1.2.3.4"));
            assert_eq!(Address::of(&parts, 9), unknown);
        }
    }

    #[test]
    fn what_a_client_makes_up_does_not_hide_what_a_proxy_says() {
        // One header, as nginx appends to it, and two.
        for forwarded in [&[&b"\xff\xfe, 1.2.3.4"[..]][..], &[&b"\xff"[..], b"1.2.3.4"]] {
            assert_eq!(Address::of(&parts(forwarded), 1), Address("1.2.3.4".parse().unwrap()));
        }
    }
}
