//! `check`: tests every connection that a run needs, one by one, and says what is wrong and how to
//! fix it.

use std::process::ExitCode;

use tokio::sync::watch;

use super::print::{UNUSABLE, exit_code, show};
use super::{Exit, Given, deadline, tenants, unusable};
use crate::app::{App, Apps, Layers, Pipeline};
use crate::clock::to_seconds;
use crate::destination::Probe;
use crate::error::{BoxError, one_line, with_causes};
use crate::record::{LogId, Position, Record, SourceError};
use crate::report::{alone, label};
use crate::run::BeginsLater;
use crate::state::Checkpoint;

/// The object that is read and written to test the storage.
const PROBE: &str = "check.txt";
/// Each of these allows reading logs.
const SCOPES: [&str; 2] = ["read:logs", "read:logs_users"];

/// The result of a test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Works,
    /// It may be wrong. The text says why.
    Doubtful,
    /// It works, but another process is using it.
    InUse,
    /// It could not be tested. The text says why.
    NotTried,
    Fails,
}

pub(super) async fn check(given: Given, destination: Option<String>) -> Exit {
    let only = only(given.tenant.as_deref(), destination.as_deref());
    let is_configured = destination.is_none();
    let tenants = tenants(given, destination)?;
    let apps = Apps::new(&tenants, &watch::channel(false).1).map_err(|error| unusable(&error))?;
    let mut verdicts = Vec::new();
    for (layers, member) in tenants.each().zip(&apps.members) {
        verdicts.extend(match (layers, &member.app) {
            (Ok(layers), Ok(app)) => {
                let mut verdicts = try_all(app, layers).await;
                if is_configured && let Err(doubt) = has_table_to_ask(app, layers) {
                    let name = app.name.as_deref();
                    verdicts.push(told(name, "arrival", Verdict::Doubtful, doubt));
                }
                verdicts
            }
            (_, Err(unable)) => {
                let (name, why) = (member.name.as_deref(), unable.error.to_string());
                vec![told(name, "settings", Verdict::Fails, &why)]
            }
            (Err(_), Ok(_)) => Vec::new(),
        });
    }
    let is_good = !verdicts.contains(&Verdict::Fails);
    if !is_good {
        show(format_args!(
            "Fix what failed, and run `auth0-poller check{only}` again."
        ));
    } else if verdicts.contains(&Verdict::NotTried) {
        show(format_args!(
            "Nothing failed; the first run shows whether what was not tried works."
        ));
    } else if verdicts.contains(&Verdict::InUse) {
        show(format_args!(
            "Nothing failed; `auth0-poller poll{only}` works again once the other one has ended."
        ));
    } else {
        show(format_args!(
            "Nothing is in the way of `auth0-poller poll{only}`."
        ));
    }
    if !apps.unable().is_empty() {
        return Ok(ExitCode::from(UNUSABLE));
    }
    Ok(exit_code(is_good))
}

/// The options that make another command use the same tenant and destination.
fn only(tenant: Option<&str>, destination: Option<&str>) -> String {
    let tenant = tenant.map(|name| format!(" --tenant {}", name.trim()));
    // A space would split the argument.
    let names = |list: &str| list.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    let destination = destination.map(|list| format!(" --destination {}", names(list)));
    tenant.into_iter().chain(destination).collect()
}

/// Prints a finding about a tenant.
fn told(tenant: Option<&str>, subject: &str, verdict: Verdict, text: &str) -> Verdict {
    let subject = label(tenant, subject);
    let it = match verdict {
        Verdict::Works => "ok       ",
        Verdict::Doubtful | Verdict::InUse => "warning  ",
        Verdict::NotTried => "not tried",
        Verdict::Fails => "FAILED   ",
    };
    show(format_args!("{it}  {subject}: {text}"));
    verdict
}

/// Tests everything of a tenant, even after a failure, and prints each finding as it comes. Returns
/// all verdicts.
async fn try_all(app: &App, layers: &Layers) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut note = |subject: &str, (verdict, text): (Verdict, String)| {
        // A text may contain an id, which can be any text.
        let text = one_line(&text);
        verdicts.push(told(app.name.as_deref(), subject, verdict, &text));
    };
    if let Some(doubt) = &app.doubt {
        note("DOMAIN", (Verdict::Doubtful, doubt.to_string()));
    }
    let scope = app.tenant.scope(deadline()).await;
    let mut newest = None;
    let log = match &scope {
        Ok(_) => log(app, &mut newest).await,
        Err(_) => (
            Verdict::NotTried,
            "there is no token to read it with".into(),
        ),
    };
    note("token", token(scope));
    note("log", log);
    note("storage", storage(app, layers).await);
    for pipeline in &app.pipelines {
        note(pipeline.name, destination(pipeline).await);
        if let Some(setting) = layers.policy_before_own(pipeline.name) {
            let why = format!(
                "{setting}, which is set for all tenants, decides about personal data, and not this \
                 tenant's PII; give it a {setting} of its own"
            );
            note(pipeline.name, (Verdict::Doubtful, why));
        }
        if let Some(why) = layers.without_policy(pipeline.name) {
            note(pipeline.name, (Verdict::Doubtful, why));
        }
        if let Some(arrival) = arrival(pipeline, layers).await {
            note("arrival", arrival);
        }
        if let Some(problem) = beginning(app, layers, pipeline, newest.as_ref()).await {
            note(pipeline.name, problem);
        }
    }
    if let Some(probe) = app.probe_heartbeats(deadline()).await {
        note("heartbeat", heartbeat(probe));
    }
    let of_keys = [layers.without_pseudonyms(), layers.key_with_foreign_id()];
    for problem in of_keys.into_iter().flatten() {
        note("pseudonyms", (Verdict::Doubtful, problem));
    }
    verdicts
}

/// What is wrong with where the next run begins.
async fn beginning(
    app: &App,
    layers: &Layers,
    pipeline: &Pipeline,
    newest: Option<&Record>,
) -> Option<(Verdict, String)> {
    let now = layers.now();
    let checkpoints = &pipeline.route.as_ref().ok()?.stores.checkpoints;
    match checkpoints.peek(now, deadline()).await {
        Ok(Some(peeked)) => {
            checkpoints.warn_of(&peeked);
            let ahead = ahead(app, layers, pipeline, &peeked.checkpoint, newest).await?;
            Some((Verdict::Fails, ahead))
        }
        Ok(None) => {
            if let Err(error) = checkpoints.never_was(deadline()).await {
                return Some((Verdict::Fails, with_causes(&error)));
            }
            let start = layers.first_start()?;
            let late = checkpoints.late_handover(start, now, deadline()).await?;
            Some((Verdict::Doubtful, late.to_string()))
        }
        Err(error) => Some((Verdict::Fails, with_causes(&error))),
    }
}

/// The problem if reading begins in the future, or if the cursor is newer than the tenant's newest
/// record: nothing is delivered until that time, or until there is a newer record. A cursor that is the
/// id of a record is fine, since the newest record by date may have a smaller id than another one.
async fn ahead(
    app: &App,
    layers: &Layers,
    pipeline: &Pipeline,
    checkpoint: &Checkpoint,
    newest: Option<&Record>,
) -> Option<String> {
    let begin = checkpoint.position();
    if let Some(future) = BeginsLater::find(&begin, &pipeline.label, layers.now()) {
        return Some(future.to_string());
    }
    let Position::After(cursor) = begin else {
        return None;
    };
    // Compared by time, because the prefixes may differ.
    let age = |id: &LogId| (id.stored_at(), id.clone());
    let newest = newest.filter(|newest| age(&newest.log_id) < age(&cursor))?;
    if app.tenant.reader().has(&cursor, deadline()).await.ok()? {
        return None;
    }
    Some(format!(
        "its cursor, {cursor}, is newer than the tenant's newest record, {}: nothing is delivered \
         until there is a newer one; `auth0-poller checkpoint set --from …` lets reading begin \
         earlier ({})",
        newest.log_id,
        alone(&pipeline.label)
    ))
}

fn token(scope: Result<String, SourceError>) -> (Verdict, String) {
    match scope {
        Err(error) => (Verdict::Fails, with_causes(&error)),
        // A token response may omit its scopes; reading the log tests them.
        Ok(scope) if scope.is_empty() => (Verdict::Works, "Auth0 issued one".into()),
        Ok(scope) if scope.split(' ').any(|it| SCOPES.contains(&it)) => {
            let is_more = |it: &&str| !SCOPES.contains(it);
            let more: Vec<_> = scope.split(' ').filter(is_more).collect();
            let advice = if more.is_empty() {
                String::new()
            } else {
                format!(
                    ", which is more than reading logs needs: in the Auth0 dashboard remove {} \
                     from the application, unless another program needs it",
                    more.join(" ")
                )
            };
            (
                Verdict::Works,
                format!("Auth0 issued one for {scope}{advice}"),
            )
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

async fn log(app: &App, newest: &mut Option<Record>) -> (Verdict, String) {
    match app.tenant.reader().newest(deadline()).await {
        Err(error) => (Verdict::Fails, with_causes(&error)),
        Ok(None) => (Verdict::Works, "the tenant has no records yet".into()),
        Ok(Some(record)) => {
            let date = record.date.map_or("an unknown time".into(), to_seconds);
            *newest = Some(record);
            (
                Verdict::Works,
                format!("the newest record was written at {date}"),
            )
        }
    }
}

async fn storage(app: &App, layers: &Layers) -> (Verdict, String) {
    let deadline = deadline();
    let location = app.storage.location(PROBE);
    let text = format!("auth0-poller check, {}\n", to_seconds(layers.now()));
    let tried = async {
        app.storage.probe(PROBE, text.into(), deadline).await?;
        app.storage.is_claimed_elsewhere(deadline).await
    };
    match tried.await {
        Ok(false) => (Verdict::Works, format!("{location} was read and written")),
        Ok(true) => (
            Verdict::InUse,
            format!(
                "{location} was read and written; the folder is in use by another auth0-poller, which \
                 makes the runs until it ends"
            ),
        ),
        Err(error) => (
            Verdict::Fails,
            format!("{location}: {}", with_causes(&error)),
        ),
    }
}

/// Whether the table can be queried for arrivals, if arrival is to be proved. A failed query
/// prevents no delivery.
async fn arrival(pipeline: &Pipeline, layers: &Layers) -> Option<(Verdict, String)> {
    let route = pipeline.route.as_ref().ok()?;
    let cloud = route.destination.table()?;
    if !layers.proves_arrival() {
        return None;
    }
    let asked = match layers.table(pipeline.name, "ARRIVAL", cloud) {
        Ok(table) => table.probe(deadline()).await.map_err(BoxError::from),
        Err(problem) => Err(problem.into()),
    };
    Some(match asked {
        Ok(true) => (
            Verdict::Works,
            "the table of the workspace can be queried".into(),
        ),
        Ok(false) => (
            Verdict::Works,
            "the workspace can be queried; it has no table Auth0AM_CL yet".into(),
        ),
        Err(error) => {
            let why = with_causes(&*error);
            (
                Verdict::Doubtful,
                format!("the table cannot be queried for what has arrived: {why}"),
            )
        }
    })
}

/// Whether there is a table to query, if arrival is to be proved.
fn has_table_to_ask(app: &App, layers: &Layers) -> Result<(), &'static str> {
    let is_table = |it: &Pipeline| {
        let route = it.route.as_ref();
        // With bad settings this is unknown.
        route.map_or(true, |route| route.destination.table().is_some())
    };
    (!layers.proves_arrival() || app.pipelines.iter().any(is_table))
        .then_some(())
        .ok_or("ARRIVAL is on, and none of DESTINATIONS is a table that can be queried: nothing is proved")
}

async fn destination(pipeline: &Pipeline) -> (Verdict, String) {
    let route = match &pipeline.route {
        Ok(route) => route,
        Err(problem) => return (Verdict::Fails, problem.to_string()),
    };
    match route.destination.probe(deadline()).await {
        Probe::Works(text) => (Verdict::Works, text),
        Probe::NotTried(text) => (Verdict::NotTried, text),
        Probe::Fails(error) => (Verdict::Fails, with_causes(&*error)),
    }
}

/// Whether heartbeats can be sent. If they cannot, that fails no run.
fn heartbeat(probe: Probe) -> (Verdict, String) {
    match probe {
        Probe::Works(text) => (Verdict::Works, text),
        Probe::NotTried(text) => (Verdict::NotTried, text),
        Probe::Fails(error) => {
            let why = with_causes(&*error);
            let problem = format!("no heartbeat can be sent: {why}");
            (Verdict::Doubtful, problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_to_allow_reading_logs_and_is_best_if_it_allows_no_more() {
        let more = "Auth0 issued one for read:users read:logs update:users, which is more than reading \
                    logs needs: in the Auth0 dashboard remove read:users update:users from the \
                    application, unless another program needs it";
        for (scope, text) in [
            ("", "Auth0 issued one"),
            ("read:logs", "Auth0 issued one for read:logs"),
            ("read:logs_users", "Auth0 issued one for read:logs_users"),
            ("read:users read:logs update:users", more),
        ] {
            let told = token(Ok(scope.to_owned()));
            assert_eq!(told, (Verdict::Works, text.to_owned()));
        }
        for scope in ["read:users", "read:logs_user"] {
            assert_eq!(token(Ok(scope.to_owned())).0, Verdict::Fails, "{scope}");
        }
        let failed = token(Err(SourceError::Slow("no answer".into())));
        assert_eq!(failed.0, Verdict::Fails);
    }

    #[test]
    fn the_command_that_comes_next_has_the_same_options_in_one_word_each() {
        assert_eq!(only(None, None), "");
        assert_eq!(
            only(Some(" acme "), Some("archive, event-grid ")),
            " --tenant acme --destination archive,event-grid"
        );
    }
}
