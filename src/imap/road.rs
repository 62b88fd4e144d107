//! How a server is reached: by TCP, or by something that knows another way. Not what is said on it.

use super::wire::Stream;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How a server is reached.
#[derive(Clone)]
pub enum Road {
    /// By TCP.
    Tcp,
    /// By something that knows the way: a server that can be made to fail.
    Other(Arc<dyn Dial>),
}

/// Gets to a server without TCP. It is taken for this machine itself.
pub trait Dial: Send + Sync {
    /// A new connection.
    fn dial(&self) -> io::Result<Box<dyn Stream>>;
}

/// A connection, and whether it does not leave this machine.
pub(super) async fn reach(
    road: &Road,
    host: &str,
    port: u16,
) -> io::Result<(Box<dyn Stream>, bool)> {
    let tcp = match road {
        Road::Tcp => TcpStream::connect((host, port)).await?,
        Road::Other(road) => return Ok((road.dial()?, true)),
    };
    prepare(&tcp);
    let peer = tcp.peer_addr();
    Ok((
        Box::new(tcp),
        peer.is_ok_and(|peer| peer.ip().is_loopback()),
    ))
}

fn prepare(tcp: &TcpStream) {
    // Hints: a system that refuses them only notices dead connections later.
    let socket = socket2::SockRef::from(tcp);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    for hint in [
        socket.set_tcp_nodelay(true),
        socket.set_tcp_keepalive(&keepalive),
        socket.set_tcp_user_timeout(Some(Duration::from_secs(120))),
    ] {
        if let Err(error) = hint {
            tracing::debug!(%error, "a socket option was refused");
        }
    }
}
