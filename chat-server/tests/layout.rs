//! How the source is laid out: no large circles of imports, no long files.
//!
//! A module imports another when it names it by a path, in a `use` or in the code. That it declares a child is no import: what
//! knows everything may be declared below what everything knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most modules that may import each other in a circle.
const MAX_CIRCLE: usize = 6;
/// Most lines of a file.
const MAX_LINES: usize = 500;
/// Half of the files of a crate are shorter.
const MAX_MEDIAN: usize = 150;

type Module = Vec<String>;

#[test]
fn modules_do_not_import_each_other_in_large_circles() {
    let modules = modules(&root().join("chat-server/src"));
    assert!(modules.len() > 100, "they were not found");
    let large: Vec<_> = circles(&modules).into_iter().filter(|circle| circle.len() > MAX_CIRCLE).collect();
    let shown: Vec<String> = large.iter().flatten().map(|module| module.join("::")).collect();
    assert!(large.is_empty(), "{} modules import each other in a circle: {shown:?}", shown.len());
}

#[test]
fn files_are_short() {
    let long: Vec<_> = ["benches", "chat-core", "chat-server", "examples", "fuzz", "tests"]
        .iter()
        .flat_map(|folder| files(&root().join(folder)))
        .map(|file| (lines(&file), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "longer than {MAX_LINES} lines: {long:?}");
    for source in ["chat-core/src", "chat-server/src"] {
        let mut lengths: Vec<_> = files(&root().join(source)).iter().map(|file| lines(file)).collect();
        lengths.sort_unstable();
        let median = lengths[lengths.len() / 2];
        assert!(median < MAX_MEDIAN, "half of the files of {source} are longer than {median} lines");
    }
}

#[test]
fn circles_are_found_in_whatever_form_a_path_has() {
    let modules = |texts: &[(&str, &str)]| -> BTreeMap<Module, String> {
        texts.iter().map(|(name, text)| (name.split("::").map(str::to_owned).collect(), code(text))).collect()
    };
    let sizes = |texts: &[(&str, &str)]| -> Vec<usize> {
        circles(&modules(texts)).iter().map(BTreeSet::len).collect()
    };
    assert_eq!(
        sizes(&[("a", "use crate::b::B;"), ("b", "use crate::c;"), ("c", "fn c() { crate::a::f() }")]),
        [3]
    );
    // By a tree of several lines, by a child without `self`, and from a child upwards.
    assert_eq!(
        sizes(&[("a", "pub(crate) use crate::{\n    b::{X, Y as Z},\n};"), ("b", "use crate::a::*;")]),
        [2]
    );
    assert_eq!(sizes(&[("a", "pub use child::X;"), ("a::child", "use super::Y;")]), [2]);
    assert_eq!(sizes(&[("a", "use self::child::X;"), ("a::child", "use super::super::a::Y;")]), [2]);
    // A declaration, a comment, a test and a brother's path are none.
    assert_eq!(sizes(&[("a", "mod child;\n// use self::child::X;"), ("a::child", "use super::Y;")]), []);
    let test = "use crate::b::B;\n#[cfg(test)]\nmod tests {\n    use crate::c::C;\n}";
    assert_eq!(sizes(&[("a", test), ("b", ""), ("c", "use crate::a::A;")]), []);
    assert_eq!(
        sizes(&[("a::one", "use super::two::X;"), ("a::two", "use crate::a::three;"), ("a::three", "")]),
        []
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// All Rust files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match entry.is_dir() {
            true if name != "target" && name != "node_modules" => found.extend(files(&entry)),
            false if name.ends_with(".rs") => found.push(entry),
            _ => {}
        }
    }
    found
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).expect("a text").lines().count()
}

/// The modules of a crate by their paths, with their code. Tests are none.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    for file in files(source) {
        let mut path: Module = file
            .strip_prefix(source)
            .expect("it is in there")
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if path.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
            path.pop();
        }
        if !path.iter().any(|part| part == "tests" || part.ends_with("_tests")) {
            modules.insert(path, code(&fs::read_to_string(&file).expect("a text")));
        }
    }
    modules
}

/// A file's code without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let text = text.split("#[cfg(test)]\npub(crate) mod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that import each other, in circles of two or more.
fn circles(modules: &BTreeMap<Module, String>) -> Vec<BTreeSet<Module>> {
    let imports: BTreeMap<&Module, BTreeSet<Module>> =
        modules.iter().map(|(module, code)| (module, imports(modules, module, code))).collect();
    let reached: BTreeMap<&Module, BTreeSet<Module>> = modules
        .keys()
        .map(|from| {
            let mut reached = BTreeSet::new();
            let mut left: Vec<Module> = imports[from].iter().cloned().collect();
            while let Some(module) = left.pop() {
                if reached.insert(module.clone()) {
                    left.extend(imports[&module].iter().cloned());
                }
            }
            (from, reached)
        })
        .collect();
    let circles: BTreeSet<BTreeSet<Module>> = reached
        .iter()
        .filter(|(from, reached)| reached.contains(**from))
        .map(|(from, there)| there.iter().filter(|to| reached[to].contains(*from)).cloned().collect())
        .collect();
    circles.into_iter().collect()
}

/// What a module imports.
fn imports(modules: &BTreeMap<Module, String>, module: &Module, code: &str) -> BTreeSet<Module> {
    let (mut paths, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let Some(tree) = use_tree(line) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            let Some(line) = lines.next() else { break };
            tree.push_str(line);
        }
        expand(&[], tree.split(';').next().unwrap_or_default(), &mut paths);
    }
    for start in ["crate", "super", "self"] {
        for (at, _) in rest.match_indices(&format!("{start}::")) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$';
            if !rest[..at].ends_with(is_word) {
                let end = rest[at..].find(|c| !is_word(c)).map_or(rest.len(), |end| at + end);
                paths.push(rest[at..end].split("::").map(str::to_owned).collect());
            }
        }
    }
    paths.iter().filter_map(|path| resolve(modules, module, path)).filter(|found| found != module).collect()
}

/// What follows `use` in a line that begins with it.
fn use_tree(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    line.strip_prefix("use ")
}

/// The paths of a use tree.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<Module>) {
    let (head, body) = tree.split_once('{').unwrap_or((tree, ""));
    let head = head.split(" as ").next().unwrap_or_default();
    let mut path = prefix.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    if body.is_empty() {
        return paths.push(path);
    }
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in body.char_indices().chain([(body.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[begin..at].trim().is_empty() {
                    expand(&path, &body[begin..at], paths);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// The module in which the thing with this path is. None of other crates.
fn resolve(modules: &BTreeMap<Module, String>, module: &Module, path: &[String]) -> Option<Module> {
    let (mut base, mut rest) = (module.clone(), path);
    match path.first()?.as_str() {
        "crate" => (base, rest) = (Module::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        child => {
            let mut inner = base.clone();
            inner.push(child.to_owned());
            modules.get(&inner)?;
        }
    }
    base.extend_from_slice(rest);
    while !base.is_empty() && !modules.contains_key(&base) {
        base.pop();
    }
    (!base.is_empty()).then_some(base)
}
