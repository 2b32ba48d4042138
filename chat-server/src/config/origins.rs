//! The origins whose pages may send cross-origin requests.

use std::net::IpAddr;

use super::error::{ConfigError, wrong};

/// The origins whose cross-origin requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All origins, but without cookies. Only the listed ones may send cookies.
    Any(Vec<String>),
    /// Pages on this machine, for development.
    Loopback,
    /// The listed origins.
    Listed(Vec<String>),
}

impl Origins {
    /// Whether a page of this origin may read our answers and send its user's cookies.
    pub fn allow(&self, origin: &str) -> bool {
        // The origin of pages without one of their own, such as a sandboxed frame in a foreign page.
        if origin.eq_ignore_ascii_case("null") {
            return false;
        }
        match self {
            Self::Any(origins) | Self::Listed(origins) => {
                origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
            }
            Self::Loopback => {
                let host = origin.split_once("://").map_or("", |(_, host)| host);
                let host = match host.strip_prefix('[') {
                    Some(v6) => v6.split_once(']').map_or("", |(address, _)| address),
                    None => host.split_once(':').map_or(host, |(name, _)| name),
                };
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The listed origins, without a path.
    pub fn listed(&self) -> &[String] {
        match self {
            Self::Any(origins) | Self::Listed(origins) => origins,
            Self::Loopback => &[],
        }
    }

    /// Whether pages of all origins may read answers to requests without cookies.
    pub fn allow_any(&self) -> bool {
        matches!(self, Self::Any(_))
    }
}

/// Parses CLIENT_URL.
pub(super) fn origins(urls: &[String], production: bool) -> Result<Origins, ConfigError> {
    let urls: Vec<_> =
        urls.iter().map(|url| url.trim().trim_end_matches('/')).filter(|url| !url.is_empty()).collect();
    let any = urls.contains(&"*");
    if any && production {
        return Err(wrong(
            "CLIENT_URL",
            "must name the origins of the pages in production: with `*` any page could use its visitors' log-ins",
        ));
    }
    if urls.is_empty() && !production {
        return Ok(Origins::Loopback);
    }
    let mut origins = Vec::new();
    for url in urls.into_iter().filter(|url| *url != "*") {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| wrong("CLIENT_URL", format!("{url:?} is not an origin")))?;
        let host = rest.split('/').next().unwrap_or_default();
        origins.push(format!("{scheme}://{host}"));
    }
    Ok(if any { Origins::Any(origins) } else { Origins::Listed(origins) })
}
