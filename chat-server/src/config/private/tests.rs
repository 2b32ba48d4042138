//! Tests for file modes, and for paths that must not be served.

use std::os::unix::fs::{PermissionsExt, symlink};

use chat_core::store::sqlite::Synchronous;
use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::Config;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn sqlite(path: &Path) -> StoreConfig {
    StoreConfig::Sqlite { path: path.to_owned(), synchronous: Synchronous::Full }
}

#[test]
fn what_a_usual_umask_leaves_is_closed_and_what_a_group_may_read_is_meant() {
    for (mode, file, secret) in [
        (0o755, 0o700, 0o700),
        (0o777, 0o700, 0o700),
        (0o644, 0o600, 0o600),
        (0o604, 0o600, 0o600),
        (0o601, 0o600, 0o600),
        (0o750, 0o750, 0o700),
        (0o770, 0o750, 0o700),
        (0o660, 0o640, 0o600),
        (0o640, 0o640, 0o600),
        (0o2750, 0o2750, 0o2700),
        (0o700, 0o700, 0o700),
        (0o600, 0o600, 0o600),
    ] {
        let got = (private_mode(mode, false), private_mode(mode, true));
        assert_eq!(got, (file, secret), "{mode:o}");
    }
}

#[test]
fn everything_that_is_there_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("media/ab")).unwrap();
    fs::create_dir_all(data.join("media/.usage/cd")).unwrap();
    let files = [
        "jwt-secret",
        "chat.db",
        "chat.db-wal",
        "chat.db-shm",
        "chat.db.lock",
        "media/ab/abcd.png",
        "media/.usage/cd/somebody",
    ];
    for name in files {
        fs::write(data.join(name), "x").unwrap();
        set_mode(&data.join(name), 0o644);
    }
    for name in ["", "media", "media/ab", "media/.usage", "media/.usage/cd"] {
        set_mode(&data.join(name), 0o755);
    }
    // A file that is not ours, although it is in the folder.
    fs::write(data.join("notes.txt"), "x").unwrap();
    set_mode(&data.join("notes.txt"), 0o644);
    let outside = folder.path().join("outside.txt");
    fs::write(&outside, "x").unwrap();
    set_mode(&outside, 0o644);
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    set_mode(&elsewhere, 0o755);
    symlink(&elsewhere, data.join("media/link")).unwrap();
    symlink(&outside, data.join("media/ab/link.png")).unwrap();

    mend(&data, &sqlite(&data.join("chat.db"))).unwrap();
    mend_images(&data.join("media"));
    for name in files {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    for name in ["", "media", "media/ab", "media/.usage", "media/.usage/cd"] {
        assert_eq!(mode(&data.join(name)), 0o700, "{name}");
    }
    assert_eq!(mode(&data.join("notes.txt")), 0o644);
    assert_eq!((mode(&outside), mode(&elsewhere)), (0o644, 0o755), "links are not followed");
    // A second start has nothing to correct.
    mend(&data, &sqlite(&data.join("chat.db"))).unwrap();
}

#[test]
fn a_secret_is_mended_at_start_and_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&[("data-dir", folder.path().join("data").to_str().unwrap())]);
    let config = Config::check(&options).unwrap();
    config.keep_secret().unwrap();
    let secret = config.auth.secret;
    let path = folder.path().join("data/jwt-secret");
    set_mode(&path, 0o664);
    assert!(Config::check(&options).unwrap().auth.secret == secret);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("data")), 0o700);
}

fn options(given: &[(&str, &str)]) -> Options {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let arguments = given.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
    let arguments = ["chat-server".to_owned()].into_iter().chain(arguments);
    Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}

#[test]
fn a_folder_to_serve_and_the_data_folder_are_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["app/dist", "app/data", "elsewhere", "links"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    symlink(at("app"), at("links/app")).unwrap();
    symlink(at("app/data"), at("links/data")).unwrap();
    let check = |dir: &str, data: &str, store: &str| {
        let store = if store.is_empty() { "memory:".to_owned() } else { format!("sqlite:{}", at(store)) };
        Config::check(&options(&[("static-dir", &at(dir)), ("data-dir", &at(data)), ("store", &store)]))
    };
    for (dir, data, store) in [
        ("app", "app/data", ""),
        ("app", "app/new/data", ""),
        ("app/data", "app/data", ""),
        ("app/dist", "app/dist", ""),
        ("app/dist/../data", "app/data", ""),
        ("app", "app/dist/../data", ""),
        ("app", "links/data", ""),
        ("links/app", "app/data", ""),
        ("links/app", "app/new", ""),
        ("app/dist", "app", ""),
        ("app/dist", "links/app", ""),
        ("app", "elsewhere", "app/chat.db"),
        ("app", "elsewhere", "links/app/chat.db"),
        ("nowhere", "elsewhere", ""),
    ] {
        let error = check(dir, data, store).unwrap_err().to_string();
        assert!(error.starts_with("CHAT_STATIC_DIR: "), "{dir} {data} {store}: {error}");
    }
    assert!(!folder.path().join("app/new").exists(), "what is refused leaves nothing behind");
    for (dir, data, store) in [
        ("app/dist", "app/data", ""),
        ("app/dist", "app/dist-data", ""),
        ("app/dist", "links/data", "app/data/chat.db"),
        ("links/app/dist", "elsewhere", "links/chat.db"),
    ] {
        check(dir, data, store).unwrap();
    }
}

#[test]
fn a_folder_of_everybody_stays_one_and_a_linked_one_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, linked) = (folder.path().join("shared"), folder.path().join("linked"));
    fs::create_dir_all(shared.join("media/ab")).unwrap();
    set_mode(&shared, 0o1777);
    set_mode(&shared.join("media/ab"), 0o755);
    symlink(&shared, &linked).unwrap();
    mend(&linked, &StoreConfig::Memory).unwrap();
    assert_eq!((mode(&shared), mode(&shared.join("media/ab"))), (0o777, 0o700));
    set_mode(&shared, 0o755);
    mend(&linked, &StoreConfig::Memory).unwrap();
    assert_eq!(mode(&shared), 0o700);
}

#[test]
fn an_address_for_links_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let check = |url| Config::check(&options(&[("data-dir", data), ("public-url", url)]));
    for (url, base) in [
        ("https://chat.example", Some("https://chat.example")),
        ("http://chat.example:8080/chat/", Some("http://chat.example:8080/chat")),
        ("", None),
    ] {
        assert_eq!(check(url).unwrap().public_url.as_deref(), base, "{url}");
    }
    for url in
        ["chat.example", "//chat.example", "javascript:alert(1)", "https://", "https://a b", "https://a/?x"]
    {
        let error = check(url).unwrap_err().to_string();
        assert!(error.starts_with("CHAT_PUBLIC_URL: "), "{url}: {error}");
    }
}
