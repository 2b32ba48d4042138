//! Settings that are on or off.

/// Parses the usual spellings of on and off.
pub(super) fn switch(value: &str) -> Result<bool, String> {
    match value.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" | "" => Ok(false),
        _ => Err("must be on or off (or true, yes, 1; false, no, 0)".to_owned()),
    }
}
