use super::*;
use crate::config;
use std::net::TcpListener;

#[test]
fn a_server_is_not_bothered_while_the_disk_is_not_ready() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = tempfile::tempdir().unwrap();
    let (mail, file) = (home.path().join("Mail"), home.path().join("mailtide.toml"));
    let text = format!(
        "state_dir = {:?}\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         user = \"me\"\npassword_command = [\"echo\", \"secret\"]\nmaildir = {mail:?}\n",
        home.path().join("state"),
        server.local_addr().unwrap().port(),
    );
    std::fs::write(&file, text).unwrap();
    let config = config::load(Some(&file)).unwrap();
    let keyring = Rc::new(Keyring::new(config.accounts["test"].clone()));
    let mut opened = OpenAccount::new(keyring, &config.state_dir, Writes::Allowed, 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut cycle = || {
        let stop = Stop::default();
        runtime.block_on(opened.cycle(CycleRequest::default(), &Silent, &stop))
    };
    // A file has the path of the Maildir, which shows only after the connection was begun.
    std::fs::write(&mail, "").unwrap();
    for _ in 0..3 {
        assert!(cycle().is_err());
    }
    drop(server.accept().unwrap());
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "it was called once");
    server.set_nonblocking(false).unwrap();
    std::fs::remove_file(&mail).unwrap();
    std::fs::create_dir(&mail).unwrap();
    let hangs_up = std::thread::spawn(move || drop(server.accept().unwrap()));
    let report = cycle().unwrap();
    assert!(matches!(report.halted, Some(StoreError::Retry(_))));
    hangs_up.join().unwrap();
}
