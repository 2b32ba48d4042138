//! The `.env` file of the working folder. Those of the folders above belong to others: a server that is started in a
//! folder anybody can write to must not take its secret from there.

use std::fs;
use std::path::Path;

const FILE: &str = ".env";

/// Puts what the file says into the environment, where that does not say it already. A missing file is fine: everything
/// in it can also be set in the environment.
///
/// # Errors
/// What is wrong with the file. Never what stands in it, which may be a secret.
pub(crate) fn read() -> Result<(), String> {
    match dotenvy::from_path(Path::new(FILE)) {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(dotenvy::Error::LineParse(content, _)) => Err(match line_of(&content) {
            Some(line) => format!("line {line} cannot be understood"),
            None => "a line cannot be understood".to_owned(),
        }),
        Err(dotenvy::Error::Io(error)) => Err(error.to_string()),
        Err(_) => Err("a line cannot be understood".to_owned()),
    }
}

/// Where something in the file begins. The parser only says what it is.
fn line_of(content: &str) -> Option<usize> {
    let first = content.lines().next()?;
    let file = fs::read_to_string(FILE).ok()?;
    file.lines().position(|line| line.trim_end() == first.trim_end()).map(|before| before + 1)
}
