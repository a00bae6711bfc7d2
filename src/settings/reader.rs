//! Reads settings one by one and collects all problems, so that they are reported together.

use std::fmt;

use super::AppSettings;
use crate::error::is_command_or_unseen;

/// Names of references that the platform replaces by the value that they point to, as in
/// `@Microsoft.KeyVault(SecretUri=…)`.
const KEY_VAULT_REFERENCE: &str = "Microsoft.KeyVault";
const APP_CONFIGURATION_REFERENCE: &str = "Microsoft.AppConfiguration";
/// Ends of the names of vaults, in each cloud.
const VAULTS: [&str; 3] = [
    ".vault.azure.net",
    ".vault.usgovcloudapi.net",
    ".vault.azure.cn",
];

/// A setting that is missing or cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Problem {
    /// The name under which a person finds it.
    setting: String,
    text: String,
}

/// All problems with the settings of one layer, or of several.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SettingsError(Vec<Problem>);

impl SettingsError {
    /// One problem of one setting.
    pub fn new(setting: String, text: &str) -> Self {
        let text = text.to_owned();
        Self(vec![Problem { setting, text }])
    }

    /// Each problem on a line, beginning with the setting's name.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0
            .iter()
            .map(|problem| format!("{} {}", problem.setting, problem.text))
    }

    /// Adds the problems of another layer. A setting that layers share is reported once.
    pub fn add(&mut self, other: Self) {
        for problem in other.0 {
            if !self.0.iter().any(|it| it.setting == problem.setting) {
                self.0.push(problem);
            }
        }
    }

    /// Only the problems of these settings.
    pub fn about(mut self, settings: &[String]) -> Self {
        self.0.retain(|problem| settings.contains(&problem.setting));
        self
    }

    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.lines().collect();
        match &problems[..] {
            [one] => write!(f, "a setting needs attention: {one}"),
            many => write!(
                f,
                "{} settings need attention: {}",
                many.len(),
                many.join("; ")
            ),
        }
    }
}

impl std::error::Error for SettingsError {}

/// Reads settings and collects problems. `None` for a required setting means that a problem is noted.
pub(crate) struct Reader<'a> {
    settings: &'a AppSettings,
    problems: SettingsError,
}

impl<'a> Reader<'a> {
    /// Reads one layer with `read`.
    pub fn read<T>(
        settings: &'a AppSettings,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, SettingsError> {
        let mut reader = Self {
            settings,
            problems: SettingsError::default(),
        };
        match (read(&mut reader), reader.problems) {
            (Some(layer), problems) if problems.is_empty() => Ok(layer),
            (_, problems) => Err(problems),
        }
    }

    /// A setting's value. These values are problems:
    ///
    /// - a Key Vault or App Configuration reference that the platform passed on unresolved;
    /// - a value in quotes, as `docker --env-file` passes it on: no setting can mean them;
    /// - invisible characters, which may be copied from a web page;
    /// - the replacement character, which stands for invalid UTF-8 in the environment.
    pub fn get(&mut self, setting: &'static str) -> Option<&'a str> {
        let value = self.settings.get(setting)?;
        if is_of_vault(value) {
            return self.problem(
                setting,
                "is a Key Vault reference that was not resolved: see that it is written \
                 @Microsoft.KeyVault(SecretUri=…), without quotes; give the app's identity the \
                 role Key Vault Secrets User on the vault; see that the secret is there under that \
                 name and enabled, and that the vault's firewall lets the app in (Function App, \
                 Environment variables, shows why it failed); then let the platform fetch it again \
                 and restart the app (docs/operate.md, Keys)",
            );
        }
        if is_reference(value, APP_CONFIGURATION_REFERENCE) {
            return self.problem(
                setting,
                "is an App Configuration reference that was not resolved: see that it is written \
                 @Microsoft.AppConfiguration(Endpoint=…; Key=…), without quotes; give the app's \
                 identity the role App Configuration Data Reader on the store, and, where the store \
                 has a Key Vault reference under that key, Key Vault Secrets User on the vault; then \
                 restart the app",
            );
        }
        if is_in_quotes(value) {
            return self.problem(setting, "is in quotes; leave them out");
        }
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return self.problem(setting, "is not UTF-8 text");
        }
        if let Some(hidden) = value.chars().find(|it| is_hidden(*it)) {
            let problem = format!(
                "has a letter that cannot be seen (U+{:04X}); type it, or copy it as plain text",
                u32::from(hidden)
            );
            return self.problem(setting, &problem);
        }
        Some(value)
    }

    /// Whether a setting exists, even if [`Self::get`] reports a problem with it. Only if it does
    /// not is its alternative required: to report that as missing too would be misleading.
    pub fn is_set(&self, setting: &str) -> bool {
        self.settings.get(setting).is_some()
    }

    /// Whether the platform passed on a reference in this setting's value unresolved.
    pub fn is_unresolved(&self, setting: &str) -> bool {
        let value = self.settings.get(setting);
        value.is_some_and(|it| is_of_vault(it) || is_reference(it, APP_CONFIGURATION_REFERENCE))
    }

    /// Which one of several alternative settings applies: the first one that is set, or for a
    /// tenant the first one of its own, if there is any.
    pub fn first_set(&self, alternatives: &[&'static str]) -> Option<&'static str> {
        let is_set = |name: &&&str| self.settings.get(name).is_some();
        let is_own = |name: &&&str| self.settings.is_own(name);
        let own = alternatives.iter().find(is_own);
        own.or_else(|| alternatives.iter().find(is_set)).copied()
    }

    /// A mandatory setting. If it is missing, `what` describes it in the problem.
    pub fn required<T>(
        &mut self,
        setting: &'static str,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.get(setting).is_none() {
            return self.problem(setting, &format!("is missing: {what}"));
        }
        self.optional(setting, parse)
    }

    /// An optional setting.
    pub fn optional<T>(
        &mut self,
        setting: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.get(setting)?) {
            Ok(value) => Some(value),
            Err(problem) => self.problem(setting, &problem),
        }
    }

    /// An optional setting with a default.
    pub fn or_default<T>(
        &mut self,
        setting: &'static str,
        default: impl Into<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.get(setting) {
            Some(_) => self.optional(setting, parse),
            None => Some(default.into()),
        }
    }

    /// Notes a problem with a setting, unless it has one already.
    pub fn problem<T>(&mut self, setting: &'static str, text: &str) -> Option<T> {
        let setting = self.settings.told(setting);
        self.problems.add(SettingsError::new(setting, text));
        None
    }
}

/// Whether a value is a reference to a vault, or the address of a secret there without one.
fn is_of_vault(value: &str) -> bool {
    is_reference(value, KEY_VAULT_REFERENCE) || is_secret_address(value)
}

/// Whether a value is a reference of this name, possibly mistyped. The platform takes a mistyped one for
/// a value.
fn is_reference(value: &str, name: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'', '`', '@', ' ']);
    let after = value
        .split_at_checked(name.len())
        .filter(|(begin, _)| begin.eq_ignore_ascii_case(name));
    after.is_some_and(|(_, after)| after.trim_start().starts_with(['(', '[', '{']))
}

/// Whether a value is `https://<vault>.vault.azure.net/secrets/…`. No setting can mean that.
fn is_secret_address(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let after = value.strip_prefix("https://");
    let parts = after.and_then(|it| it.split_once('/'));
    parts.is_some_and(|(host, path)| {
        VAULTS.iter().any(|end| host.ends_with(end)) && path.starts_with("secrets/")
    })
}

fn is_in_quotes(value: &str) -> bool {
    // Languages pair these quotes differently.
    let typographic = |it| {
        matches!(
            it,
            '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '\u{ab}' | '\u{bb}'
        )
    };
    let mut plain = ['"', '\'', '`'].iter();
    plain.any(|it| value.starts_with(*it) && value.ends_with(*it))
        || value.starts_with(typographic) && value.ends_with(typographic)
}

/// Whether a character is invisible and hardly intended: those that Unicode lets programs hide, and
/// all spaces but the plain one. The wide space is typed on purpose, in folder names.
fn is_hidden(letter: char) -> bool {
    if letter.is_whitespace() {
        return !letter.is_ascii() && letter != '\u{3000}';
    }
    is_command_or_unseen(letter)
}
