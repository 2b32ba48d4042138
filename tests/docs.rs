//! The documents stay true: their links lead somewhere, and what they list is what the code has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of the README, which is read first and by everybody. What does not fit belongs into `docs/`.
const MAX_README_BYTES: usize = 7_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file that belongs to the repository.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "node_modules" && name != "target" {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The lines of a page that are not in a block of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// What the links of a page lead to.
fn links(page: &str) -> Vec<String> {
    let prose: Vec<_> = prose(page).collect();
    let targets = prose.iter().flat_map(|line| line.split("](").skip(1));
    targets.filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The pages must have been found, and must have links.
#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    pages(root(), &mut found);
    let (mut checked, mut broken) = (0, Vec::new());
    for path in &found {
        let page = text(path);
        for link in links(&page) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a file is in a folder").join(file),
            };
            let leads_on =
                anchor.is_empty() || (target.is_file() && anchors(&text(&target)).contains(anchor));
            if !target.exists() || !leads_on {
                broken.push(format!("{}: {link}", path.strip_prefix(root()).unwrap_or(path).display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(found.len() > 10 && checked > 100, "{} pages with {checked} links", found.len());
}

#[test]
fn the_readme_is_short() {
    let length = text(&root().join("README.md")).len();
    assert!(length <= MAX_README_BYTES, "README.md has {length} bytes");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = text(&root().join("Cargo.toml"));
    let (_, rest) = manifest.split_once("[workspace.dependencies]\n").expect("the table is there");
    let (table, _) = rest.split_once("\n[").expect("another table follows");
    let names = table.lines().filter_map(|line| line.split_once(" = "));
    let ours = |name: &&str| *name != "chat-core" && *name != "chat-server";
    let in_manifest: BTreeSet<_> = names.map(|(name, _)| name.trim()).filter(ours).collect();

    let page = text(&root().join("docs/dependencies.md"));
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let first_columns = rows.filter_map(|row| row.split('|').nth(1));
    let on_page: BTreeSet<_> =
        first_columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect();
    assert_eq!(in_manifest, on_page, "the crates in Cargo.toml, and those in docs/dependencies.md");
}

/// What the README and CI say of the oldest Rust is what Cargo.toml says.
#[test]
fn there_is_one_oldest_rust() {
    let manifest = text(&root().join("Cargo.toml"));
    let (_, rest) = manifest.split_once("rust-version = \"").expect("it is there");
    let (oldest, _) = rest.split_once('"').expect("it ends");
    let readme = text(&root().join("README.md"));
    assert!(readme.contains(&format!(" {oldest} or later and a C compiler")), "README.md");
    let workflow = text(&root().join(".github/workflows/ci.yml"));
    assert!(workflow.contains(&format!("container: rust:{oldest}-")), "ci.yml");
}

#[test]
fn every_dialect_is_in_the_documents() {
    let (readme, protocol) = (text(&root().join("README.md")), text(&root().join("docs/protocol.md")));
    for dialect in chat_server::dialect::Dialects::built_in().known() {
        let name = dialect.name();
        assert!(readme.contains(&format!("\n| `{name}` |")), "README.md: {name}");
        assert!(protocol.contains(&format!("\n## {name}\n")), "docs/protocol.md: {name}");
    }
}
