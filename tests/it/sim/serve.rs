//! The server of the simulator on loopback, for the whole program.

use super::profile::Profile;
use super::session::Session;
use super::stage::{Shared, Stage};
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves connections side by side, each in a thread; answers with the port and the mail.
pub fn serve(profile: Profile) -> (u16, Shared) {
    let shared = Shared(Arc::new(Mutex::new(Stage::new(1, profile, 1))));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stage = shared.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stage = stage.clone();
            std::thread::spawn(move || talk(stream, &stage));
        }
    });
    (port, shared)
}

fn talk(mut stream: TcpStream, stage: &Shared) -> Result<()> {
    let mut session = Session::greet(&mut stage.lock());
    let mut bytes = [0; 4096];
    loop {
        stream.write_all(&std::mem::take(&mut session.out))?;
        if session.over {
            return Ok(());
        }
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        session.hear(&mut stage.lock(), &bytes[..count]);
    }
}
