//! Connections: TCP, TLS, login.

pub mod connect;
mod login_filter;
pub mod preconnect;
pub mod server_traits;
pub mod tls;
pub mod transport;
