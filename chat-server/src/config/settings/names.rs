//! Detects misspelled variables. Without this check, the setting would silently keep its default.

use std::ffi::OsStr;

use super::SETTINGS;
use crate::config::error::ConfigError;

const PREFIX: &str = "CHAT_";

/// Variables of this project's own tests.
const OF_TESTS: &[&str] = &["CHAT_SERVER_BIN", "CHAT_TRANSCRIPT"];

/// Refuses a variable that begins with our prefix but is unknown.
///
/// # Errors
/// Names the variable and the most similar known one, but never its value.
pub(super) fn check<'a>(variables: impl Iterator<Item = (&'a OsStr, &'a OsStr)>) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let is_known = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
        if !name.starts_with(PREFIX)
            || is_known(&name)
            || OF_TESTS.contains(&&*name)
            || is_of_a_container_platform(&name, value)
        {
            continue;
        }
        // The variables of the old backends have no prefix.
        let of_old =
            SETTINGS.iter().map(|setting| setting.name).find(|known| name[PREFIX.len()..] == **known);
        let nearest = of_old.or_else(|| nearest(&name, SETTINGS.iter().map(|setting| setting.name)));
        let nearest = match nearest {
            Some(nearest) => format!("the nearest one is {nearest}"),
            None => "`chat-server --help` lists them all".to_owned(),
        };
        let problem = format!("there is no such setting; {nearest}. Names that begin with {PREFIX} are ours");
        return Err(ConfigError::UnknownVariable { name: name.into_owned(), problem });
    }
    Ok(())
}

/// Kubernetes and Docker set such variables in every container, if a service is called `chat` (`CHAT_SERVICE_HOST`,
/// `CHAT_PORT=tcp://10.0.0.1:80`, `CHAT_PORT_80_TCP_ADDR`).
fn is_of_a_container_platform(name: &str, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let is_link =
        |value: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_a_port = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (port, protocol) = rest.split_once('_')?;
        let protocols = ["TCP", "UDP", "SCTP"];
        let is_protocol = protocols.iter().any(|known| {
            protocol.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        Some(port.bytes().all(|c| c.is_ascii_digit()) && is_protocol)
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_link(&value))
        || of_a_port() == Some(true)
}

/// The known name that is most similar to the given one, if any is similar enough.
pub(super) fn nearest(written: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let likeness = |name: &str| match (name.starts_with(written), written.is_empty()) {
        (_, true) => 0.0,
        // An abbreviation such as `prod` is a perfect match.
        (true, _) => 1.0,
        (false, _) => strsim::normalized_damerau_levenshtein(written, name),
    };
    let likely = known.map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness >= 0.5);
    likely.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> Option<String> {
        let given = [(OsStr::new(name), OsStr::new(value))];
        check(given.into_iter()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_typing_error_is_named_with_what_was_meant() {
        for (written, meant) in [
            ("CHAT_LOGIN_LIMT", "CHAT_LOGIN_LIMIT"),
            ("CHAT_DATADIR", "CHAT_DATA_DIR"),
            ("CHAT_PUBLICURL", "CHAT_PUBLIC_URL"),
            ("CHAT_STROE", "CHAT_STORE"),
            ("CHAT_STORE_FLIE", "CHAT_STORE_FILE"),
            ("CHAT_PORT", "PORT"),
            ("CHAT_JWT_SECRET", "JWT_SECRET"),
        ] {
            let refused = refused(written, "hush").unwrap();
            let expected = format!("{written}: there is no such setting; the nearest one is ");
            assert!(refused.starts_with(&expected), "{refused}");
            assert!(!refused.contains("hush"), "{refused}");
            assert!(refused.contains(&format!("is {meant}.")), "{refused}");
        }
        assert!(refused("CHAT_", "").unwrap().contains("no such setting"));
        assert!(refused("CHAT_QQQQQQQQQQQQQQQQ", "").unwrap().contains("--help"));
    }

    #[test]
    fn what_is_somebody_elses_is_passed_over() {
        for (name, value) in [
            ("CHAT_STORE", ""),
            ("PORT", "1"),
            ("JWT_REFRESH_SECRET", "x"),
            ("CHATTY", "x"),
            ("chat_store", "x"),
            ("VITE_CHAT_URL", "x"),
            ("CHAT_SERVICE_HOST", "10.0.0.1"),
            ("CHAT_SERVER_SERVICE_PORT_HTTP", "80"),
            ("CHAT_PORT", "tcp://10.0.0.1:80"),
            ("CHAT_SERVER_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("CHAT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(refused(name, value), None, "{name}");
        }
        assert!(refused("CHAT_PORT", "3000").is_some());
        assert!(refused("CHAT_PORT_X_TCP", "3000").is_some());
    }
}
