//! Programs of other configurations, users and machines at the Maildir on the stage, and copies of
//! it: none of them may be let in.

use super::judge::ROOT;
use super::stage::Shared;
use mailtide::maildir::{Claim, Layout, MaildirStore, Owner};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The owner of the Maildir on the stage.
pub fn owner() -> Owner {
    Owner {
        account: "play".into(),
        user: "user".into(),
        host: "stage".into(),
        port: 143,
        state: "/states/play.db".into(),
        machine: "stage".into(),
    }
}

struct Stranger {
    who: &'static str,
    owner: Owner,
    claim: Claim,
    root: PathBuf,
    layout: Layout,
}

impl Stranger {
    fn new(who: &'static str, claim: Claim, change: fn(&mut Owner)) -> Stranger {
        let mut owner = owner();
        change(&mut owner);
        let (root, layout) = (ROOT.into(), Layout::Nested);
        Stranger {
            who,
            owner,
            claim,
            root,
            layout,
        }
    }

    fn at(self, root: PathBuf) -> Stranger {
        Stranger { root, ..self }
    }
}

fn all(id: &str) -> Vec<Stranger> {
    let copied = || Claim::Known(id.into());
    let (new, old) = (
        || Claim::First("00000000000000bb".into()),
        || Claim::Known("00000000000000cc".into()),
    );
    let inner = Path::new(ROOT).join("INBOX/not yet");
    let outer = Path::new(ROOT).parent().unwrap().to_owned();
    let other = |owner: &mut Owner| owner.account = "other".into();
    let mut all = vec![
        Stranger::new("another user", copied(), |own| own.user = "other".into()),
        Stranger::new("another host", copied(), |own| own.host = "other".into()),
        Stranger::new("another port", copied(), |own| own.port = 993),
        Stranger::new("another account", copied(), other),
        Stranger::new("another state", new(), |own| own.state = "/other.db".into()),
        Stranger::new("another machine", new(), |own| own.machine = "other".into()),
        Stranger::new("the state of another Maildir", old(), |_| ()),
        Stranger::new("an account within", new(), other).at(inner),
        Stranger::new("an account around", new(), other).at(outer),
    ];
    let mut plus = Stranger::new("another layout", new(), |_| ());
    plus.layout = Layout::MaildirPlusPlus;
    all.push(plus);
    all
}

/// Those who are let in.
pub fn let_in(stage: &Shared, id: &str) -> Vec<&'static str> {
    let enters = |stranger: &Stranger| {
        let disk = Rc::new(stage.clone());
        let claim = stranger.claim.clone();
        let local = MaildirStore::on(disk, &stranger.root, stranger.layout, claim);
        local.owned_by(stranger.owner.clone()).examine().is_ok()
    };
    let all = all(id).into_iter();
    all.filter(enters).map(|stranger| stranger.who).collect()
}
