//! `chat-server describe`: descriptions of the API.

use std::io::Write;

use chat_server::describe::Document;
use chat_server::dialect::Dialects;
use clap::ValueEnum;

/// Which one.
#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// All routes, as OpenAPI 3.1
    Openapi,
    /// All socket events, as AsyncAPI 3.0
    Asyncapi,
    /// The types of native's events for socket.io-client, in TypeScript
    Typescript,
    /// All objects, as JSON Schema 2020-12
    Schema,
}

/// Write a description of the API.
#[derive(clap::Args)]
pub(crate) struct Describe {
    /// Which one
    #[arg(value_enum)]
    which: Which,
}

impl Describe {
    pub(crate) fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        let document = match self.which {
            Which::Openapi => Document::OpenApi,
            Which::Asyncapi => Document::AsyncApi,
            Which::Typescript => Document::TypeScript,
            Which::Schema => Document::Schema,
        };
        Ok(std::io::stdout().write_all(document.text(&Dialects::built_in()).as_bytes())?)
    }
}
