//! Reads flags and variables, so that errors name the variable.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, value_parser};

use super::{SETTINGS, names};
use crate::config::error::ConfigError;

/// Reads the command line and the environment. An empty variable counts as not set. Like clap, exits the process for
/// `--help` and for unknown flags.
///
/// # Errors
/// Names an unknown variable with our prefix, or a variable with an invalid value.
pub fn from_command_line<C: CommandFactory + FromArgMatches>() -> Result<C, ConfigError> {
    let command = C::command().mut_args(without_empty_variable);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let variables: Vec<_> = std::env::vars_os().collect();
    // The values are first read as text, so that errors look the same for all types.
    let given = command.clone().mut_args(as_text).get_matches_from(&arguments);
    names::check(variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))?;
    check(&command, &given)?;
    let given = command.get_matches_from(&arguments);
    C::from_arg_matches(&given).map_err(|error| error.exit())
}

/// Checks the values as text.
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
