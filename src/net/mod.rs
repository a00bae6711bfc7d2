//! What every request to a service has in common: how it is sent, when it is tried again, and how
//! long a token is kept. Of no service in particular.

pub(crate) mod gzip;
pub(crate) mod http;
pub(crate) mod json_list;
pub(crate) mod retry;
pub(crate) mod token;
