//! A place with injected faults, for tests. A closure decides which calls fail, and how.

use std::future::{Future, pending};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{Attempt, Object, Objects, StorageError, Version};
use crate::net::retry::Deadline;

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It is made.
    None,
    /// It does nothing and fails.
    Fail,
    /// It does its work, but its response is lost.
    LoseAnswer,
    /// It does nothing and never returns.
    Hang,
    /// It does nothing and reports that somebody else has written.
    Conflict,
}

/// A call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Claim,
    Read,
    Write,
    List,
    Remove,
}

/// Decides what happens to a call, given the operation and the path.
type Decide = dyn FnMut(Operation, &str) -> Fault + Send;

/// Objects with injected faults.
pub(crate) struct Faulty<O> {
    objects: O,
    decide: Mutex<Box<Decide>>,
}

impl<O: Objects> Faulty<O> {
    /// Calls `decide` when each call begins. Its results must depend only on the calls and a seed,
    /// so that tests are repeatable.
    pub(crate) fn over(
        objects: O,
        decide: impl FnMut(Operation, &str) -> Fault + Send + 'static,
    ) -> Self {
        Self {
            objects,
            decide: Mutex::new(Box::new(decide)),
        }
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        path: &'a str,
        work: impl Future<Output = Result<T, StorageError>> + Send + 'a,
    ) -> Attempt<'a, T> {
        async move {
            let fault = {
                let mut decide = self.decide.lock().unwrap_or_else(PoisonError::into_inner);
                decide(operation, path)
            };
            match fault {
                Fault::None => work.await,
                Fault::Fail => Err(lost("the call")),
                Fault::LoseAnswer => {
                    work.await?;
                    Err(lost("the answer"))
                }
                Fault::Hang => pending().await,
                Fault::Conflict => Err(StorageError::Conflict),
            }
        }
        .boxed()
    }
}

fn lost(what: &str) -> StorageError {
    StorageError::Unavailable(
        "the storage cannot be used".into(),
        format!("{what} is lost").into(),
    )
}

impl<O: Objects> Objects for Faulty<O> {
    fn prepare(&self, deadline: Deadline) -> Attempt<'_, ()> {
        self.objects.prepare(deadline)
    }

    fn claim(&self) -> Attempt<'_, ()> {
        self.call(Operation::Claim, "", self.objects.claim())
    }

    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        self.call(Operation::Read, path, self.objects.read(path))
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        let work = self.objects.write(path, content, over);
        self.call(Operation::Write, path, work)
    }

    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>> {
        self.call(Operation::List, folder, self.objects.list(folder))
    }

    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()> {
        self.call(Operation::Remove, path, self.objects.remove(path))
    }

    fn location(&self, path: &str) -> String {
        self.objects.location(path)
    }
}
