//! A wire that counts: what passes between mailtide and the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What passed since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Bytes to the server.
    pub up: u64,
    /// Bytes from the server.
    pub down: u64,
    /// How often the client said something after the server had: the most that it can have waited.
    pub turns: u64,
    /// Whether the server has said something since.
    answered: bool,
    /// Commands, without their tags, as far as the first 80 characters.
    pub commands: Vec<String>,
    /// Connections that were opened.
    pub connections: usize,
}

/// What is counted, and the directions of connections in which something may still come.
#[derive(Default)]
struct Counter {
    passed: Mutex<Passed>,
    open: Mutex<usize>,
    closed: Condvar,
}

impl Passed {
    pub fn bytes(&self) -> u64 {
        self.up + self.down
    }

    /// How many mailboxes were opened to see what changed since.
    pub fn looks(&self) -> usize {
        let looks = |c: &&String| c.starts_with("SELECT") && c.contains("(QRESYNC (");
        self.commands.iter().filter(looks).count()
    }

    /// How many commands begin so.
    pub fn count(&self, start: &str) -> usize {
        self.commands
            .iter()
            .filter(|c| c.starts_with(start))
            .count()
    }
}

/// Listens on a port of its own for as long as the test runs.
pub struct Proxy {
    pub port: u16,
    counter: Arc<Counter>,
}

impl Proxy {
    pub fn before(server: u16) -> Proxy {
        Proxy::far_from(server, Duration::ZERO)
    }

    /// What the server says takes this long to arrive.
    pub fn far_from(server: u16, delay: Duration) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let counter = Arc::new(Counter::default());
        let shared = counter.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                shared.passed.lock().unwrap().connections += 1;
                *shared.open.lock().unwrap() += 2;
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                let (up, down) = (shared.clone(), shared.clone());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    pass(from, to, |bytes, line| up_passed(&up.passed, bytes, line));
                    up.close();
                });
                std::thread::spawn(move || {
                    pass(server, client, |bytes, _| {
                        std::thread::sleep(delay);
                        let mut passed = down.passed.lock().unwrap();
                        passed.down += bytes.len() as u64;
                        passed.answered = true;
                    });
                    down.close();
                });
            }
        });
        Proxy { port, counter }
    }

    /// What passed since this was last asked, once all connections have ended: nobody waits for the
    /// answer to LOGOUT, so that the client may be gone before its last word has come this far.
    pub fn take(&self) -> Passed {
        let counter = &self.counter;
        let open = counter.open.lock().unwrap();
        let all = Duration::from_secs(30);
        let waited = counter
            .closed
            .wait_timeout_while(open, all, |open| *open > 0);
        assert_eq!(*waited.unwrap().0, 0, "connections that did not end");
        std::mem::take(&mut counter.passed.lock().unwrap())
    }
}

impl Counter {
    fn close(&self) {
        *self.open.lock().unwrap() -= 1;
        self.closed.notify_all();
    }
}

/// Counts, and takes down the lines that look like commands: a tag, a space, a word.
fn up_passed(passed: &Mutex<Passed>, bytes: &[u8], line: &mut Vec<u8>) {
    let mut passed = passed.lock().unwrap();
    passed.up += bytes.len() as u64;
    passed.turns += u64::from(std::mem::take(&mut passed.answered));
    for byte in bytes {
        if *byte != b'\n' {
            line.push(*byte);
            continue;
        }
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        let Some((tag, command)) = text.split_once(' ') else {
            continue;
        };
        let tagged = tag.len() > 1
            && tag.starts_with(|c: char| c.is_ascii_alphabetic())
            && tag.ends_with(|c: char| c.is_ascii_digit())
            && tag.chars().all(|c| c.is_ascii_alphanumeric());
        if tagged && command.starts_with(|c: char| c.is_ascii_uppercase()) {
            passed
                .commands
                .push(command.trim_end().chars().take(80).collect());
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut count: impl FnMut(&[u8], &mut Vec<u8>)) {
    let (mut buffer, mut line) = (vec![0; 1 << 16], Vec::new());
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..size) else {
            break;
        };
        count(bytes, &mut line);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    // Either side may be gone already.
    let _gone = to.shutdown(Shutdown::Write);
}
