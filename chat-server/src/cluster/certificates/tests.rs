//! Tests of [`certificates`](super).

use super::*;

fn made() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn files_that_cannot_be_used_are_named_and_what_was_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let ((cert, key), (other_cert, other_key)) = (made(), made());
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("ca", &cert);
    write("cert", &cert);
    write("key", &key);
    let files = CertificateFiles { ca: Some(path("ca")), client: Some((path("cert"), path("key"))) };
    let read = Certificates::read(files.clone()).unwrap();
    let kept = |read: &Certificates| {
        let current = read.current();
        let client = current.client_tls.unwrap();
        [current.root_cert.unwrap(), client.client_cert, client.client_key]
            .map(|pem| String::from_utf8(pem).unwrap())
    };
    let before = [cert.clone(), cert.clone(), key.clone()];
    assert_eq!(kept(&read), before);
    for (name, text, variable) in [
        ("ca", "", CA),
        ("ca", "hello", CA),
        ("ca", &*key, CA),
        ("ca", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", CA),
        ("ca", "-----BEGIN CERTIFICATE-----\n", CA),
        ("cert", &*key, CERT),
        ("cert", &*other_cert, KEY),
        ("key", &*cert, KEY),
        ("key", &*other_key, KEY),
    ] {
        let was = std::fs::read_to_string(path(name)).unwrap();
        write(name, text);
        for refused in [read.read_again().unwrap_err(), Certificates::read(files.clone()).unwrap_err()] {
            let refused = refused.to_string();
            assert!(refused.starts_with(&format!("{variable}: ")), "{name}: {refused}");
            assert!(!refused.contains("BEGIN"), "{refused}");
        }
        assert_eq!(kept(&read), before, "{name}");
        write(name, &was);
    }
    std::fs::remove_file(path("key")).unwrap();
    assert!(
        read.read_again().unwrap_err().to_string().starts_with("CHAT_REDIS_KEY: the file cannot be read")
    );
    assert_eq!(kept(&read), before);
    write("ca", &other_cert);
    write("cert", &other_cert);
    write("key", &other_key);
    read.read_again().unwrap();
    assert_eq!(kept(&read), [other_cert.clone(), other_cert, other_key]);
}
