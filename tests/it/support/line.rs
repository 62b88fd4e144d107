//! A line between mailtide and a server that can fail in the ways that lines do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it should be.
    Good,
    /// What is sent arrives nowhere, and nobody says so.
    Silent,
    /// Connections end with a reset, new ones too.
    Reset,
    /// Each piece takes so many milliseconds.
    Slow(u64),
    /// A byte at a time.
    Drips,
}

#[derive(Default)]
struct Shared {
    way: Mutex<Option<Way>>,
    open: Mutex<Vec<TcpStream>>,
    server: AtomicU16,
    connections: AtomicUsize,
}

/// Listens on a port of its own for as long as the test runs.
pub struct Line {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Line {
    pub fn to(server: u16) -> Line {
        Line::from("127.0.0.1", server)
    }

    /// Listening on another address of this machine.
    pub fn from(address: &str, server: u16) -> Line {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        shared.server.store(server, Ordering::SeqCst);
        let line = Line {
            port,
            shared: shared.clone(),
        };
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                connect(client, &shared);
            }
        });
        line
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        *self.shared.way.lock().unwrap() = Some(way);
        if way == Way::Reset {
            self.cut();
        }
    }

    /// Leads to another port.
    pub fn lead_to(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// Resets the connections that are open.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            reset(&stream);
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

fn reset(stream: &TcpStream) {
    // SO_LINGER of zero makes a reset of the end.
    let socket = socket2::SockRef::from(stream);
    let _gone = socket.set_linger(Some(Duration::ZERO));
    let _gone = stream.shutdown(Shutdown::Both);
}

fn way(shared: &Shared) -> Way {
    shared.way.lock().unwrap().unwrap_or(Way::Good)
}

fn connect(client: TcpStream, shared: &Arc<Shared>) {
    let server = shared.server.load(Ordering::SeqCst);
    let server = TcpStream::connect(("127.0.0.1", server));
    let Some(server) = server.ok().filter(|_| way(shared) != Way::Reset) else {
        reset(&client);
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        shared
            .open
            .lock()
            .unwrap()
            .push(stream.try_clone().unwrap());
    }
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    for (from, to) in [(from, to), (server, client)] {
        let shared = shared.clone();
        std::thread::spawn(move || pass(from, to, &shared));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..size];
        let sent = match way(shared) {
            Way::Good => to.write_all(bytes),
            Way::Silent => continue,
            Way::Reset => break,
            Way::Slow(ms) => {
                std::thread::sleep(Duration::from_millis(ms));
                to.write_all(bytes)
            }
            Way::Drips => bytes.iter().try_for_each(|byte| to.write_all(&[*byte])),
        };
        if sent.is_err() {
            break;
        }
    }
    // Either side may be gone already.
    let _gone = to.shutdown(Shutdown::Write);
}
