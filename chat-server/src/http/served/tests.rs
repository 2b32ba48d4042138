//! A folder with all kinds of files that must not be served.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

struct Folder {
    dir: tempfile::TempDir,
    served: Served,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in [
            "app/.git",
            "app/.well-known",
            "app/docs/.private",
            "app/plain",
            "app/data",
            "outside",
            "app/a b",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "app/index.html",
            "app/app.js",
            "app/.env",
            "app/.git/config",
            "app/.well-known/security.txt",
            "app/docs/index.html",
            "app/docs/.private/x.txt",
            "app/plain/x.txt",
            "app/data/chat.db",
            "app/data/chat.db-wal",
            "app/chat.db",
            "app/chat.db-wal",
            "app/chat.db.lock",
            "app/chat.dbx",
            "outside/secret.txt",
            "app/a b/ä.txt",
            "app/..data",
        ] {
            fs::write(at(file), file).unwrap();
        }
        symlink(at("outside/secret.txt"), at("app/secret.txt")).unwrap();
        symlink(at("outside"), at("app/out")).unwrap();
        symlink(at("app/.env"), at("app/env.txt")).unwrap();
        symlink(".git", at("app/git")).unwrap();
        symlink("../outside/secret.txt", at("app/relative.txt")).unwrap();
        symlink("loop.txt", at("app/loop.txt")).unwrap();
        symlink("nowhere", at("app/broken.txt")).unwrap();
        symlink("app.js", at("app/again.js")).unwrap();
        symlink(at("app"), at("link")).unwrap();
        fs::create_dir(at("app/linked")).unwrap();
        symlink(at("outside/secret.txt"), at("app/linked/index.html")).unwrap();
        let served = Served::new(&at("link"), &[at("app/data"), at("link/chat.db")]);
        Self { dir, served }
    }

    async fn find(&self, path: &str) -> Find {
        self.served.find(path).await
    }
}

#[tokio::test]
async fn files_are_found_and_what_is_private_is_not() {
    let folder = Folder::new();
    for (path, file) in [
        ("/", "index.html"),
        ("/index.html", "index.html"),
        ("/./index.html", "index.html"),
        ("//index.html", "index.html"),
        ("/%69ndex.html", "index.html"),
        ("/again.js", "app.js"),
        ("/docs/", "docs/index.html"),
        ("/plain/x.txt", "plain/x.txt"),
        ("/a%20b/%C3%A4.txt", "a b/ä.txt"),
        ("/.well-known/security.txt", ".well-known/security.txt"),
        ("/%2ewell-known/security.txt", ".well-known/security.txt"),
        ("/chat.dbx", "chat.dbx"),
    ] {
        let expected = folder.dir.path().join("app").join(file).canonicalize().unwrap();
        assert_eq!(folder.find(path).await, Find::File(expected), "{path}");
    }
    assert_eq!(folder.find("/docs").await, Find::Folder("/docs/".into()));
    assert_eq!(folder.find("//docs").await, Find::Folder("/docs/".into()), "not another host");
    for path in [
        "/nothing",
        "/nothing.js",
        "/plain",
        "/plain/",
        "/index.html/x",
        "/broken.txt",
        "/app.js/",
        "/APP.JS",
    ] {
        assert_eq!(folder.find(path).await, Find::Nothing, "{path}");
    }
    for path in [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "//.env",
        "/plain/../.env",
        "/plain/%2e%2e/.env",
        "/plain/..%2f.env",
        "/./.env",
        "/.env/",
        "/.git/config",
        "/.git",
        "/.git/",
        "/%2egit%2fconfig",
        "/docs/.private/x.txt",
        "/..",
        "/../outside/secret.txt",
        "/..data",
        "/secret.txt",
        "/out/secret.txt",
        "/out/",
        "/out",
        "/env.txt",
        "/git/config",
        "/git",
        "/relative.txt",
        "/loop.txt",
        "/linked/",
        "/linked",
        "/data",
        "/data/",
        "/data/chat.db",
        "/data/chat.db-wal",
        "/data%2fchat.db",
        "/chat.db",
        "/chat.db-wal",
        "/chat.db.lock",
        "/.nothing",
        "/.well-known/.hidden",
        "/..%5coutside%5csecret.txt",
        "/app.js%00.png",
        "/%ff%fe",
        "/%252eenv/../.env",
    ] {
        assert_eq!(folder.find(path).await, Find::Private, "{path}");
    }
}

#[test]
fn a_path_leads_where_its_existing_part_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("a/b")).unwrap();
    symlink(root.join("a/b"), root.join("link")).unwrap();
    for (path, expected) in [
        ("a/b", "a/b"),
        ("a/../a/new/x", "a/new/x"),
        ("link/new", "a/b/new"),
        ("link/../x", "a/x"),
        ("new/../a", "a"),
    ] {
        assert_eq!(resolved(&root.join(path)), root.join(expected), "{path}");
    }
}
