//! Tries every connection that a run needs, one by one, and says what is wrong and how to mend it.

use bytes::Bytes;

use crate::app::{App, Pipeline};
use crate::destination::{AnyDestination, Destination as _};
use crate::report::to_seconds;
use crate::report::with_causes;
use crate::source::SourceError;

/// The object that is read and written to try the storage.
const PROBE: &str = "check.txt";
/// Either allows reading logs.
const SCOPES: [&str; 2] = ["read:logs", "read:logs_users"];

/// What came of trying one thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was tried.
    pub subject: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Details, or what to do.
    pub text: String,
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It could not be tried, and the text says why.
    NotTried,
    /// It does not work.
    Fails,
}

/// Tries everything, even behind a failure, and hands each finding over as it comes.
/// Answers whether nothing failed.
pub async fn check(app: &App, mut found: impl FnMut(&Finding)) -> bool {
    let mut is_good = true;
    let mut note = |subject: &str, (verdict, text): (Verdict, String)| {
        is_good &= verdict != Verdict::Fails;
        found(&Finding {
            subject: subject.to_owned(),
            verdict,
            text,
        });
    };
    let scope = app.tenant.scope(App::command_deadline()).await;
    let log = match &scope {
        Ok(_) => log(app).await,
        Err(_) => (
            Verdict::NotTried,
            "there is no token to read it with".into(),
        ),
    };
    note("token", token(scope));
    note("log", log);
    note("storage", storage(app).await);
    for pipeline in &app.pipelines {
        note(
            pipeline.poller.destination.name(),
            destination(pipeline).await,
        );
    }
    is_good
}

fn token(scope: Result<String, SourceError>) -> (Verdict, String) {
    match scope {
        Err(error) => (Verdict::Fails, with_causes(&error)),
        // A token need not tell its scopes; the log read does.
        Ok(scope) if scope.is_empty() => (Verdict::Works, "Auth0 issued one".into()),
        Ok(scope) if scope.split(' ').any(|it| SCOPES.contains(&it)) => {
            (Verdict::Works, format!("Auth0 issued one for {scope}"))
        }
        Ok(scope) => (
            Verdict::Fails,
            format!(
                "Auth0 issued one for {scope}, which does not allow reading logs; in the Auth0 \
                 dashboard give the application the permission read:logs for the Auth0 Management \
                 API"
            ),
        ),
    }
}

async fn log(app: &App) -> (Verdict, String) {
    match app.tenant.reader().newest(App::command_deadline()).await {
        Err(error) => (Verdict::Fails, with_causes(&error)),
        Ok(None) => (Verdict::Works, "the tenant has no records yet".into()),
        Ok(Some(record)) => {
            let date = record.date.map_or("without a date".into(), to_seconds);
            (Verdict::Works, format!("the newest record is of {date}"))
        }
    }
}

async fn storage(app: &App) -> (Verdict, String) {
    let deadline = App::command_deadline();
    let location = app.storage.location(PROBE);
    let try_it = async {
        let stored = app.storage.read(PROBE, deadline).await?;
        let version = stored.map(|(_, version)| version);
        let text = format!("auth0-poller check, {}\n", to_seconds(app.now()));
        let write = app
            .storage
            .write(PROBE, Bytes::from(text), version.as_ref(), deadline);
        write.await
    };
    match try_it.await {
        Ok(_) => (Verdict::Works, format!("{location} was read and written")),
        Err(error) => (
            Verdict::Fails,
            format!("{location}: {}", with_causes(&error)),
        ),
    }
}

async fn destination(pipeline: &Pipeline) -> (Verdict, String) {
    let deadline = App::command_deadline();
    match &pipeline.poller.destination {
        AnyDestination::LogAnalytics(workspace) => match workspace.probe(deadline).await {
            Ok(()) => (
                Verdict::Works,
                "the workspace accepted the signature of an empty post".into(),
            ),
            Err(error) if error.error.is_about_content() => (
                Verdict::NotTried,
                format!(
                    "the workspace does not take an empty post, so its key was not tried; \
                     the first run tells ({error})"
                ),
            ),
            Err(error) => (Verdict::Fails, with_causes(&error)),
        },
        AnyDestination::LogsIngestion(rule) => match rule.probe(deadline).await {
            Ok(()) => (Verdict::Works, "the rule accepted an empty post".into()),
            Err(error) if error.error.is_about_content() => (
                Verdict::NotTried,
                format!(
                    "the rule does not take an empty post, so the rest was not tried; the first \
                     run tells ({error})"
                ),
            ),
            Err(error) => (Verdict::Fails, with_causes(&error)),
        },
        AnyDestination::Stdout(_) => (Verdict::Works, "needs nothing".into()),
    }
}
