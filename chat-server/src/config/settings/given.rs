//! Reads flags and variables, so that what is wrong with one is said by the name of its variable.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, value_parser};

use super::{SETTINGS, names};
use crate::config::error::ConfigError;

/// Reads the command line and the environment. An empty variable is as good as none. Ends the process for `--help` and for
/// flags that there are not, as clap does.
///
/// # Errors
/// Names a variable that begins like ours and is none, or one with a value that it cannot have.
pub fn from_command_line<C: CommandFactory + FromArgMatches>() -> Result<C, ConfigError> {
    let command = C::command().mut_args(without_empty_variable);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let variables: Vec<_> = std::env::vars_os().collect();
    // As text first: whatever type it is to have, what is wrong with it is said in one way.
    let given = command.clone().mut_args(as_text).get_matches_from(&arguments);
    names::check(variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))?;
    check(&command, &given)?;
    let given = command.get_matches_from(&arguments);
    C::from_arg_matches(&given).map_err(|error| error.exit())
}

/// Checks what was given as text.
pub(super) fn check(command: &Command, given: &ArgMatches) -> Result<(), ConfigError> {
    for setting in SETTINGS {
        let of_setting = |arg: &&Arg| arg.get_env() == Some(OsStr::new(setting.name));
        let Some(arg) = command.get_arguments().find(of_setting) else { continue };
        for value in given.get_raw(arg.get_id().as_str()).into_iter().flatten() {
            setting.check(value.to_str())?;
        }
    }
    Ok(())
}

pub(super) fn as_text(arg: Arg) -> Arg {
    if arg.get_env().is_some() { arg.value_parser(value_parser!(OsString)) } else { arg }
}

fn without_empty_variable(arg: Arg) -> Arg {
    let is_empty = |value: OsString| value.to_str().is_some_and(|value| value.trim().is_empty());
    let variable = arg.get_env().and_then(std::env::var_os);
    if variable.is_some_and(is_empty) { arg.env(None) } else { arg }
}
