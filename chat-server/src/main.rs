//! The program: reads the configuration, listens, serves. With a command it does that instead.

mod commands;
mod dotenv;
mod hangup;
mod listen;
mod supervisor;

use std::time::Duration;

use chat_server::config::{Config, ConfigError, Options};
use chat_server::logging::LogFilter;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::hangup::Hangup;
use self::listen::Inherited;
use self::supervisor::Supervisor;

/// How long what is still under way in other threads is waited for at the end.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// The command line: the server's options, and a command if it is not to serve.
#[derive(Parser)]
#[command(name = "chat-server", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<commands::Command>,
    #[command(flatten)]
    options: Options,
}

fn main() -> std::process::ExitCode {
    // What this process makes is nobody else's to read: messages, hashes, the secret.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let dotenv = dotenv::read::<Cli>();
    let Cli { command, options } = match chat_server::config::from_command_line() {
        Ok(given) => given,
        Err(error) => return refused(&error),
    };
    let log = chat_server::logging::start(&options.log, options.log_format == "json");
    let failure = command.as_ref().map_or(std::process::ExitCode::FAILURE, commands::Command::failure);
    let done = match (dotenv, command) {
        // Half of it would be another server: with another secret, in another place, as if for development.
        (Err(problem), _) => return refused(&format_args!("the file .env: {problem}")),
        (Ok(_), Some(command)) => command.run(&options),
        (Ok(taken), None) => serve(&options, &taken, log).map(|()| std::process::ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) if error.downcast_ref().is_some_and(ConfigError::is_for_the_operator) => refused(&error),
        Err(error) => {
            eprintln!("chat-server: {error}");
            failure
        }
    }
}

/// What must be mended by hand has an exit code of its own: to start again would not help.
fn refused(problem: &dyn std::fmt::Display) -> std::process::ExitCode {
    eprintln!("chat-server: {problem}");
    std::process::ExitCode::from(2)
}

fn serve(
    options: &Options,
    dotenv: &dotenv::Taken,
    log: LogFilter,
) -> Result<(), Box<dyn std::error::Error>> {
    if let Err(error) = chat_server::transport::raise_open_files_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    dotenv.log();
    // Before there are other threads, since it takes variables out of the environment.
    let inherited = Inherited::take();
    let supervisor = Supervisor::find();
    // One core is left to the store's writer and the kernel: fewer threads pass less work to and fro.
    let spare = || std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1));
    let threads = options.threads.unwrap_or_else(spare);
    let mut runtime = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(threads);
            runtime
        }
    };
    let runtime = runtime.enable_all().build()?;
    let served = runtime.block_on(async {
        // Before anything that takes time, so that both are obeyed from now on.
        let mut terminate = signal(SignalKind::terminate())?;
        let hangup = signal(SignalKind::hangup())?;
        let starting = supervisor.begin();
        let reading_again = Hangup::new(options, dotenv, log);
        let certificates = reading_again.certificates();
        tokio::spawn(reading_again.obey(hangup, supervisor.clone()));
        let config = Config::check(options)?;
        if let Some(read) = config.cluster.redis.as_ref().and_then(|redis| redis.certificates.clone()) {
            let _ = certificates.set(read);
        }
        let listeners = match inherited.into_listeners()? {
            listeners if !listeners.is_empty() => listeners,
            _ => listen::on(options.host, options.port)?.into(),
        };
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        chat_server::serve_and_tell(listeners, config, shutdown, |stage| starting.tell(&stage)).await?;
        Ok(())
    });
    // A start that was broken off may still be bringing a database up to date, in one transaction, which is taken back.
    runtime.shutdown_timeout(LAST_PATIENCE);
    supervisor.finish();
    served
}
