//! Databases for tests on a real server, gone when the test ends.

// Each test binary uses some of it.
#![allow(dead_code)]

pub(crate) mod load;
pub(crate) mod proxy;
pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use chat_core::store::{MongoStore, Store};
use mongodb::bson::Document;
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};

/// A database of its own on the server of `MONGO_TEST_URI`.
pub(crate) struct Scratch {
    server: String,
    name: String,
}

impl Scratch {
    /// A database that does not exist yet.
    pub(crate) fn new() -> Self {
        let server = std::env::var("MONGO_TEST_URI").expect("MONGO_TEST_URI must be the URI of a server");
        Self::on(&server)
    }

    /// One on another server, whose URI ends with its port.
    pub(crate) fn on(server: &str) -> Self {
        let name = format!("chat_test_{:x}", rand::random::<u64>());
        Self { server: server.trim_end_matches('/').to_owned(), name }
    }

    /// Its URI.
    pub(crate) fn uri(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A store in it. Tests live in 1970, so the server must not clear away the tokens that it takes for expired.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        let store = MongoStore::open(&self.uri()).await.expect("the store must open");
        let database = self.database().await;
        let dropped = database.collection::<Document>("chat_revoked_tokens").drop_index("until").await;
        // Another store in the same database may have done it.
        const INDEX_NOT_FOUND: i32 = 27;
        if let Err(error) = dropped {
            let code = if let ErrorKind::Command(command) = &*error.kind { command.code } else { 0 };
            assert_eq!(code, INDEX_NOT_FOUND, "{error}");
        }
        database.client().clone().shutdown().await;
        Arc::new(store)
    }

    /// It, past the store.
    pub(crate) async fn database(&self) -> Database {
        Client::with_uri_str(&self.server).await.expect("a client").database(&self.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // On a thread, because the test's own runtime cannot wait here.
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let uri = format!("{server}/?serverSelectionTimeoutMS=2000");
                let client = Client::with_uri_str(uri).await?;
                // A test that failed may have left something open there.
                let _ = tokio::time::timeout(Duration::from_secs(5), client.database(&name).drop()).await;
                mongodb::error::Result::Ok(())
            })
        });
        // What is left over takes nothing but room.
        let _ = dropping.join();
    }
}
