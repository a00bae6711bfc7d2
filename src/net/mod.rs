//! What requests to all services have in common: how they are sent, when they are retried, and how
//! long a token is kept.

pub(crate) mod gzip;
pub(crate) mod http;
pub(crate) mod json_list;
pub(crate) mod retry;
pub(crate) mod token;
