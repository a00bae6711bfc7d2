//! The destination of a world: what it accepts, refuses, fails over and answers too late.

use super::*;

impl Destination for World {
    fn limits(&self) -> Limits {
        let state = self.state();
        Limits {
            rows: state.rows_at_once.unwrap_or(1_000),
            bytes: state.bytes_at_once.unwrap_or(60_000),
            per_row: 1,
            per_delivery: 1,
            side_by_side: state.side_by_side.max(1),
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        if self.state().unfit.contains(&record.log_id) {
            return Err("it does not fit".into());
        }
        Ok(record.json.clone())
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        assert_eq!(why, "it does not fit");
        let has_one = self.state().cut.contains(&record.log_id);
        has_one.then(|| record.json.clone())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let takes = {
                let mut state = self.state();
                state.under_way.0 += 1;
                state.under_way.1 = state.under_way.1.max(state.under_way.0);
                state.post_takes
            };
            let came = Instant::now() + takes;
            if !takes.is_zero() {
                let until = deadline.for_answers();
                let passes = tokio::time::sleep(takes);
                if !self.state().cuts_posts {
                    passes.await;
                } else if tokio::time::timeout_at(until, passes).await.is_err() {
                    self.state().under_way.0 -= 1;
                    return unanswered(rows);
                }
            }
            if self.is_late(rows) {
                let waits = tokio::time::sleep(Duration::from_mins(1));
                let _ = tokio::time::timeout_at(deadline.for_answers(), waits).await;
                let mut state = self.state();
                state.posts += 1;
                state.under_way.0 -= 1;
                return unanswered(rows);
            }
            let keep = self.state().answers_keep;
            let is_gone = keep.is_some_and(|keep| Instant::now() - came > keep);
            self.state().under_way.0 -= 1;
            let refuses = |row: &Bytes| {
                let state = self.state();
                state.refuses_all || state.refused.iter().any(|id| id.as_str().as_bytes() == row)
            };
            {
                let mut state = self.state();
                state.posts += 1;
                if state.refuses_first > 0 && state.posts > state.refuses_first {
                    state.refuses_all = false;
                }
            }
            if self.state().tells_each {
                return self.deliver_each(rows, refuses);
            }
            if self.fails_over(rows) {
                return unknown(rows, DeliveryError::Internal("answered 500".into()));
            }
            if rows.iter().any(refuses) {
                return Delivery::refused(rows.len(), "it is refused".into());
            }
            let fault = self.state().destination_faults.pop_front().flatten();
            let lands = matches!(fault, None | Some(Fault::LosesAnswer | Fault::Delays));
            if lands {
                self.land(rows);
            }
            match Self::suffer(fault).await {
                Ok(()) if is_gone => Delivery::failed(rows.len(), "nobody took it".into()),
                Ok(()) => {
                    let told = rows.len() - std::mem::take(&mut self.state().untold);
                    Delivery {
                        quarantine: self.quarantine(),
                        ..Delivery::accepted(told, rows.iter().map(Bytes::len).sum())
                    }
                }
                Err(error) => Delivery::failed(rows.len(), error.into()),
            }
        })
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        unreachable!("no run probes")
    }
}

impl World {
    pub fn land<'a>(&self, rows: impl IntoIterator<Item = &'a Bytes>) {
        let rows = rows.into_iter();
        // Without the padding that makes the row large.
        let ids = rows.map(|row| std::str::from_utf8(row).unwrap().trim_end().to_owned());
        let ids: Vec<_> = ids.collect();
        self.state().landed.push(ids);
    }

    /// How many rows of the next accepted delivery it quarantines.
    pub fn quarantine(&self) -> Option<Quarantine> {
        let rows = self.state().quarantined.pop_front()?;
        (rows > 0).then(|| Quarantine {
            rows,
            advice: "look there".into(),
        })
    }

    /// Whether these rows get no answer in time.
    fn is_late(&self, rows: &[Bytes]) -> bool {
        let state = self.state();
        let is_unanswered = |row: &Bytes| {
            let mut unanswered = state.unanswered.iter();
            unanswered.any(|id| id.as_str().as_bytes() == row)
        };
        state.rows_in_time.is_some_and(|most| rows.len() > most) || rows.iter().any(is_unanswered)
    }

    /// Whether the destination fails internally over these rows.
    fn fails_over(&self, rows: &[Bytes]) -> bool {
        let mut state = self.state();
        if let Some(fails) = state.fails_inside_next.pop_front() {
            return fails;
        }
        if state.fails_inside > 0 {
            state.fails_inside -= 1;
            return true;
        }
        let is_poison = |row: &Bytes| {
            let mut poison = state.poison_records.iter();
            poison.any(|id| id.as_str().as_bytes() == row)
        };
        rows.iter().any(is_poison)
    }

    /// Accepts the rows that it does not refuse. A fault leaves the second half of them open.
    pub fn deliver_each(&self, rows: &[Bytes], refuses: impl Fn(&Bytes) -> bool) -> Delivery {
        let is_cut = self
            .state()
            .destination_faults
            .pop_front()
            .flatten()
            .is_some();
        let told = if is_cut { rows.len() / 2 } else { rows.len() };
        let mut is_internal = false;
        let mut outcome = |(index, row): (usize, &Bytes)| match refuses(row) {
            _ if index >= told => Outcome::Open,
            true => Outcome::Refused("it is refused".into()),
            false if self.fails_over(std::slice::from_ref(row)) => {
                is_internal = true;
                Outcome::Open
            }
            false => {
                self.land([row]);
                Outcome::Accepted
            }
        };
        let outcomes = rows.iter().enumerate().map(&mut outcome).collect();
        let internal = || DeliveryError::Internal("answered 500".into());
        let cut = is_cut.then(|| DeliveryError::Failed(failure()));
        Delivery {
            outcomes,
            bytes: 1,
            error: cut.or_else(|| is_internal.then(internal)),
            quarantine: None,
        }
    }
}

/// These rows got no answer in time.
fn unanswered(rows: &[Bytes]) -> Delivery {
    let error = "no answer in time".into();
    unknown(
        rows,
        match rows {
            [_] => DeliveryError::Internal(error),
            _ => DeliveryError::Late(error),
        },
    )
}

/// The outcome of these rows is not known.
fn unknown(rows: &[Bytes], error: DeliveryError) -> Delivery {
    Delivery {
        error: Some(error),
        ..Delivery::failed(rows.len(), "".into())
    }
}
