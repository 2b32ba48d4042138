//! Tests of the folder: stored pictures can be read, and nothing else is reachable.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::{DiskMedia, Media, MediaError, MediaStore, RandomBytes};
use crate::media::{Purpose, samples};

fn counting() -> RandomBytes {
    let next = AtomicU8::new(0xa0);
    Arc::new(move || [next.fetch_add(1, Ordering::Relaxed); 16])
}

fn open(random: RandomBytes) -> (TempDir, DiskMedia) {
    let dir = TempDir::new().unwrap();
    let disk = DiskMedia::new(dir.path().join("media"), "/media/", random).unwrap();
    (dir, disk)
}

fn media(bytes: &bytes::Bytes) -> Media {
    Media::from_bytes(bytes.clone(), Purpose::MessageImage).unwrap()
}

#[tokio::test]
async fn every_kind_comes_back_byte_for_byte() {
    let (dir, disk) = open(counting());
    for (kind, file) in samples::all() {
        let url = disk.store(media(&file)).await.unwrap();
        let name = url.strip_prefix("/media/").unwrap();
        assert_eq!(name.rsplit_once('.').unwrap().1, kind.extension());

        let mut stored = disk.read(name).await.unwrap().unwrap();
        let mut content = Vec::new();
        stored.file.read_to_end(&mut content).await.unwrap();
        assert_eq!((content, stored.kind), (file.to_vec(), kind));
        assert_eq!(stored.len, file.len() as u64);

        let path = dir.path().join("media").join(&name[..2]).join(name);
        assert_eq!(fs::read(path).unwrap(), file);
    }
    let unfinished = fs::read_dir(dir.path().join("media/.tmp")).unwrap().count();
    assert_eq!(unfinished, 0);
}

#[tokio::test]
async fn a_large_picture_comes_back_too() {
    let (_dir, disk) = open(counting());
    let mut file = samples::png().to_vec();
    file.extend((0..9 * 1024 * 1024_u32).map(|i| i.to_le_bytes()[1]));
    let file = bytes::Bytes::from(file);
    let url = disk.store(media(&file)).await.unwrap();
    let mut stored = disk.read(url.rsplit('/').next().unwrap()).await.unwrap().unwrap();
    let mut content = Vec::new();
    stored.file.read_to_end(&mut content).await.unwrap();
    assert!(content == file);
}

#[tokio::test]
async fn pictures_survive_a_restart() {
    let (dir, disk) = open(counting());
    let url = disk.store(media(&samples::gif())).await.unwrap();
    drop(disk);
    let again = DiskMedia::new(dir.path().join("media"), "/media", counting()).unwrap();
    assert!(again.read(url.rsplit('/').next().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn only_names_of_our_own_making_are_read() {
    let (dir, disk) = open(counting());
    fs::write(dir.path().join("secret.png"), samples::png()).unwrap();
    fs::write(dir.path().join("media/.tmp/half.png"), samples::png()).unwrap();
    let url = disk.store(media(&samples::png())).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    let digits = name.strip_suffix(".png").unwrap();
    assert!(disk.read(name).await.unwrap().is_some());
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "../secret.png".to_owned(),
        "..\\secret.png".to_owned(),
        "/etc/passwd".to_owned(),
        ".tmp/half.png".to_owned(),
        "half.png".to_owned(),
        digits.to_owned(),
        format!("{digits}."),
        ".png".to_owned(),
        "a.png".to_owned(),
        format!("{digits}.svg"),
        format!("{digits}.PNG"),
        format!("{digits}.png.png"),
        format!("{digits}.png\0"),
        format!("{digits}.png/"),
        format!(" {name}"),
        format!("{}/{name}", &name[..2]),
        format!("{}.png", digits.to_uppercase()),
        format!("{}.png", &digits[1..]),
        format!("{digits}0.png"),
        format!("{}é.png", &digits[2..]),
    ] {
        assert!(disk.locate(&wrong).is_none(), "{wrong:?}");
        assert!(disk.read(&wrong).await.unwrap().is_none(), "{wrong:?}");
    }
    for absent in ["ffffffffffffffffffffffffffffffff.png".to_owned(), format!("{digits}.gif")] {
        assert!(disk.read(&absent).await.unwrap().is_none(), "{absent:?}");
    }
}

#[tokio::test]
async fn a_repeated_name_does_not_replace_a_picture() {
    let (dir, disk) = open(Arc::new(|| [7; 16]));
    let url = disk.store(media(&samples::png())).await.unwrap();
    let other = bytes::Bytes::from([&samples::png()[..], b"other"].concat());
    let error = disk.store(media(&other)).await.unwrap_err();
    assert!(matches!(error, MediaError::Unavailable { .. }) && !error.is_client_error());
    let path = dir.path().join("media/07").join(url.rsplit('/').next().unwrap());
    assert_eq!(fs::read(path).unwrap(), samples::png());
    assert_eq!(fs::read_dir(dir.path().join("media/.tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_vanished_folder_is_an_error_of_ours() {
    let (dir, disk) = open(counting());
    fs::remove_dir_all(dir.path().join("media")).unwrap();
    fs::write(dir.path().join("media"), "a file in its place").unwrap();
    let error = disk.store(media(&samples::png())).await.unwrap_err();
    assert!(matches!(error, MediaError::Unavailable { .. }), "{error}");
}

#[test]
fn a_start_removes_only_what_nobody_writes_any_more() {
    let dir = TempDir::new().unwrap();
    let unfinished = dir.path().join(".tmp");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("new.png"), "half").unwrap();
    fs::write(unfinished.join("old.png"), "half").unwrap();
    let old = fs::File::options().write(true).open(unfinished.join("old.png")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    DiskMedia::new(dir.path(), "/media", counting()).unwrap();
    assert!(unfinished.join("new.png").exists() && !unfinished.join("old.png").exists());
}

#[test]
fn a_prefix_is_a_plain_path() {
    let dir = TempDir::new().unwrap();
    for wrong in ["", "/", "media", "/a//b", "/me dia", "/{name}", "/..", "https://example.com/media"] {
        assert!(DiskMedia::new(dir.path(), wrong, counting()).is_err(), "{wrong}");
    }
    assert_eq!(DiskMedia::new(dir.path(), "/api/media/", counting()).unwrap().public_prefix(), "/api/media");
}

#[tokio::test]
async fn what_is_no_picture_becomes_no_media() {
    for file in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
        b"<html>",
        b"GIF89a<script>alert(1)</script>",
        b"",
    ] {
        let refused = Media::from_bytes(bytes::Bytes::copy_from_slice(file), Purpose::ProfilePicture);
        assert!(matches!(refused, Err(MediaError::UnsupportedType)));
    }
    let shown = format!("{:?}", media(&samples::png()));
    assert_eq!(shown, "Media { len: 68, kind: Png, purpose: MessageImage }");
}

#[tokio::test]
async fn a_reserved_name_is_used_and_what_is_removed_is_gone() {
    let (dir, disk) = open(counting());
    let picture = media(&samples::png());
    let reserved = disk.reserve(&picture).unwrap();
    let name = reserved.rsplit('/').next().unwrap();
    assert!(disk.read(name).await.unwrap().is_none(), "nothing is there yet");
    disk.store_reserved(&reserved, picture.clone()).await.unwrap();
    assert!(disk.read(name).await.unwrap().is_some());
    for url in ["/media/../jwt-secret", "/media/", "/other/x.png", "https://example.com/media/x.png", ""] {
        assert!(disk.store_reserved(url, picture.clone()).await.is_err(), "{url}");
        disk.remove(url).await.unwrap();
    }
    fs::write(dir.path().join("secret.png"), "x").unwrap();
    disk.remove("/media/../secret.png").await.unwrap();
    assert!(dir.path().join("secret.png").exists());
    for _ in 0..2 {
        disk.remove(&reserved).await.unwrap();
        assert!(disk.read(name).await.unwrap().is_none());
    }
}
