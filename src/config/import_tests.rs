use super::*;

const RICH: &str = "
# comment
Create Both
Expunge Both

IMAPAccount work
Host imap.example.org
Port 144
User \"me with \\\"quotes\\\"\"
PassCmd \"+pass show mail/work\"
TLSType STARTTLS
CertificateFile ~/ca.pem
PipelineDepth 50
Tunnel \"ssh -q host\"

IMAPStore far
Account work
Path INBOX.

MaildirStore near
Path ~/Mail/
Inbox ~/Mail/Inbox
SubFolders Verbatim
InfoDelimiter ;

Channel one
Far :far:
Near :near:
Patterns * !Spam \"A B\"
MaxMessages 100

Channel two
Master :far:Sent
Slave :near:sent
Sync Pull

Channel three
Far :far:Old
Near :near:Old

Group all
Channels one two
";

#[test]
fn a_rich_mbsyncrc() {
    let imported = read_mbsyncrc(RICH);
    assert_eq!(imported.accounts.len(), 1, "{imported:?}");
    let rendered = render(&imported, "mbsyncrc");
    for line in [
        "[accounts.far]",
        "host = \"imap.example.org\"",
        "port = 144",
        "user = 'me with \"quotes\"'",
        "password_command = [\"sh\", \"-c\", \"pass show mail/work\"]",
        "tls = \"starttls\"",
        "tls_ca_file = \"~/ca.pem\"",
        "maildir = \"~/Mail\"",
        "mailboxes = [\"*\", \"!Spam\", \"A B\", \"Old\"]",
        "delete = \"both\"",
        "delete_mailboxes = \"none\"",
        "direction = \"both\"",
    ] {
        assert!(
            rendered.lines().any(|own| own == line),
            "{line}:\n{rendered}"
        );
    }
    for what in [
        "Channel two: direction would be \"pull\"",
        "Tunnel",
        "INBOX.",
        "Inbox ~/Mail/Inbox",
        "infodelimiter",
        "maxmessages",
        "\"sent\" here",
        "Group all",
    ] {
        let told = rendered
            .lines()
            .any(|line| line.starts_with('#') && line.contains(what));
        assert!(told, "{what} is told:\n{rendered}");
    }
    rendered.parse::<toml::Table>().unwrap();
}

#[test]
fn a_rich_offlineimaprc() {
    let text = "
[general]
accounts = Home, Gone
pythonfile = ~/x.py
[Account Home]
localrepository = L
remoterepository = R
autorefresh = 5
[Repository L]
type: Maildir
localfolders = ~/Mail/home
[Repository R]
type = Gmail
remoteuser = me@example.org
remotepasseval = get_pass(
   \"home\")
folderfilter = lambda f: f not in ['Spam']
readonly = true
maxconnections = 3
";
    let imported = read_offlineimaprc(text);
    let rendered = render(&imported, "offlineimaprc");
    for line in [
        "[accounts.Home]",
        "host = \"imap.gmail.com\"",
        "user = \"me@example.org\"",
        "maildir = \"~/Mail/home\"",
        "direction = \"pull\"",
        "connections = 3",
    ] {
        assert!(
            rendered.lines().any(|own| own == line),
            "{line}:\n{rendered}"
        );
    }
    for what in [
        "account Gone",
        "pythonfile",
        "autorefresh",
        "remotepasseval = get_pass( \"home\")",
        "folderfilter",
        "sep = .",
    ] {
        let told = rendered
            .lines()
            .any(|line| line.starts_with('#') && line.contains(what));
        assert!(told, "{what} is told:\n{rendered}");
    }
    rendered.parse::<toml::Table>().unwrap();
}

#[test]
fn odd_files_are_no_accounts() {
    for text in [
        "",
        "garbage",
        "[general]\n",
        "Channel x\n",
        "IMAPStore a\nHost\n\nChannel b\nFar :a:\n",
    ] {
        assert!(read_mbsyncrc(text).accounts.is_empty(), "{text}");
        assert!(read_offlineimaprc(text).accounts.is_empty(), "{text}");
    }
}

/// One remote account with two Maildirs becomes two accounts, which need two names.
#[test]
fn names_are_not_given_twice() {
    let two = "IMAPStore far\nHost a\nUser u\n\nMaildirStore one\nPath ~/a/\n\n\
               MaildirStore two\nPath ~/b/\n\nChannel x\nFar :far:\nNear :one:\n\n\
               Channel y\nFar :far:\nNear :two:\n";
    let rendered = render(&read_mbsyncrc(two), "mbsyncrc");
    let parsed: toml::Table = rendered.parse().unwrap();
    let names: Vec<&String> = parsed["accounts"].as_table().unwrap().keys().collect();
    assert_eq!(names, ["far", "far-2"]);
}
