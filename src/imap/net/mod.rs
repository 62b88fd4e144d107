//! Connections: TCP, TLS, login.

pub mod connect;
pub mod connection_limit;
mod login_filter;
pub mod preconnect;
pub mod server_traits;
pub mod tls;
pub mod transport;
