//! Which records a destination gets: the settings `FILTER_<DESTINATION>`.
//!
//! A filter is a list of types, Auth0 categories, prefixes of either (with a star), and the preset
//! `security`. A term after `!` excludes, wherever it stands in the list. Only the record's type is
//! considered.

use crate::record::{Record, categories, category, texts, types};

/// What the preset `security` leaves out: the categories that make up most of a tenant's log, in
/// which nothing fails and nothing changes, and a few types of routine events.
const ROUTINE_CATEGORIES: [&str; 4] = [
    "auth.login.success",
    "auth.logout.success",
    "auth.silent_auth.success",
    "auth.token_exchange.success",
];
const ROUTINE_TYPES: [&str; 4] = [
    "ciba_start_succeeded",
    "flows_execution_completed",
    "forms_submission_succeeded",
    "resource_cleanup",
];
/// A failure that Auth0 files under a category of successes.
const MISFILED_FAILURE: &str = "feta";
const PRESET: &str = "security";

#[derive(Clone, Debug, Eq, PartialEq)]
enum Term {
    Type(String),
    Category(String),
    /// Matches types and categories.
    Prefix(String),
    Security,
}

/// Which records a destination gets. The default is all of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filter {
    /// A record has to match one of these, if there are any.
    wanted: Vec<Term>,
    /// A record must match none of these.
    unwanted: Vec<Term>,
}

impl Filter {
    /// Parses a list. An error says what a list may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for term in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match term.strip_prefix('!') {
                Some(term) => filter.unwanted.push(Term::parse(term.trim())?),
                None => filter.wanted.push(Term::parse(term)?),
            }
        }
        if filter == Self::default() {
            return Err(format!("names nothing; {}", what_it_takes()));
        }
        Ok(filter)
    }

    /// Parses a list for use. Refuses one whose exclusions remove everything that it names: the
    /// destination would get no record, and nothing would ever fail.
    pub fn read(text: &str) -> Result<Self, String> {
        let filter = Self::parse(text)?;
        let of_types = types().map(|code| (code, category(code)));
        // Also types that are not known yet.
        let of_categories = categories().map(|it| ("", Some(it)));
        let mut all = of_types.chain(of_categories).chain([("", None)]);
        if all.any(|(code, category)| filter.takes(code, category)) {
            return Ok(filter);
        }
        Err("names nothing that is left: what follows ! excludes all of it".into())
    }

    /// Whether this record is kept from the destination.
    pub fn leaves_out(&self, record: &Record) -> bool {
        if self.wanted.is_empty() && self.unwanted.is_empty() {
            return false;
        }
        let [code] = texts(record.text(), ["type"]);
        let code = code.as_deref().unwrap_or_default();
        !self.takes(code, category(code))
    }

    fn takes(&self, code: &str, category: Option<&str>) -> bool {
        let matches = |term: &Term| term.matches(code, category);
        (self.wanted.is_empty() || self.wanted.iter().any(matches))
            && !self.unwanted.iter().any(matches)
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        if text == PRESET {
            return Ok(Self::Security);
        }
        let is_known = |is: &dyn Fn(&str) -> bool| categories().any(is) || types().any(is);
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') && is_known(&|it| it.starts_with(prefix)) => {
                Ok(Self::Prefix(prefix.to_owned()))
            }
            None if categories().any(|it| it == text) => Ok(Self::Category(text.to_owned())),
            None if types().any(|it| it == text) => Ok(Self::Type(text.to_owned())),
            _ => Err(format!(
                "names what is neither a category nor a type; {}",
                what_it_takes()
            )),
        }
    }

    fn matches(&self, code: &str, category: Option<&str>) -> bool {
        match self {
            Self::Type(wanted) => code == wanted,
            Self::Category(wanted) => category == Some(wanted),
            Self::Prefix(prefix) => {
                code.starts_with(&**prefix) || category.is_some_and(|it| it.starts_with(&**prefix))
            }
            Self::Security => {
                let is_routine = category.is_some_and(|it| ROUTINE_CATEGORIES.contains(&it));
                !is_routine && !ROUTINE_TYPES.contains(&code) || code == MISFILED_FAILURE
            }
        }
    }
}

fn what_it_takes() -> String {
    let categories: Vec<_> = categories().collect();
    format!(
        "it takes type codes such as fp, the categories {}, a prefix of either with a star, such \
         as auth.* or gd_*, and {PRESET}, each with ! before it to leave it out",
        categories.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use serde_json::Value;
    use simulator::records::Generator;

    use super::*;
    use crate::record::LogId;
    use crate::redact::Redaction;
    use crate::table::Api;
    use crate::table::row::row;

    fn taken(filter: &str, codes: &str) -> String {
        let filter = Filter::parse(filter).unwrap();
        let taken = codes.split(' ');
        let taken = taken.filter(|it| filter.takes(it, category(it)));
        taken.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_list_holds_types_categories_and_prefixes_of_both() {
        let codes = "s fp fu f gd_auth_failed gd_new_type pwd_leak sapi feccft zzz_new";
        for (filter, expected) in [
            ("fp", "fp"),
            (" fp , s ,", "s fp"),
            ("auth.login.fail", "fp fu f"),
            ("auth.*", "s fp fu f feccft"),
            ("gd_*", "gd_auth_failed gd_new_type"),
            ("management.*", "sapi"),
            ("management.fail", ""),
            ("other", "gd_auth_failed pwd_leak"),
            ("*", codes),
            ("pwd_leak,auth.login.success", "s pwd_leak"),
        ] {
            assert_eq!(taken(filter, codes), expected, "{filter}");
        }
    }

    #[test]
    fn what_is_taken_away_is_so_whatever_the_order() {
        let codes = "s fp fu sapi zzz_new";
        for (filter, expected) in [
            ("auth.*,!fp", "s fu"),
            ("!fp,auth.*", "s fu"),
            ("!auth.*", "sapi zzz_new"),
            ("! fp, !s", "fu sapi zzz_new"),
            ("fp,!fp", ""),
            ("!management.fail", codes),
            ("!security", "s"),
        ] {
            assert_eq!(taken(filter, codes), expected, "{filter}");
        }
    }

    #[test]
    fn security_leaves_out_routine_and_nothing_that_is_not_known() {
        let routine = "s scoa sens sdel slo ssa sdelsa seacft seccft sertft seta \
                       oidc_backchannel_logout_succeeded flows_execution_completed";
        for code in routine.split_ascii_whitespace() {
            assert_eq!(taken("security", code), "", "{code}");
        }
        let kept = "f fp fu fcoa fens fsa fdelsa feacft fepft fertft feta fs ss fscim sapi \
                    mgmt_api_read pwd_leak signup_pwd_leak reset_pwd_leak limit_wc limit_mu \
                    limit_sul limit_phone ublkdu api_limit gd_auth_failed gd_auth_succeed \
                    gd_start_auth gd_send_sms gd_unenroll mfar passkey_challenge_failed scp sce \
                    fcp du sdu cs w depnote actions_execution_failed too_many_records zzz_new";
        for code in kept.split_ascii_whitespace() {
            assert_eq!(taken("security", code), code);
        }
        assert!(Filter::parse("security").unwrap().takes("", None));
        assert_eq!(taken("security,s", "s slo"), "s");
    }

    /// Whatever category Auth0 files it under.
    #[test]
    fn security_leaves_out_nothing_that_is_called_a_failure() {
        let parser = include_str!("../../sentinel/parsers/Auth0Events.yaml");
        let entries = parser.lines().map(|it| it.trim().trim_matches('\''));
        let names = entries.filter_map(|it| it.split_once("', '"));
        let failures = names.filter(|(_, name)| name.to_lowercase().contains("fail"));
        let mut count = 0;
        for (code, name) in failures {
            assert_eq!(taken("security", code), code, "{name}");
            count += 1;
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn an_unknown_name_is_a_problem_that_says_which_exist() {
        for text in [
            "FP",
            "auth.login",
            "xyz*",
            "a*b",
            "**",
            "!nope",
            "fp,typo",
            "!",
            "fp s",
        ] {
            let problem = Filter::parse(text).unwrap_err();
            assert!(problem.starts_with("names what is neither"), "{text}");
            assert!(problem.contains("auth.login.fail, auth.login.notification"));
        }
        for text in [",", " , "] {
            assert!(
                Filter::parse(text)
                    .unwrap_err()
                    .starts_with("names nothing")
            );
        }
    }

    #[test]
    fn a_list_that_takes_away_all_that_it_names_is_refused() {
        for text in [
            "fp,!fp",
            "!*",
            "*,!*",
            "auth.login.fail,!auth.*",
            "security,!security",
            "pwd_leak,fp,!other,!auth.*",
        ] {
            let problem = Filter::read(text).unwrap_err();
            assert!(problem.starts_with("names nothing that is left"), "{text}");
        }
        for text in [
            "fp,s,!fp",
            "!fp",
            "!auth.*,!user.*,!management.*",
            "management.fail",
            "management.fail,!fp",
            "management.*,!management.success",
            "security,!other",
        ] {
            assert_eq!(Filter::read(text), Filter::parse(text), "{text}");
        }
    }

    #[test]
    fn a_record_is_judged_by_its_type_alone() {
        let leaves_out = |filter: &str, json: &'static str| {
            Filter::parse(filter).unwrap().leaves_out(&Record {
                log_id: LogId::new("9001"),
                date: None,
                json: Bytes::from_static(json.as_bytes()),
            })
        };
        assert!(!leaves_out("fp", r#"{"type":"fp"}"#));
        assert!(leaves_out("fp", r#"{"type":"s","description":"fp"}"#));
        assert!(leaves_out("fp", r#"{"type":["fp"]}"#));
        assert!(leaves_out("fp", "{}"));
        assert!(!leaves_out("!fp", "{}"));
        let everything = Filter::default();
        let record = Record {
            log_id: LogId::new("9001"),
            date: None,
            json: Bytes::from_static(b"{}"),
        };
        assert!(!everything.leaves_out(&record));
    }

    /// The figures in docs/destinations.md, for a tenant whose record types occur in the
    /// simulator's proportions.
    #[test]
    fn the_preset_leaves_out_the_share_of_a_tenant_s_volume_that_is_documented() {
        let security = Filter::parse("security").unwrap();
        let mut generator = Generator::seeded(1);
        let (mut all, mut left_out) = ((0, 0), (0, 0));
        let mut of_kinds = [0; 3];
        for _ in 0..20_000 {
            let record = generator.record(DateTime::UNIX_EPOCH);
            let json = Value::Object(record).to_string();
            let row = row(&json, Api::DataCollector, Redaction::On).unwrap().len();
            all = (all.0 + 1, all.1 + row);
            let record = Record {
                log_id: LogId::new("1"),
                date: None,
                json: json.into(),
            };
            let [code] = texts(record.text(), ["type"]);
            match code.as_deref() {
                Some("s") => of_kinds[0] += 1,
                Some("seacft" | "sertft") => of_kinds[1] += 1,
                Some("slo") => of_kinds[2] += 1,
                _ => {}
            }
            if security.leaves_out(&record) {
                left_out = (left_out.0 + 1, left_out.1 + row);
            }
        }
        let percent = |part: usize, all: usize| (100 * part + all / 2) / all;
        let shares = (percent(left_out.0, all.0), percent(left_out.1, all.1));
        assert_eq!(shares, (66, 67));
        assert_eq!(of_kinds.map(|it| percent(it, all.0)), [25, 34, 6]);
    }
}
