//! The route of an HTTP trigger: `health/{part?}`, after the prefix `/api`.

use std::collections::BTreeMap;

/// The parameters of a route by name. An absent one has no value.
pub(super) type Parameters = BTreeMap<String, Option<String>>;

/// A route's template. Constraints, defaults and catch-all parameters are not supported.
#[derive(Debug)]
pub(super) struct Route(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Literal(String),
    Parameter { name: String, is_optional: bool },
}

impl Route {
    /// Panics unless this stand-in supports the template.
    pub fn read(template: &str) -> Self {
        let segments: Vec<_> = template.split('/').map(Segment::read).collect();
        let optional = segments.iter().position(|segment| {
            matches!(
                segment,
                Segment::Parameter {
                    is_optional: true,
                    ..
                }
            )
        });
        assert!(
            optional.is_none_or(|at| at + 1 == segments.len()),
            "{template}: only the last parameter may be absent"
        );
        Self(segments)
    }

    /// The parameters in this path, if it matches the route.
    pub fn parameters(&self, path: &str) -> Option<Parameters> {
        let rest = path.strip_prefix("/api/")?;
        // If the last parameter is absent, its slash may still be there.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut given = rest.split('/');
        let mut parameters = Parameters::new();
        for segment in &self.0 {
            match (segment, given.next()) {
                (Segment::Literal(literal), Some(text)) if text.eq_ignore_ascii_case(literal) => {}
                (Segment::Parameter { name, .. }, Some(text)) if !text.is_empty() => {
                    parameters.insert(name.clone(), Some(decoded(text)));
                }
                (
                    Segment::Parameter {
                        name,
                        is_optional: true,
                    },
                    None,
                ) => {
                    parameters.insert(name.clone(), None);
                }
                _ => return None,
            }
        }
        given.next().is_none().then_some(parameters)
    }
}

impl Segment {
    fn read(text: &str) -> Self {
        let name = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let Some(name) = name else {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(!text.is_empty() && text.chars().all(is_plain), "{text}");
            return Self::Literal(text.to_owned());
        };
        let (name, is_optional) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (name, false),
        };
        assert!(
            !name.is_empty() && name.chars().all(char::is_alphanumeric),
            "this stand-in knows no parameter {text}"
        );
        Self::Parameter {
            name: name.to_owned(),
            is_optional,
        }
    }
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = rest.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let code = code.and_then(|it| u8::from_str_radix(it, 16).ok());
        match code {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &rest[2..];
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("a path of UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(template: &str, path: &str) -> Option<Vec<(String, Option<String>)>> {
        let parameters = Route::read(template).parameters(path)?;
        Some(parameters.into_iter().collect())
    }

    #[test]
    fn the_last_parameter_may_be_absent_and_is_then_null() {
        let part = |value: &str| vec![("part".to_owned(), Some(value.to_owned()))];
        let template = "health/{part?}";
        let absent = vec![("part".to_owned(), None)];
        assert_eq!(parameters(template, "/api/health"), Some(absent.clone()));
        assert_eq!(parameters(template, "/api/health/"), Some(absent));
        let metrics = parameters(template, "/api/health/metrics");
        assert_eq!(metrics, Some(part("metrics")));
        let decoded = parameters(template, "/api/HEALTH/a%20b%2Fc");
        assert_eq!(decoded, Some(part("a b/c")));
        for other in ["/health", "/api/healthy", "/api/health/a/b", "/api"] {
            assert_eq!(parameters(template, other), None, "{other}");
        }
        assert_eq!(parameters("health", "/api/health"), Some(Vec::new()));
        assert_eq!(parameters("a/{b}/c", "/api/a//c"), None);
    }

    #[test]
    fn a_template_with_more_in_it_is_refused() {
        for template in ["a/{b:int}", "a/{*b}", "a/{b?}/c", "/a", "a b", "a/{b=1}"] {
            let read = std::panic::catch_unwind(|| Route::read(template));
            assert!(read.is_err(), "{template}");
        }
    }
}
