//! Every message of the program has a row in the troubleshooting tables of `docs/operate.md`, or of
//! `docs/destinations.md` if only one destination has it. Every row is about a message that exists.
//!
//! Messages are found by reading the source as text: the string after one of [`OPENERS`]. A value
//! that a message fills in is `…`, as in the tables. A row covers each message that begins with its
//! text.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

/// The code before a message, without white space.
const OPENERS: [&str; 39] = [
    "#[error(",
    "warn!(",
    "error!(",
    "unusable(&format_args!(",
    "misused(format_args!(",
    "Err(",
    "Err(format!(",
    "Invalid(",
    "Invalid(format!(",
    "invalid(",
    "invalid(&format!(",
    "Stays(",
    "Passes(",
    "Verdict::Stays(",
    "Verdict::Passes(",
    "Opener::Identity=>{",
    "Opener::Key=>{",
    "Opener::Signature=>{",
    "Opener::Key|Opener::Signature=>{",
    "ok_or_else(||",
    "ok_or_else(||{",
    "map_err(|_|",
    "wrong(path,",
    "wrong(&path,",
    "letadvice=",
    "letwhat=format!(",
    "letproblem=format!(",
    "bad_own(",
    "bad(",
    "ifself.is_emulator&&self.missing==Missing::IsMade{",
    "letwhy=format!(",
    "returnformat!(",
    "Unavailable(format!(",
    "StorageError::Denied(format!(",
    "Some(format!(",
    "Verdict::Fails,format!(",
    "Err(_)=>",
    "ok_or(",
    "}else{",
];
/// The call that reports a problem with a setting. Its first argument is the setting's name.
const PROBLEM: &str = ".problem(";
/// The fewest characters that a row may have.
const SHORTEST: usize = 6;

/// Messages that need no row of their own, by their beginning, and the reason.
const WITHOUT_ROW: [(&str, &str); 23] = [
    (
        "… (names are case-sensitive)",
        "ends a message that has a row",
    ),
    ("line …, column …", "ends a message that has a row"),
    ("using …", "what follows is a message"),
    ("preparing …", "what follows is a message"),
    ("--from …", "what follows is a message"),
    ("behind", "a part of the message about the clock"),
    (
        ", which is not in this folder",
        "ends what is said of missing settings",
    ),
    ("its AccountName ", CONNECTION),
    ("its EndpointSuffix ", CONNECTION),
    ("its AccountKey ", CONNECTION),
    ("its blob endpoint ", CONNECTION),
    ("it has neither Account", CONNECTION),
    ("it cannot be part of a host's name", CONNECTION),
    ("it was copied out of XML or HTML: ", CONNECTION),
    ("it is a URL; ", CONNECTION),
    ("it is not of the form Name=value", CONNECTION),
    ("… stands in quotes; ", CONNECTION),
    ("… has white space in it", CONNECTION),
    ("… is a whole URL; ", CONNECTION),
    ("… is not of the form name=value", CONNECTION),
    ("… has a % ", CONNECTION),
    ("… has no …", CONNECTION),
    ("the sig of …", CONNECTION),
];
const CONNECTION: &str = "follows `… cannot be used: `, and says what is to be written";

/// Texts in the tables that are not messages: those of other programs, and parts of messages.
const OF_OTHERS: [&str; 11] = [
    "an earlier run is still at work, so this invocation did nothing", // a line of a report
    "it is a symbolic link,",
    "not tried",
    "there is no such function",
    "the body",
    "the address is wrong, or",
    "this is a page,",
    "dead-letter retry",
    "Waiting for HttpWorker to be initialized",
    "Timeout value of … exceeded by function",
    "There was an error downloading the template from URI",
];

/// The string literals of a source file, each with the code before it, without white space.
fn literals(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut before = String::new();
    let mut rest = code;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("r#\"") {
            let (text, after) = rest[3..].split_once("\"#").unwrap();
            found.push((before.clone(), text.to_owned()));
            rest = after;
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest = rest.split_once("\"'").unwrap().1;
        } else if next == '"' {
            let (text, after) = literal(&rest[1..]);
            found.push((before.clone(), text));
            before.push('"');
            rest = after;
        } else {
            if !next.is_whitespace() {
                before.push(next);
            }
            rest = &rest[next.len_utf8()..];
        }
    }
    found
}

/// The text of a literal after its opening quote, and the code after the literal.
fn literal(code: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = code.chars();
    loop {
        match rest.next().unwrap() {
            '"' => return (text, rest.as_str()),
            '\\' => match rest.next().unwrap() {
                '\n' => rest = rest.as_str().trim_start().chars(),
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// A message as in the tables, with `…` for each value that is filled in.
fn as_in_tables(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = text.split('{');
    let mut message = parts.next().unwrap().to_owned();
    for part in parts {
        message.push('…');
        message.push_str(part.split_once('}').unwrap().1);
    }
    message.replace('\u{1}', "{").replace('\u{2}', "}")
}

/// The message in a literal, if the literal is one.
fn message(before: &str, text: &str) -> Option<String> {
    let is_problem = before
        .rsplit_once(PROBLEM)
        .is_some_and(|(_, arguments)| arguments.matches(',').count() == 1)
        && (before.ends_with(',') || before.ends_with(",&format!("));
    if text.is_empty() || !(is_problem || OPENERS.iter().any(|it| before.ends_with(it))) {
        return None;
    }
    // The name of a setting or a file comes before what is wrong with it.
    let verbs = [
        "is ", "must ", "may ", "names ", "has ", "belongs ", "cannot ", "needs ",
    ];
    let is_whole = before.ends_with("#[error(");
    let follows_a_name = !is_whole && verbs.iter().any(|it| text.starts_with(it));
    let name = if follows_a_name { "… " } else { "" };
    let message = format!("{name}{}", as_in_tables(text));
    let says_something = message.chars().filter(|it| it.is_alphabetic()).count() > 2;
    says_something.then_some(message)
}

/// All messages of the program, each with the path of its file.
fn messages() -> Vec<(String, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path
                .file_stem()
                .is_some_and(|it| it == "tests" || it == "faulty");
            if is_test {
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let code = fs::read_to_string(&path).unwrap();
                let code = code.split("\n#[cfg(test)]\nmod tests").next().unwrap();
                let messages = literals(code).into_iter();
                let messages = messages.filter_map(|(before, text)| message(&before, &text));
                found.extend(messages.map(|it| (it, path.display().to_string())));
            }
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// The code in the first column of the troubleshooting tables, without the `…` at its end.
fn rows() -> Vec<String> {
    let pages = [
        include_str!("../docs/operate.md"),
        include_str!("../docs/destinations.md"),
    ];
    let sections = pages.map(|page| {
        let (_, section) = page.split_once("\n## Troubleshooting\n").unwrap();
        section.split("\n## ").next().unwrap()
    });
    let lines = sections.iter().flat_map(|section| section.lines());
    let cells = lines.filter_map(|line| line.strip_prefix("| "));
    let cells = cells.map(|line| line.split(" | ").next().unwrap().replace("``", ""));
    let mut rows = Vec::new();
    for cell in cells {
        let spans = cell.split('`').skip(1).step_by(2);
        rows.extend(spans.map(|it| it.trim_end_matches([' ', '…']).to_owned()));
    }
    rows
}

#[test]
fn every_message_has_a_row_in_troubleshooting() {
    let rows = rows();
    let mut missing = Vec::new();
    for (message, file) in messages() {
        let is_covered = rows
            .iter()
            .any(|row| row.chars().count() >= SHORTEST && message.starts_with(row));
        let needs_none = WITHOUT_ROW.iter().any(|(it, _)| message.starts_with(it));
        if !is_covered && !needs_none {
            missing.push(format!("{file}: {message}"));
        }
    }
    assert!(missing.is_empty(), "no row:\n{}", missing.join("\n"));
}

#[test]
fn every_row_of_troubleshooting_is_about_a_message_that_there_is() {
    let messages = messages();
    let is_message = |text: &str| messages.iter().any(|(it, _)| it.starts_with(text));
    let rows = rows();
    let stale: Vec<_> = rows
        .iter()
        // A single word is a name, not a message.
        .filter(|row| row.contains(' ') && row.chars().count() >= SHORTEST)
        .filter(|row| !is_message(row) && !OF_OTHERS.contains(&row.as_str()))
        .collect();
    assert!(stale.is_empty(), "no message: {stale:#?}");
    for (text, reason) in WITHOUT_ROW {
        assert!(is_message(text), "{text} ({reason}) is no message any more");
    }
    for text in OF_OTHERS {
        assert!(rows.iter().any(|row| row == text), "{text}");
    }
}

#[test]
fn messages_are_found_where_they_are_written() {
    let code = r#"
        // warn!("a comment")
        #[error("{host} answered {status}: \
                 {said}")]
        reader.problem("NAME", "is missing")
        reader.problem(setting, &format!("has {{}} {what}"))
        let other = "no message";
        let quote = '"';
        return Err("must be \"so\"".into());
    "#;
    let found: Vec<_> = literals(code)
        .iter()
        .filter_map(|(before, text)| message(before, text))
        .collect();
    assert_eq!(
        found,
        [
            "… answered …: …",
            "… is missing",
            "… has {} …",
            "… must be \"so\""
        ]
    );
}
