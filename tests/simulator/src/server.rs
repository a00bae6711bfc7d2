//! What the simulated services share: a listener, and faults on demand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// An HTTP server on a free port of the loopback interface. Dropping this stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            task: task.abort_handle(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The requests in progress, and the most at the same time.
#[derive(Debug, Default)]
pub struct AtWork {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A request in progress, until it is answered or its caller is gone.
pub struct One<'a>(&'a AtWork);

impl AtWork {
    pub fn enter(&self) -> One<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        One(self)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts requests, and lets a test wait for one.
#[derive(Debug)]
pub struct Counter(watch::Sender<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Counter {
    pub fn count(&self) -> u64 {
        self.0.send_modify(|count| *count += 1);
        self.get()
    }

    pub fn get(&self) -> u64 {
        *self.0.borrow()
    }

    pub async fn wait_for(&self, least: u64) {
        let mut counts = self.0.subscribe();
        let reached = counts.wait_for(|count| *count >= least).await;
        reached.expect("the sender is here");
    }
}

/// What a service does with a request instead of its work.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers like this.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// Does its work, answers 200, and breaks the connection in the middle of the body.
    Break,
    /// Closes the connection without doing anything.
    Drop,
    /// Does its work, then closes the connection instead of answering.
    LoseAnswer,
    /// Does its work once the gate opens.
    Wait(Gate),
    /// Never answers.
    Hang,
    /// Does its work. Used to delay the faults after it.
    None,
}

impl Fault {
    /// An answer without headers.
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    pub(crate) async fn respond(self) -> Response {
        match self {
            Self::Answer {
                status,
                headers,
                body,
            } => {
                let status = StatusCode::from_u16(status).expect("a status");
                let mut response = (status, body).into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(
                        HeaderName::from_static(name),
                        HeaderValue::from_str(&value).expect("a header's value"),
                    );
                }
                response
            }
            // The panic ends the connection's task, and with it the connection. Nothing is printed.
            Self::Drop | Self::LoseAnswer => std::panic::resume_unwind(Box::new("no answer")),
            Self::Break => {
                let beginning = Ok(Bytes::from_static(b"[{"));
                let end = async {
                    // Without a pause the connection would close before the beginning is sent.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(std::io::Error::other("broken on purpose"))
                };
                let broken = stream::once(async { beginning }).chain(stream::once(end));
                Body::from_stream(broken).into_response()
            }
            Self::Hang => std::future::pending().await,
            Self::None | Self::Wait(_) => unreachable!("no answer of its own"),
        }
    }
}

/// Holds requests back until a test opens it.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets all requests pass from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        let mut state = self.0.subscribe();
        let opened = state.wait_for(|is_open| *is_open).await;
        opened.expect("the sender is here");
    }
}

/// Faults for the coming requests, first come first served. Requests without a waiting fault may
/// fail at random.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Fault>,
    random: Option<Random>,
    answers_lost: u64,
}

/// The share of requests that fail, and the generator that chooses them.
#[derive(Debug)]
struct Random {
    rng: fastrand::Rng,
    share: f64,
}

impl Random {
    fn next(&mut self) -> Option<Fault> {
        if self.rng.f64() >= self.share {
            return None;
        }
        let faults = [
            Fault::answer(429, ""),
            Fault::answer(500, ""),
            Fault::answer(503, "<html>unavailable</html>"),
            Fault::Drop,
            Fault::LoseAnswer,
        ];
        self.rng.choice(faults)
    }
}

impl Faults {
    pub fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().waiting.extend(faults);
    }

    /// Drops the faults that are still waiting.
    pub fn clear(&self) {
        self.lock().waiting.clear();
    }

    /// From now on lets this share of requests fail. The same seed gives the same failures.
    pub fn at_random(&self, seed: u64, share: f64) {
        let rng = fastrand::Rng::with_seed(seed);
        self.lock().random = Some(Random { rng, share });
    }

    /// How many requests had their effect, but no answer.
    pub fn answers_lost(&self) -> u64 {
        self.lock().answers_lost
    }

    pub fn next(&self) -> Option<Fault> {
        let mut state = self.lock();
        let waiting = state.waiting.pop_front();
        let next = waiting.or_else(|| state.random.as_mut()?.next());
        if matches!(next, Some(Fault::LoseAnswer)) {
            state.answers_lost += 1;
        }
        next.filter(|fault| !matches!(fault, Fault::None))
    }

    /// The answer to the next request, if a fault gives one. May wait before the service does its
    /// work.
    pub async fn answer(&self) -> Option<Response> {
        match self.next()? {
            Fault::Wait(gate) => {
                gate.pass().await;
                None
            }
            fault => Some(fault.respond().await),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An HTTP client without special settings.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
