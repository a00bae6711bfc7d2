//! What is known of a destination that a replay reads from: which records it lacks.

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::{AppError, Layers, Problems};
use crate::auth0::Domain;
use crate::destination::Kind;
use crate::net::retry::Deadline;
use crate::state::{CheckpointError, CheckpointStore, HistoryError, HistoryStore};

/// A quiet run is noted only once in ten minutes, so what is not older than this is as good as the
/// present.
const RECENT: TimeDelta = TimeDelta::minutes(15);

/// A destination that a replay reads from.
pub(crate) struct Origin {
    /// The setting of its filter, if it does not get all records.
    pub filter: Option<String>,
    checkpoints: CheckpointStore,
    history: HistoryStore,
}

impl Origin {
    /// When it began, if that is after `from`. `None` if it was earlier, or if nothing is known.
    pub async fn lacks_until(
        &self,
        from: DateTime<Utc>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<DateTime<Utc>>, CheckpointError> {
        let peeked = self.checkpoints.peek(now, deadline).await?;
        let began = peeked.and_then(|it| it.checkpoint.first_began());
        Ok(began.filter(|it| from < *it))
    }

    /// From when on it may not have got the log yet, if that is before `end`. `None` if it has, or if
    /// nothing is known.
    pub async fn lacks_from(
        &self,
        end: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<DateTime<Utc>>, HistoryError> {
        let history = self.history.look(deadline).await?;
        let reached = history.and_then(|it| it.reached());
        Ok(reached.filter(|it| end - *it >= RECENT))
    }
}

impl Layers {
    /// What is known of a destination, whether `DESTINATIONS` names it or not.
    pub fn origin(&self, kind: &Kind) -> Result<Origin, AppError> {
        let tools = self.tools(&mut Problems::default())?;
        let domain = self.read(Domain::read)?;
        let storage = self.storage(&tools)?;
        let stores = self.stores_of(kind, &domain, &storage, &tools.privacy);
        let filter = self.read(|it| Some(it.is_set(kind.filter)))?;
        Ok(Origin {
            filter: filter.then(|| self.settings.told(kind.filter)),
            checkpoints: stores.checkpoints,
            history: stores.history,
        })
    }
}
