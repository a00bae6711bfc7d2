//! The structure of the source: which room (a module of the library) may import which, how long a
//! file may be, and where a destination may be named. The source is read as text, without its
//! tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 450;
const LONGEST_MAIN: usize = 40;

/// A source file: its path below `src`, and its text without tests.
struct File {
    path: PathBuf,
    code: String,
}

impl File {
    /// The module of the library that the file belongs to.
    fn room(&self) -> String {
        let first = self.path.iter().next().unwrap();
        Path::new(first).with_extension("").display().to_string()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// All source files except those that are only for tests.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|it| it == "tests");
            if is_test {
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
                files.push(File {
                    path: path.strip_prefix(&root).unwrap().to_owned(),
                    code: code.to_owned(),
                });
            }
        }
    }
    assert!(files.len() > 30);
    files
}

/// The rooms that code names, after `crate::` or in a list there.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let is_part = |it: &char| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == '_';
        text.chars().take_while(is_part).collect()
    };
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `pub(crate)` is not a path, and `…_crate::` names another crate.
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap();
            rooms.extend(list.split(',').map(|it| word(it.trim())));
        } else {
            rooms.insert(word(rest));
        }
    }
    rooms
}

/// For each room, the rooms that it names.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let files = files();
    let rooms: BTreeSet<String> = files.iter().map(File::room).collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let room = file.room();
        let mut named = named_rooms(&file.code);
        named.retain(|it| *it != room && rooms.contains(it));
        imports.entry(room).or_default().extend(named);
    }
    imports
}

/// So none imports in a circle, and the list can be read from the top.
#[test]
fn no_room_imports_from_one_that_is_later_in_the_list_of_lib_rs() {
    let (_, after) = include_str!("../src/lib.rs")
        .split_once("from a later one in this list:\n//!\n")
        .unwrap();
    let (list, _) = after.split_once("\n//!\n").unwrap();
    let rooms: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    let place = |room: &str| {
        let place = rooms.iter().position(|it| *it == room);
        place.unwrap_or_else(|| panic!("lib.rs does not list {room}"))
    };
    for (room, named) in imports() {
        for other in named {
            assert!(place(&other) < place(&room), "{room} imports {other}");
        }
    }
}

#[test]
fn rooms_know_only_what_they_may() {
    let imports = imports();
    for (room, forbidden) in [
        ("destination", &["auth0", "run", "state"][..]),
        ("report", &["auth0", "destination", "storage"]),
        ("storage", &["auth0", "record", "state"]),
        ("azure", &["auth0", "aws", "record", "table", "storage"]),
        ("aws", &["auth0", "record", "table", "storage"]),
        ("run", &["auth0", "azure", "state", "storage", "table"]),
        ("state", &["auth0", "azure", "destination"]),
        ("settings", &["auth0", "azure", "destination", "storage"]),
    ] {
        for other in forbidden {
            assert!(!imports[room].contains(*other), "{room} imports {other}");
        }
    }
}

#[test]
fn a_file_is_one_idea_and_main_is_a_few_lines() {
    for file in files() {
        let lines = file.code.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.name());
        if file.name() == "main.rs" {
            assert!(lines <= LONGEST_MAIN, "main.rs has {lines} lines");
        }
    }
}

/// A new destination takes one file and two lines in the list: one declares the module.
#[test]
fn a_destination_is_named_in_its_own_file_and_in_the_list_and_nowhere_else() {
    let files = files();
    let own: Vec<_> = files
        .iter()
        .filter(|file| file.code.contains("const KIND: Kind"))
        .map(|file| file.path.clone())
        .collect();
    assert!(own.len() >= 3);
    for own in own {
        let module = own.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = format!("\"{}\"", module.replace('_', "-"));
        for file in files.iter().filter(|file| file.path != own) {
            let count = file.code.matches(&name).count();
            assert_eq!(count, 0, "{} names {name}", file.name());
            let lines = file.code.lines();
            // In other files a module of that name is the service's client.
            let is_list = file.name() == "destination/mod.rs";
            let names_module = |line: &&str| {
                line.contains(&format!("{module}::KIND"))
                    || is_list && line.trim() == format!("mod {module};")
            };
            let lines = lines.filter(names_module).count();
            let expected = if is_list { 2 } else { 0 };
            assert_eq!(lines, expected, "{} {module}", file.name());
        }
    }
}

/// The text of all Rust files below these folders.
fn code_below(folders: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = folders.iter().map(|it| root.join(it)).collect();
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                code.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    code
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let page = include_str!("../SECURITY.md");
    let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    // Names of fields have fewer words than names of tests.
    let is_test = |it: &&str| it.bytes().all(is_letter) && it.matches('_').count() > 3;
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 40, "{named:?}");
    let code = code_below(&["src", "tests/blackbox", "xtask"]);
    let is_there = |name: &&str| code.contains(&format!("fn {name}("));
    let gone: Vec<_> = named.iter().filter(|it| !is_there(it)).collect();
    assert!(gone.is_empty(), "no such test: {gone:#?}");
}

/// A page shows code in a list without the list's indentation and four spaces. If a space remained
/// before `END`, a shell would not find the end of the here-document.
#[test]
fn a_here_document_ends_where_the_shell_looks_for_it() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut ends = 0;
    for page in fs::read_dir(docs).unwrap() {
        let path = page.unwrap().path();
        if path.extension().is_none_or(|it| it != "md") {
            continue;
        }
        let mut list = 0;
        for line in fs::read_to_string(&path).unwrap().lines() {
            let indent = line.len() - line.trim_start().len();
            if indent == 0 && !line.is_empty() {
                let text = line.trim_start_matches(|it: char| it.is_ascii_digit());
                let is_list = text.len() < line.len() && text.starts_with(". ");
                list = if is_list {
                    line.len() - text.len() + 2
                } else {
                    0
                };
            }
            if line.trim_start() == "END" {
                assert_eq!(indent, list + 4, "{}", path.display());
                ends += 1;
            }
        }
    }
    assert!(ends > 0);
}
