//! The gist of a failure: what it says, without what differs although the failure is the same.

/// A text without how often was tried and for how long, and with locations cut to what several objects
/// share: the service of an address, and the folder of a file's path without the last two names.
pub(super) fn gist(text: &str) -> String {
    let text = without_attempts(text);
    text.split_inclusive(char::is_whitespace)
        .map(|word| {
            let place =
                word.trim_end_matches(|it: char| it.is_whitespace() || ",:;.)".contains(it));
            let end = &word[place.len()..];
            match shared(place) {
                Some(shared) => format!("{shared}/...{end}"),
                None => word.to_owned(),
            }
        })
        .collect()
}

/// Without `(tried 3 times in 0.8 s)`, which the end of retrying adds.
fn without_attempts(text: &str) -> String {
    const BEGIN: &str = " (tried ";
    const END: &str = " s)";
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        left.push_str(before);
        let is_number = |it: char| it.is_ascii_digit() || it == '.';
        match after.split_once(END) {
            Some((tried, after)) if tried.replace(" times in ", "").chars().all(is_number) => {
                rest = after;
            }
            _ => {
                left.push_str(BEGIN);
                rest = after;
            }
        }
    }
    left + rest
}

/// What the location of an object shares with others; `None` for any other word.
fn shared(word: &str) -> Option<&str> {
    if let Some(scheme) = word.find("://") {
        let host = scheme + "://".len();
        let end = host + word[host..].find('/')?;
        return (end + 1 < word.len()).then(|| &word[..end]);
    }
    let mut names = word.rsplitn(3, '/');
    let is_file = names.next()?.contains('.');
    let folder = names.nth(1)?;
    is_file.then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_location_what_others_share_is_left() {
        for (text, expected) in [
            (
                "reading the checkpoint https://acme.blob.core.windows.net/a/checkpoints/t/archive.json: \
                 it refuses",
                "reading the checkpoint https://acme.blob.core.windows.net/...: it refuses",
            ),
            ("s3://logs/t/2026/a.gz (no)", "s3://logs/... (no)"),
            (
                "reading /var/my poller/checkpoints/t/archive.json, in vain",
                "reading /var/my poller/checkpoints/..., in vain",
            ),
            (
                "(see https://a.example/b).\nc",
                "(see https://a.example/...).\nc",
            ),
        ] {
            assert_eq!(gist(text), expected);
        }
    }

    #[test]
    fn what_is_no_location_stays() {
        for text in [
            "",
            " ",
            "read/write and 1/2/3 of acme/event-grid: no",
            "https://acme.eu.auth0.com/ and https://acme.eu.auth0.com",
            "a.json b/c.json /c.json",
            "application/json, 10.0.0.0/8",
        ] {
            assert_eq!(gist(text), text);
        }
    }

    #[test]
    fn how_often_was_tried_is_left_out() {
        for (text, expected) in [
            (
                "no token (tried 3 times in 0.8 s): refused",
                "no token: refused",
            ),
            (
                "a (tried 2 times in 10.0 s): b (tried 12 times in 1.5 s)",
                "a: b",
            ),
            ("a (tried in vain for 3 s)", "a (tried in vain for 3 s)"),
            ("a (tried 3", "a (tried 3"),
        ] {
            assert_eq!(gist(text), expected);
        }
    }
}
