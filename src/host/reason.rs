//! The reason phrase of a failed invocation.
//!
//! The host keeps nothing else of a failure: the function's *Invocations* page, the failed request
//! in Application Insights and every alert on it show the status line. The body is discarded.

use hyper::ext::ReasonPhrase;

use super::gist::gist;

/// Maximum bytes of a phrase. The host was seen to accept 3,000; people read one line.
const LONGEST: usize = 512;
/// Minimum bytes for each failure if they do not all fit: fewer would leave no room for the remedy.
const LEAST: usize = 120;
const BETWEEN: &str = " | ";
const CUT: &str = "...";

/// The phrase for these failures; `None` if they are empty.
pub(super) fn reason(failures: &[String]) -> Option<ReasonPhrase> {
    let text = phrase(failures);
    // Printable ASCII is always a valid phrase.
    ReasonPhrase::try_from(text.into_bytes())
        .ok()
        .filter(|phrase| !phrase.as_bytes().is_empty())
}

/// Lists each distinct failure with its count. If they do not all fit, lists the [`gist()`] of each,
/// shortened. If that leaves too little for each, lists the first ones and the number of the others.
fn phrase(failures: &[String]) -> String {
    let whole = counted(failures.iter().map(|it| printable(it)));
    if whole.join(BETWEEN).len() <= LONGEST {
        return whole.join(BETWEEN);
    }
    let parts = counted(failures.iter().map(|it| printable(&gist(it))));
    let mut told = parts.len();
    let (rest, room) = loop {
        let rest = match parts.len() - told {
            0 => String::new(),
            more => format!("{BETWEEN}and {more} more"),
        };
        let between = BETWEEN.len() * told.saturating_sub(1);
        let room = share(&parts[..told], LONGEST.saturating_sub(between + rest.len()));
        if room >= LEAST || told < 2 {
            break (rest, room);
        }
        told -= 1;
    };
    let parts: Vec<_> = parts[..told].iter().map(|part| cut(part, room)).collect();
    parts.join(BETWEEN) + &rest
}

/// Each distinct text, with its count.
fn counted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for text in texts.filter(|it| !it.is_empty()) {
        match counted.iter_mut().find(|(it, _)| *it == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    let told = counted.into_iter().map(|(text, count)| match count {
        1 => text,
        count => format!("{text} ({count} times)"),
    });
    told.collect()
}

/// The largest limit per part that keeps their sum within `room`. What short parts leave is given
/// to the longer ones.
fn share(parts: &[String], room: usize) -> usize {
    let mut lengths: Vec<_> = parts.iter().map(String::len).collect();
    lengths.sort_unstable();
    let mut left = room;
    for (index, length) in lengths.iter().enumerate() {
        let each = left / (lengths.len() - index);
        if *length > each {
            return each;
        }
        left -= length;
    }
    room
}

/// A text as one line of printable ASCII.
fn printable(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let letters = word
            .chars()
            .map(|it| if it.is_ascii_graphic() { it } else { '?' });
        letters.collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Truncates a text after a word.
fn cut(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let beginning = &text[..room.saturating_sub(CUT.len())];
    let word = beginning.rfind(' ').filter(|at| *at > 0);
    let end = word.unwrap_or(beginning.len());
    let beginning = beginning[..end].trim_end_matches([' ', ',', ';', ':', '|']);
    format!("{beginning}{CUT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(failures: &[&str]) -> String {
        let failures: Vec<_> = failures.iter().map(|it| (*it).to_owned()).collect();
        phrase(&failures)
    }

    #[test]
    fn what_is_said_twice_is_told_once_with_its_count() {
        assert_eq!(of(&["a: x", "b: y"]), "a: x | b: y");
        assert_eq!(of(&["a", "b", "a", "a"]), "a (3 times) | b");
        assert_eq!(of(&["", "a", " \n"]), "a");
        assert!(reason(&[]).is_none());
        assert!(reason(&[" \r\n".to_owned()]).is_none());
    }

    #[test]
    fn a_phrase_is_one_line_of_printable_ascii() {
        assert_eq!(of(&["a\r\nb\u{1b}[31m\tc\u{0}"]), "a b?[31m c?");
        assert_eq!(of(&["Zürich “x” 日本"]), "Z?rich ?x? ??");
        assert_eq!(of(&["100 % {\"a\"} 'b'"]), "100 % {\"a\"} 'b'");
        let odd: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        let phrase = reason(&[odd]).unwrap();
        let is_printable = |it: &u8| (0x20..0x7f).contains(it);
        assert!(phrase.as_bytes().iter().all(is_printable));
    }

    #[test]
    fn a_long_one_is_cut_after_a_word() {
        let words = "word ".repeat(200);
        let text = of(&[&words]);
        // 101 words with the spaces between them.
        assert_eq!(text.len(), 4 * 101 + 100 + 3);
        assert!(text.ends_with("word word..."), "{text}");
        assert_eq!(
            of(&[&"x".repeat(10_000)]),
            format!("{}...", "x".repeat(509))
        );
        assert_eq!(of(&[&"x".repeat(512)]), "x".repeat(512));
        assert_eq!(
            of(&[&format!("{}, {}", "x".repeat(500), "y".repeat(50))]).len(),
            503
        );
    }

    #[test]
    fn of_several_long_ones_each_has_its_share() {
        let (a, b) = ("a".repeat(1_000), "b".repeat(1_000));
        let text = of(&[&a, "short", &b]);
        // 512 less two separators and the short part, divided by two.
        let each = (512 - 6 - 5) / 2;
        let part = |letter: &str| format!("{}...", letter.repeat(each - 3));
        assert_eq!(text, format!("{} | short | {}", part("a"), part("b")));
        let many: Vec<String> = (0..400).map(|n| format!("failure {n}")).collect();
        assert!(phrase(&many).len() <= 512);
    }

    /// Otherwise the location, which is one word, would be cut with the reason after it.
    #[test]
    fn of_what_does_not_fit_locations_are_cut_before_reasons() {
        let failure = |name: &str| {
            let host = "https://acme.blob.core.windows.net";
            let place = format!("{host}/auth0-poller/checkpoints/acme.eu.auth0.com/{name}.json");
            format!(
                "{name}: reading the checkpoint {place} (tried 2 times in 0.7 s): {name} is away"
            )
        };
        let one = failure("archive");
        assert_eq!(of(&[&one]), one);
        let names = ["archive", "event-bridge", "event-grid", "tinybird"];
        let told = phrase(&names.map(failure));
        let gist = |name| {
            format!(
                "{name}: reading the checkpoint https://acme.blob.core.windows.net/...: {name} is away"
            )
        };
        assert_eq!(told, names.map(gist).join(" | "));
    }

    #[test]
    fn of_more_than_there_is_room_for_the_first_are_told_and_how_many_more_there_are() {
        let failure = |n| format!("tenant{n}/log-analytics: {}", "word ".repeat(40).trim_end());
        let all: Vec<_> = (1..=10).map(failure).collect();
        let text = phrase(&all);
        assert!(text.len() <= 512, "{text}");
        let parts: Vec<_> = text.split(BETWEEN).collect();
        assert_eq!(parts.len(), 5, "{text}");
        for (part, n) in parts.iter().zip(1..=4) {
            assert!(part.starts_with(&format!("tenant{n}/")), "{text}");
            assert!(part.len() > LEAST - 10, "{text}");
        }
        assert_eq!(parts[4], "and 6 more");
        // Short failures are listed up to the limit.
        let many: Vec<String> = (0..400).map(|n| format!("failure {n}")).collect();
        let text = phrase(&many);
        assert!(text.starts_with("failure 0 | failure 1 | "), "{text}");
        assert!(text.ends_with("more") && text.len() > 480, "{text}");
        assert!(!text.contains(CUT), "{text}");
    }
}
