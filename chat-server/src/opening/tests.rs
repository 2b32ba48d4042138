//! What holds for [`opening`](super).

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::Options;

fn config(folder: &Path, more: &[&str]) -> Config {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let data = format!("--data-dir={}", folder.display());
    let arguments = ["chat-server", &data].into_iter().chain(more.iter().copied());
    let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
    Config::check(&options).unwrap()
}

async fn start(folder: &Path, more: &[&str]) -> Result<Option<Opened>, String> {
    let config = config(folder, more);
    let (store, opened) = open(&config).await.map_err(|error| {
        assert!(error.is_for_the_operator(), "{error}");
        error.to_string()
    })?;
    config.keep_secret().unwrap();
    store.close().await.unwrap();
    Ok(opened)
}

const SECRET: &str = "--jwt-secret=hush-hush-hush-hush-hush-hush-hush";

#[tokio::test]
async fn no_new_database_is_made_beside_what_is_left_of_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let database = folder.join("chat.db");
    assert!(start(folder, &[]).await.unwrap().unwrap().made_new);
    assert!(!start(folder, &[]).await.unwrap().unwrap().made_new);
    std::fs::remove_file(&database).unwrap();
    let refused = start(folder, &[]).await.unwrap_err();
    for word in ["CHAT_STORE: ", "chat.db", "jwt-secret", "--new", "mounted"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    assert!(!database.exists());
    assert!(start(folder, &["--store=memory:"]).await.is_ok(), "nobody expects anything of it");
    assert!(start(folder, &["--new"]).await.unwrap().unwrap().made_new);
    assert!(!start(folder, &[]).await.unwrap().unwrap().made_new);
}

#[tokio::test]
async fn images_and_logs_tell_of_a_database_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("media")).unwrap();
    std::fs::write(folder.join("media/.usage"), "").unwrap();
    assert!(start(folder, &[SECRET]).await.is_ok(), "that is no image");
    std::fs::remove_file(folder.join("chat.db")).unwrap();
    std::fs::create_dir(folder.join("media/0a")).unwrap();
    assert!(start(folder, &[SECRET]).await.unwrap_err().contains("there are images in "));
    std::fs::remove_dir(folder.join("media/0a")).unwrap();
    std::fs::write(folder.join("chat.db-wal"), "something").unwrap();
    assert!(start(folder, &[SECRET]).await.unwrap_err().contains("chat.db-wal"));
}

#[tokio::test]
async fn a_first_start_that_fails_leaves_no_secret_behind() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("--store=sqlite:{}/nowhere/chat.db", folder.path().display());
    let config = config(folder.path(), &[&nowhere]);
    assert!(open(&config).await.is_err());
    assert!(start(folder.path(), &[]).await.unwrap().unwrap().made_new);
}

#[tokio::test]
async fn a_file_that_was_moved_is_not_served_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("chat.db");
    assert!(start(folder.path(), &[]).await.is_ok());
    moved::mark(&database, chat_core::clock::Timestamp::from_millis(0)).unwrap();
    for more in [&[][..], &["--new"]] {
        let refused = start(folder.path(), more).await.unwrap_err();
        assert!(
            refused.contains("moved to MongoDB at 1970-01-01T") && refused.contains("chat.db.moved"),
            "{refused}"
        );
    }
    std::fs::remove_file(moved::mark_of(&database)).unwrap();
    assert!(start(folder.path(), &[]).await.is_ok());
}
