use super::*;
use crate::maildir::MaildirStore;
use crate::maildir::fs::real::RealFs;

fn owner(account: &str) -> Owner {
    Owner {
        account: account.into(),
        ..Owner::default()
    }
}

fn root<'a>(path: &'a Path, owner: &'a Owner) -> Root<'a> {
    Root {
        disk: &RealFs,
        path,
        layout: Layout::Nested,
        owner,
    }
}

fn refused(root: &Root<'_>, claim: &Claim) -> String {
    root.open(claim).unwrap_err().to_string()
}

const UUID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn missing_and_foreign_maildirs_are_never_empty_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (path, owner) = (dir.path().join("Mail"), owner("a"));
    let root = root(&path, &owner);
    let known = Claim::Known("a".into());
    assert!(refused(&root, &known).contains("is the disk mounted?"));
    let first = root.open(&Claim::First("a".into())).unwrap();
    assert!(first.new && !path.exists(), "a look writes nothing");
    root.write("a", 7).unwrap();
    let opened = root.open(&known).unwrap();
    assert_eq!((opened.new, opened.generation), (false, Some(7)));
    assert!(!opened.outdated);
    // The state was lost: it takes the id of the marker.
    let again = root.open(&Claim::First("b".into())).unwrap();
    assert_eq!(again.uuid, "a");
    let other = Claim::Known("b".into());
    assert!(refused(&root, &other).contains("another state database"));
}

#[test]
fn another_layout_of_the_same_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (t, u) = (owner("t"), owner("u"));
    root(dir.path(), &t).write(UUID, 0).unwrap();
    let mut other = root(dir.path(), &u);
    other.layout = Layout::MaildirPlusPlus;
    let text = refused(&other, &Claim::First("b".into()));
    assert!(
        text.contains("account t") && text.contains("mailtide adopt u"),
        "{text}"
    );
    other.write("b", 0).unwrap();
    other.remove_other_marker().unwrap();
    assert!(!dir.path().join(".mailtide/account").exists());
}

#[test]
fn a_copy_is_refused_while_its_original_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("Mail"), dir.path().join("Copy"));
    let owner = owner("a");
    root(&path, &owner).write("a", 7).unwrap();
    std::fs::create_dir_all(copy.join(".mailtide")).unwrap();
    let marker = ".mailtide/account";
    std::fs::copy(path.join(marker), copy.join(marker)).unwrap();
    let known = Claim::Known("a".into());
    assert!(refused(&root(&copy, &owner), &known).contains("is a copy of the Maildir"));
    let link = dir.path().join("Link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(!root(&link, &owner).open(&known).unwrap().outdated);
    std::fs::rename(&path, dir.path().join("Moved")).unwrap();
    let moved = dir.path().join("Moved");
    assert!(
        root(&moved, &owner).open(&known).unwrap().outdated,
        "it was moved"
    );
    assert!(
        root(&copy, &owner).open(&known).is_ok(),
        "its original is gone"
    );
}

#[test]
fn maildirs_in_one_another_are_refused_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, owner) = (dir.path().join("Mail"), owner("a"));
    let inner = outer.join("Lists/.hidden/work");
    root(&outer, &owner).refuse_inner().unwrap();
    root(&inner, &owner).write(UUID, 0).unwrap();
    root(&inner, &owner).refuse_outer().unwrap();
    let text = root(&outer, &owner).refuse_inner().unwrap_err().to_string();
    assert!(text.contains("holds another one"), "{text}");
    std::fs::remove_dir_all(&inner).unwrap();
    root(&outer, &owner).write(UUID, 0).unwrap();
    // The inner one does not exist yet, and its path leads through a link.
    let link = dir.path().join("Link");
    std::os::unix::fs::symlink(outer.join("Lists"), &link).unwrap();
    for path in [inner, link.join("x/y"), dir.path().join("no/../Mail/Lists")] {
        std::fs::create_dir_all(dir.path().join("no")).unwrap();
        let text = root(&path, &owner).refuse_outer().unwrap_err().to_string();
        assert!(text.contains("lies in another one"), "{text}");
    }
    root(&outer, &owner).refuse_outer().unwrap();
    root(&outer, &owner).refuse_inner().unwrap();
}

#[test]
fn a_server_is_named_anew_before_the_first_change_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = |host: &str, claim: Claim| {
        let host = host.to_owned();
        let owner = Owner { host, ..owner("a") };
        MaildirStore::new(dir.path(), Layout::Nested, claim).owned_by(owner)
    };
    let first = || Claim::First(UUID.into());
    store("mistaken", first()).take_possession().unwrap();
    let mut right = store("right", first());
    right.take_possession().unwrap();
    assert_eq!(right.generation().unwrap(), Some(0));
    right.note_generation(1).unwrap();
    assert!(store("mistaken", first()).take_possession().is_err());
    assert!(store("right", Claim::Known(UUID.into())).examine().is_ok());
}
