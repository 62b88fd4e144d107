//! The transport to a server: TCP, or a replacement for tests. Of several addresses the first that
//! connects is used (RFC 8305).

use crate::imap::protocol::wire::Stream;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

/// The delay before the next address is tried in parallel (RFC 8305, 5).
const NEXT: Duration = Duration::from_millis(250);

/// A transport.
#[derive(Clone)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// A replacement, such as a server in memory.
    Other(Arc<dyn Connector>),
}

/// Connects without TCP. Counts as loopback.
pub trait Connector: Send + Sync {
    /// Returns a new connection.
    fn dial(&self) -> io::Result<Box<dyn Stream>>;
}

/// A connection, and whether it is on loopback.
pub(in crate::imap) async fn reach(
    road: &Transport,
    host: &str,
    port: u16,
) -> io::Result<(Box<dyn Stream>, bool)> {
    let tcp = match road {
        Transport::Tcp => {
            let addresses = tokio::net::lookup_host((host, port)).await?;
            first_of(in_turn(addresses), TcpStream::connect).await?
        }
        Transport::Other(road) => return Ok((road.dial()?, true)),
    };
    prepare(&tcp);
    let peer = tcp.peer_addr();
    Ok((
        Box::new(tcp),
        peer.is_ok_and(|peer| peer.ip().is_loopback()),
    ))
}

/// Interleaves the address families, without duplicates (RFC 8305, 4).
fn in_turn(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let first = all.first().is_some_and(SocketAddr::is_ipv6);
    let (like, unlike): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.is_ipv6() == first);
    let (mut like, mut unlike, mut turns) = (like.into_iter(), unlike.into_iter(), Vec::new());
    loop {
        let two = (like.next(), unlike.next());
        if two == (None, None) {
            return turns;
        }
        turns.extend(two.0.into_iter().chain(two.1));
    }
}

/// Returns the first connection. The next address is tried after a failure or the delay; other
/// attempts are dropped.
async fn first_of<T, C>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> C,
) -> io::Result<T>
where
    C: Future<Output = io::Result<T>>,
{
    let alone = addresses.len() == 1;
    let mut waiting = addresses.into_iter();
    let mut tried: Vec<(SocketAddr, Pin<Box<C>>)> = Vec::new();
    let mut failures: Vec<String> = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => tried.push((address, Box::pin(connect(address)))),
            None if tried.is_empty() => {
                let what = match failures.is_empty() {
                    true => "the name has no address".to_owned(),
                    false => failures.join("; "),
                };
                return Err(io::Error::other(what));
            }
            None => {}
        }
        let ended = poll_fn(|cx| {
            let ends = tried.iter_mut().enumerate();
            let mut ends = ends.map(|(at, (_, attempt))| (at, attempt.as_mut().poll(cx)));
            let ended = ends.find_map(|(at, end)| match end {
                Poll::Ready(end) => Some((at, end)),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        let ended = match waiting.len() {
            0 => Some(ended.await),
            _ => tokio::time::timeout(NEXT, ended).await.ok(),
        };
        match ended {
            Some((_, Ok(connection))) => return Ok(connection),
            Some((_, Err(error))) if alone => return Err(error),
            Some((at, Err(error))) => {
                let (address, _) = tried.remove(at);
                failures.push(format!("{}: {error}", address.ip()));
            }
            None => {}
        }
    }
}

fn prepare(tcp: &TcpStream) {
    // Optional: without keepalive a dead connection is noticed later.
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A network where addresses that end in 1 answer after 10 ms, in 2 after a second, in 3
    /// refuse, and others never answer.
    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        let wait = match address.port() % 10 {
            1 => Duration::from_millis(10),
            2 => Duration::from_secs(1),
            3 => return Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Duration::from_secs(1_000_000),
        };
        tokio::time::sleep(wait).await;
        Ok(address)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(work)
    }

    #[test]
    fn families_take_turns_and_no_address_comes_twice() {
        let listed = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.0.0.1:1"]);
        let turns = in_turn(listed.into_iter());
        assert_eq!(
            turns,
            addresses(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"])
        );
        let turns = in_turn(addresses(&["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"]).into_iter());
        assert_eq!(turns, addresses(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]));
    }

    #[test]
    fn a_dead_address_costs_a_quarter_of_a_second() {
        for (listed, wins, took) in [
            (&["[::1]:9", "1.0.0.1:1"][..], "1.0.0.1:1", 260),
            (&["[::1]:9", "1.0.0.1:9", "1.0.0.2:1"], "1.0.0.2:1", 510),
            (&["[::1]:3", "1.0.0.1:1"], "1.0.0.1:1", 10),
            (&["[::1]:2", "1.0.0.1:9"], "[::1]:2", 1000),
            (&["[::1]:2", "1.0.0.1:1"], "1.0.0.1:1", 260),
            (&["[::1]:1", "1.0.0.1:1"], "[::1]:1", 10),
            (&["1.0.0.1:9", "1.0.0.2:3", "1.0.0.3:1"], "1.0.0.3:1", 260),
        ] {
            run(async {
                let began = Instant::now();
                let won = first_of(addresses(listed), connect).await.unwrap();
                assert_eq!(won.to_string(), wins, "{listed:?}");
                let elapsed = began.elapsed().as_millis();
                assert!(
                    (took..took + 20).contains(&elapsed),
                    "{listed:?}: {elapsed}"
                );
            });
        }
    }

    #[test]
    fn all_failures_are_told() {
        run(async {
            let error = first_of(addresses(&["[::1]:3", "1.0.0.1:3"]), connect).await;
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("::1: ") && error.contains("1.0.0.1: "),
                "{error}"
            );
            let error = first_of(addresses(&["1.0.0.1:3"]), connect)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(first_of(Vec::new(), connect).await.is_err());
        });
    }

    #[test]
    fn a_server_at_the_second_address_is_reached() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = server.local_addr().unwrap().port();
            let listed = addresses(&[&format!("127.0.0.2:{port}"), &format!("127.0.0.1:{port}")]);
            let tcp = first_of(listed, TcpStream::connect).await.unwrap();
            assert_eq!(tcp.peer_addr().unwrap().ip().to_string(), "127.0.0.1");
        });
    }
}
