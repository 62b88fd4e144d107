//! Lines, servers and disks that fail under the watcher.

use super::*;
use crate::support::line::{Line, Way};

/// A watcher behind a line.
fn behind(line: &Line, server: &Dovecot, more: &str) -> Home {
    let home = Home::new(server, "u1", "");
    let dir = home.dir.path().display();
    home.write_config(&format!(
        "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nuser = \"u1\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail\"\n\
         timeout = 3\nidle_renew = 2\n{more}\n",
        line.port
    ));
    home
}

fn star(server: &Dovecot, uid: u32) {
    let mut phone = server.phone("u1");
    phone.run("SELECT INBOX");
    phone.run(&format!("UID STORE {uid} +FLAGS (\\Flagged)"));
}

fn starred(home: &Home) -> usize {
    let named = |path: &&PathBuf| path.to_str().unwrap().ends_with(":2,F");
    files(home, "INBOX").iter().filter(named).count()
}

#[test]
fn a_line_that_fails_in_any_way_is_got_over() {
    for capabilities in [FULL, IDLE_ONLY] {
        let (server, _) = world(capabilities, "");
        let line = Line::to(server.port);
        let home = behind(&line, &server, "");
        let watcher = Watcher::in_step(&home);
        let mut stars = 0;
        for way in [Way::Reset, Way::Silent, Way::Slow(50), Way::Drips] {
            line.set(way);
            stars += 1;
            star(&server, stars);
            set_letters(&home, "Work", stars as usize, "S");
            if matches!(way, Way::Reset | Way::Silent) {
                watcher.wait("it is noticed", |test| test["state"] == "waiting");
                let reason = watcher.status()["reason"].to_string();
                assert!(reason.contains("127.0.0.1"), "{reason}");
                line.set(Way::Good);
                if way == Way::Silent {
                    line.cut();
                }
            }
            wait_for("the star is here", || starred(&home) == stars as usize);
            line.set(Way::Good);
            watcher.wait("in step", |test| {
                test["state"] == "synced" && test["lag"] == 0.0
            });
            wait_for("both sides are the same", || {
                server.phone("u1").view() == read_maildir(&home.mail())
            });
        }
        assert_same(&server, "u1", &home);
        assert_eq!(watcher.status()["drift"], 0);
    }
}

#[test]
fn a_server_that_is_started_anew_is_found_again() {
    let (mut server, _) = world(FULL, "");
    let line = Line::to(server.port);
    let home = behind(&line, &server, "");
    let watcher = Watcher::in_step(&home);
    server.restart(FULL);
    set_letters(&home, "Work", 1, "S");
    star(&server, 2);
    line.lead_to(server.port);
    line.cut();
    wait_for("the star is here", || starred(&home) == 1);
    watcher.wait("in step, listening", |test| {
        test["state"] == "synced" && test["push"][0]["listening"] == true
    });
    assert_same(&server, "u1", &home);
}

#[test]
fn a_watcher_that_slept_while_the_server_gave_it_up() {
    let (server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    watcher.signal("STOP");
    server.doveadm(&["kick", "u1"]);
    star(&server, 2);
    set_letters(&home, "Work", 1, "S");
    watcher.signal("CONT");
    let took = wait_for("the star is here", || starred(&home) == 1);
    assert!(took < Duration::from_secs(10), "{took:?}");
    watcher.wait("in step", |test| {
        test["state"] == "synced" && test["lag"] == 0.0
    });
    assert_same(&server, "u1", &home);
}

#[test]
fn a_disk_that_goes_and_comes_back_loses_nothing() {
    for empty in [false, true] {
        let (server, home) = world(FULL, "");
        let watcher = Watcher::in_step(&home);
        let away = home.dir.path().join("away");
        std::fs::rename(home.mail(), &away).unwrap();
        if empty {
            // What is left of a disk that was unmounted.
            std::fs::create_dir(home.mail()).unwrap();
        }
        star(&server, 2);
        watcher.wait("it is noticed", |test| test["state"] == "waiting");
        let status = watcher.status();
        let reason = status["reason"].as_str().unwrap();
        assert!(reason.contains(home.mail().to_str().unwrap()), "{reason}");
        assert_eq!(home.run(&["status"]).status.code(), Some(75));
        assert_eq!(server.phone("u1").read("INBOX").len(), 20);
        assert_eq!(read_maildir(&away)["INBOX"].len(), 20);
        if empty {
            assert_eq!(std::fs::read_dir(home.mail()).unwrap().count(), 0);
            std::fs::remove_dir(home.mail()).unwrap();
        }
        std::fs::rename(&away, home.mail()).unwrap();
        let took = wait_for("the star is here", || starred(&home) == 1);
        assert!(took < Duration::from_secs(10), "{took:?}");
        set_letters(&home, "Work", 1, "S");
        wait_for("what is read is there", || {
            flagged_there(&server, "Work", "\\Seen")
        });
        watcher.wait("in step", |test| {
            test["state"] == "synced" && test["lag"] == 0.0
        });
        assert_same(&server, "u1", &home);
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_a_right_one_when_the_user_says_so() {
    let (server, _) = world(FULL, "");
    let line = Line::to(server.port);
    let home = behind(&line, &server, "");
    let secret = home.dir.path().join("secret");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&secret, text).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("wrong\n");
    let text = std::fs::read_to_string(home.config()).unwrap();
    let from_file = format!("password_file = \"{}\"", secret.display());
    home.write_config(&text.replace("password = \"pass\"", &from_file));
    let watcher = Watcher::start(&home, home.mailtide());
    watcher.wait("it is noticed", |test| test["state"] == "login-failed");
    let status = watcher.status();
    assert!(
        status["reason"].as_str().unwrap().contains("login of u1"),
        "{status:#}"
    );
    assert_eq!(line.connections(), 1);
    // Changes and looks on request of a signal do not try it again with the old one... the user's
    // word does, once.
    home.deliver("INBOX", "new/1.M1P1.desk", b"Subject: x\n\nx\n");
    assert_eq!(home.run(&["status"]).status.code(), Some(2));
    assert_eq!(line.connections(), 1);
    write("pass\n");
    assert!(home.run(&["poke"]).status.success());
    watcher.wait("in step", |test| test["state"] == "synced");
    assert_same(&server, "u1", &home);
}

#[test]
fn one_account_in_trouble_delays_no_other() {
    let (server, home) = world(FULL, "");
    let line = Line::to(server.port);
    line.set(Way::Silent);
    let dir = home.dir.path().display();
    let account = |name: &str, port: u16| {
        format!(
            "[accounts.{name}]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             user = \"u1\"\npassword = \"pass\"\nmaildir = \"{dir}/{name}\"\n"
        )
    };
    let (bad, good) = (account("bad", line.port), account("test", server.port));
    let text = format!("state_dir = \"{dir}/state\"\n{bad}{good}").replace("/test\"", "/Mail\"");
    home.write_config(&text);
    let watcher = Watcher::in_step(&home);
    star(&server, 2);
    let took = wait_for("the star is here", || starred(&home) == 1);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_ne!(watcher.account("bad")["state"], "synced");
}

#[test]
fn a_captive_portal_is_no_network_and_nobodys_mistake() {
    let (server, home) = world(FULL, "");
    // Another machine answers in the server's place, with a certificate that is in order, for
    // another name: the one of the test is for 127.0.0.1.
    let portal = Line::from("127.0.0.2", server.tls_port);
    let dir = home.dir.path().display();
    let account = |host: &str, port: u16| {
        home.write_config(&format!(
            "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"{host}\"\nport = {port}\n\
             tls_ca_file = \"{}\"\nuser = \"u1\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail\"\n",
            server.ca().display()
        ));
    };
    account("127.0.0.2", portal.port);
    assert_eq!(home.sync().0, 75);
    let watcher = Watcher::start(&home, home.mailtide());
    watcher.wait("it is noticed", |test| test["state"] == "waiting");
    let reason = watcher.status()["reason"].to_string();
    assert!(reason.contains("wants a login of its own"), "{reason}");
    let tries = portal.connections();
    wait_for("it is tried again", || portal.connections() > tries + 2);
    // The portal lets us through.
    account("127.0.0.1", server.tls_port);
    watcher.signal("HUP");
    watcher.wait("in step", |test| test["state"] == "synced");
    assert_same(&server, "u1", &home);
}
