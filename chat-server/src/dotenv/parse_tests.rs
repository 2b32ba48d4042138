//! What `dotenv` 17 answers was written down from it; see `tests/js/dotenv.test.mjs` for the comparison with itself.

use super::parse::parse;

fn known(name: &str) -> bool {
    matches!(name, "PORT" | "MONGO_URI")
}

fn values(content: &str) -> Vec<(String, String)> {
    parse(content, known).values.into_iter().collect()
}

fn broken(content: &str) -> Option<usize> {
    parse(content, known).broken_line
}

#[test]
fn values_are_those_of_dotenv() {
    for (content, expected) in [
        ("A=Chat App", "Chat App"),
        ("A=", ""),
        ("A", "-"),
        ("A= b  # c", "b"),
        ("A=b#c", "b"),
        ("A='b#c' # d", "b#c"),
        ("A='b' c", "'b' c"),
        ("A='it\\'s'", "it\\'s"),
        ("A=\"b\\nc\\r\"", "b\nc\r"),
        ("A='b\\nc'", "b\\nc"),
        ("A=\"b\nc\"", "b\nc"),
        ("A=`b\n\"c\"'d'`", "b\n\"c\"'d'"),
        ("A=\"b\nB=c", "\"b"),
        ("A=$B ${B} \\$B", "$B ${B} \\$B"),
        ("A: b", "b"),
        ("A:b", "-"),
        ("A : b", "-"),
        ("export A=b", "b"),
        ("export\n A = b", "b"),
        ("exportA=b", "-"),
        ("\u{feff}A=b", "b"),
        ("A=b\r\nB=c\rD=e", "b"),
        ("A=b\nA=c", "c"),
        ("A=\n'b'", "b"),
        ("A=\nB=c", ""),
        ("A==b", "=b"),
        ("A='b", "'b"),
        ("A=''", ""),
        ("A='", "'"),
        ("A='b'c'", "b'c"),
        ("A='\\'", "\\"),
        ("A=b\u{85}", "b\u{85}"),
        ("A=b\u{2028}c", "b\u{2028}c"),
        ("# x\u{2028}A=b", "b"),
    ] {
        let parsed = parse(content, known);
        let found = parsed.values.get("A").map_or("-", String::as_str);
        assert_eq!(found, expected, "{content:?}");
    }
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
    assert_eq!(
        values("a.b-c=1\n9=2\n__proto__=3\nexport=4"),
        pairs(&[("9", "2"), ("a.b-c", "1"), ("export", "4")])
    );
    assert_eq!(values("A=b\r\nB=c\rD=e"), pairs(&[("A", "b"), ("B", "c"), ("D", "e")]));
}

#[test]
fn what_was_surely_meant_as_an_assignment_is_named_by_its_line() {
    for (line, is_mistake) in [
        ("FOO BAR=baz", true),
        ("\"A\"=b", true),
        ("=b", true),
        ("A B", false),
        ("MONGO_URI mongodb://db", true),
        ("MONGO_URI:mongodb://db", true),
        ("PORT 3000", true),
        ("JWT_SECRET", true),
        ("export JWT_SECRET", false),
        ("export JWT_SECRET hush", true),
        ("-----END PRIVATE KEY-----", true),
        ("MIIEvQIBADAN+BgkqhkiG/w==", true),
        ("# FOO BAR=baz", false),
        ("// A B=c", false),
        ("; A B=c", false),
        ("=== database ===", false),
        ("===========", false),
        ("-----------", false),
        ("[database]", false),
        ("the database", false),
        ("set -a", false),
        ("", false),
        ("   \t", false),
    ] {
        let content = format!("# first\r\nA='b\r\nc'\r\n\r\n  {line}\r\nB=c\r\n");
        assert_eq!(broken(&content), is_mistake.then_some(5), "{line:?}");
        let alone = broken(line);
        assert_eq!(alone, is_mistake.then_some(1), "{line:?} alone");
    }
    assert_eq!(broken("A=b\nKEY=-----BEGIN KEY-----\nabc\n-----END KEY-----\n"), Some(4));
}

#[test]
fn a_hostile_file_takes_linear_time() {
    let started = std::time::Instant::now();
    for part in
        ["\n", "A='\n", "A=\"\\\"", " ", "export ", "A='\\'\n", "x\n", "'\n", "A=`b\u{2028}", "'x\u{2028}"]
    {
        for begin in ["", "A='", "A=\"", "A=b\u{2028}'", "A=`\n"] {
            let content = format!("{begin}{}", part.repeat((1 << 18) / part.len()));
            parse(&content, known);
        }
    }
    assert!(started.elapsed().as_secs() < 30, "it took {:?}", started.elapsed());
}
