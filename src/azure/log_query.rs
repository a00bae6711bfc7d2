//! The query API of Log Analytics: asks a workspace what is in its tables.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format>

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::identity::{Identity, IdentityError, is_unauthorized};
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{self, Again, Deadline, GaveUp, Jitter, Transient};

/// The size limit of an answer, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;
/// How long the service may work at a query, in seconds. By default it takes up to three minutes.
const WAIT: &str = "wait=25";
/// The service's code for a query that names something that does not exist.
const SEMANTIC: &str = "SemanticError";

/// Queries one workspace, with an identity that may do so.
pub(crate) struct LogQuery {
    url: Url,
    identity: Identity,
    http: reqwest::Client,
    jitter: Jitter,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogQueryError {
    /// There is no token to ask with.
    #[error(transparent)]
    Identity(#[from] Box<IdentityError>),
    /// The request failed, or its answer was not read.
    #[error("querying the workspace at {host}")]
    Send { host: String, source: SendError },
    /// 401, although the token is new.
    #[error(
        "{host} refused a new token for {resource}: {said}; check that the workspace is in the \
         cloud of the destination, and that LOG_ANALYTICS_QUERY_URI is blank or of that cloud"
    )]
    Unauthorized {
        host: String,
        resource: String,
        said: String,
    },
    /// 403.
    #[error(
        "{host} does not let this identity query the workspace: {said}; give it the role Log \
         Analytics Reader on the workspace that WorkspaceID names (a role given just now works up \
         to an hour later)"
    )]
    Forbidden { host: String, said: String },
    /// 404.
    #[error("{host} knows no such workspace: {said}; check WorkspaceID")]
    UnknownWorkspace { host: String, said: String },
    /// 200, with an error in addition to the rows.
    #[error("{host} answered the query only in part: {said}")]
    Partial { host: String, said: String },
    /// 200, without a table.
    #[error("{host} answered the query with something else: {bytes} bytes that are no table")]
    NoTable { host: String, bytes: usize },
    /// Any other answer.
    #[error("{host} answered the query with {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl Transient for LogQueryError {
    fn again(&self) -> Again {
        match self {
            Self::Identity(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::UnknownWorkspace { .. }
            | Self::Partial { .. }
            | Self::NoTable { .. } => Again::Never,
        }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    query: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    tables: Vec<Rows>,
    /// What went wrong although there are rows.
    error: Option<ApiErrorBody>,
}

/// The rows of an answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct ApiError {
    error: ApiErrorBody,
}

#[derive(Deserialize)]
struct ApiErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Box<ApiErrorBody>>,
}

impl ApiErrorBody {
    /// The error itself and those nested in it.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |it| it.innererror.as_deref())
    }

    fn said(&self) -> String {
        let parts = self
            .chain()
            .map(|it| format!("{}: {}", it.code, it.message));
        parts.collect::<Vec<_>>().join("; ")
    }
}

impl Rows {
    /// The values of these columns, row by row; `None` if a column, or a value of a row, is missing.
    pub fn values<const N: usize>(&self, names: [&str; N]) -> Option<Vec<[&Value; N]>> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = self.columns.iter().position(|it| it.name == name)?;
        }
        let row = |row: &Vec<Value>| row.len() == self.columns.len();
        self.rows.iter().all(row).then(|| {
            let rows = self.rows.iter();
            rows.map(|row| places.map(|place| &row[place])).collect()
        })
    }
}

impl LogQuery {
    /// A client for the workspace with this id.
    pub fn new(
        address: &Url,
        workspace: &str,
        identity: Identity,
        http: reqwest::Client,
        jitter: Jitter,
    ) -> Self {
        let mut url = address.clone();
        url.set_path(&format!("v1/workspaces/{workspace}/query"));
        Self {
            url,
            identity,
            http,
            jitter,
        }
    }

    /// The answer to a query about rows within `timespan`, an interval in ISO 8601. `None` if the
    /// workspace has no data, or no table of this name, as before its first row.
    pub async fn ask(
        &self,
        query: &str,
        table: &str,
        timespan: &str,
        deadline: Deadline,
    ) -> Result<Option<Rows>, GaveUp<LogQueryError>> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("timespan", timespan);
        let body = serde_json::to_vec(&Question { query }).unwrap_or_default();
        let ask = || self.ask_with_token(&url, &body, table, deadline);
        retry::retry(&self.jitter, deadline, ask).await
    }

    /// Makes one attempt, in which a refused token is replaced once.
    async fn ask_with_token(
        &self,
        url: &Url,
        body: &[u8],
        table: &str,
        deadline: Deadline,
    ) -> Result<Option<Rows>, LogQueryError> {
        let ask = |token| self.ask_once(url, body, token, deadline);
        let asked = self.identity.with_token(deadline, is_unauthorized, ask);
        let (answer, token) = asked.await?;
        self.judge(&answer, table, &token)
    }

    async fn ask_once(
        &self,
        url: &Url,
        body: &[u8],
        token: SecretString,
        deadline: Deadline,
    ) -> Result<Answer, LogQueryError> {
        // Without a content type, the service answers 200 without content.
        let request = self
            .http
            .post(url.clone())
            .bearer_auth(token.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("prefer", WAIT)
            .body(body.to_vec());
        let answer = http::send_for_at_most(LARGEST, request, deadline).await;
        answer.map_err(|source| LogQueryError::Send {
            host: self.host(),
            source,
        })
    }

    fn judge(
        &self,
        answer: &Answer,
        table: &str,
        token: &SecretString,
    ) -> Result<Option<Rows>, LogQueryError> {
        let host = self.host();
        let refusal = serde_json::from_slice::<ApiError>(&answer.body).ok();
        let said = || match &refusal {
            Some(refusal) => http::excerpt(&refusal.error.said(), &[token]),
            None => answer.excerpt(&[token]),
        };
        match answer.status {
            StatusCode::OK => self.rows(answer, token).map(Some),
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::BAD_REQUEST
                if refusal.as_ref().is_some_and(|it| lacks(&it.error, table)) =>
            {
                Ok(None)
            }
            // A page is the answer of something on the way, which knows neither identity nor role.
            StatusCode::UNAUTHORIZED if !answer.is_webpage() => Err(LogQueryError::Unauthorized {
                host,
                resource: self.identity.resource().to_owned(),
                said: said(),
            }),
            StatusCode::FORBIDDEN if !answer.is_webpage() => {
                Err(LogQueryError::Forbidden { host, said: said() })
            }
            StatusCode::NOT_FOUND => Err(LogQueryError::UnknownWorkspace { host, said: said() }),
            status => Err(LogQueryError::Status {
                host,
                status,
                said: said(),
                again: answer.again(),
            }),
        }
    }

    fn rows(&self, answer: &Answer, token: &SecretString) -> Result<Rows, LogQueryError> {
        let host = self.host();
        match serde_json::from_slice::<Answered>(&answer.body) {
            Ok(Answered {
                error: Some(error), ..
            }) => Err(LogQueryError::Partial {
                host,
                said: http::excerpt(&error.said(), &[token]),
            }),
            Ok(Answered { tables, .. }) if !tables.is_empty() => {
                Ok(tables.into_iter().next().unwrap_or_default())
            }
            _ => Err(LogQueryError::NoTable {
                host,
                bytes: answer.body.len(),
            }),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// Whether a refusal says that there is no such table.
fn lacks(error: &ApiErrorBody, table: &str) -> bool {
    let is_semantic = error.chain().any(|it| it.code == SEMANTIC);
    is_semantic && error.chain().any(|it| it.message.contains(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> ApiErrorBody {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_a_table_that_is_not_there_is_nothing_landed() {
        let of = |code: &str, table: &str| {
            let json = format!(
                r#"{{"code":"BadArgumentError","message":"The request had some invalid properties",
                    "innererror":{{"code":"{code}","message":"A semantic error occurred.",
                    "innererror":{{"code":"SEM0100","message":"'where' operator: Failed to resolve table expression named '{table}'"}}}}}}"#
            );
            lacks(&error(&json), "Auth0AM_CL")
        };
        assert!(of("SemanticError", "Auth0AM_CL"));
        assert!(!of("SemanticError", "LogId"));
        assert!(!of("SyntaxError", "Auth0AM_CL"));
    }

    #[test]
    fn values_are_found_by_the_names_of_their_columns() {
        let json = r#"{"columns":[{"name":"Hour","type":"string"},{"name":"Landed","type":"long"}],
                       "rows":[["2026112108",3],["2026112109",4]]}"#;
        let rows: Rows = serde_json::from_str(json).unwrap();
        let values = rows.values(["Landed", "Hour"]).unwrap();
        assert_eq!(
            values,
            [
                [&3.into(), &Value::from("2026112108")],
                [&4.into(), &"2026112109".into()]
            ]
        );
        assert!(rows.values(["Landed", "LogId"]).is_none());
        let short = r#"{"columns":[{"name":"Hour"},{"name":"Landed"}],"rows":[["2026112108"]]}"#;
        let rows: Rows = serde_json::from_str(short).unwrap();
        assert!(rows.values(["Hour"]).is_none());
    }
}
