//! Every driver passes every clause.
#![cfg(feature = "contract")]

mod memory {
    use std::sync::Arc;

    use chat_core::store::{MemoryStore, Store};

    chat_core::store_contract!(async { Arc::new(MemoryStore::new()) as Arc<dyn Store> });
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::sync::Arc;

    use chat_core::store::sqlite::SqliteOptions;
    use chat_core::store::{SqliteStore, Store};

    fn open(path: &Path) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(path, SqliteOptions::default()).expect("the store must open"))
    }

    chat_core::store_contract!(async {
        let folder = tempfile::tempdir().expect("a folder must be made");
        (open(&folder.path().join("store")), folder)
    });

    chat_core::store_durability_contract!(async |path: &Path| open(path));
}
