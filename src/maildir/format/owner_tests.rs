use super::*;
use proptest::prelude::*;

fn owner() -> Owner {
    Owner {
        account: "work".into(),
        user: "me@example.org".into(),
        host: "imap.example.org".into(),
        port: 993,
        state: "/home/me/.local/state/mailtide/work.db".into(),
        machine: "desk 0123".into(),
    }
}

fn marker() -> Marker {
    Marker {
        uuid: "id".into(),
        generation: Some(7),
        owner: Some(owner()),
        root: Some("/home/me/Mail".into()),
    }
}

fn judged(own: &Owner, uuid: &str, knows: bool) -> Option<Foreign> {
    foreign(own, uuid, knows, (&marker(), MarkerPaths::default()))
}

#[test]
fn another_account_server_port_or_user_is_foreign() {
    let change = |change: fn(&mut Owner)| {
        let mut own = owner();
        change(&mut own);
        judged(&own, "id", true)
    };
    assert_eq!(change(|_| ()), None);
    let same = change(|own| own.host = "IMAP.Example.ORG.".into());
    assert_eq!(same, None, "a host name has no case");
    for other in [
        change(|own| own.account = "home".into()),
        change(|own| own.user = "you@example.org".into()),
        change(|own| own.host = "imap.example.com".into()),
        change(|own| own.port = 143),
    ] {
        assert_eq!(other, Some(Foreign::Account));
    }
}

#[test]
fn a_state_is_known_by_its_id_and_a_lost_one_by_its_place() {
    assert_eq!(judged(&owner(), "id", false), None);
    assert_eq!(judged(&owner(), "new", false), None, "the state was lost");
    assert_eq!(judged(&owner(), "new", true), Some(Foreign::State));
    let mut elsewhere = owner();
    elsewhere.state = "/home/me/other/work.db".into();
    assert_eq!(judged(&elsewhere, "new", false), Some(Foreign::State));
    assert_eq!(judged(&elsewhere, "id", true), None, "it was moved");
    let mut laptop = owner();
    laptop.machine = "laptop 4567".into();
    assert_eq!(judged(&laptop, "new", false), Some(Foreign::State));
    assert_eq!(judged(&laptop, "id", true), None);
}

#[test]
fn a_server_that_was_never_reached_may_be_named_anew() {
    let (mut own, mut unused) = (owner(), marker());
    own.host = "imap.example.com".into();
    unused.generation = Some(0);
    let found = (&unused, MarkerPaths::default());
    assert_eq!(foreign(&own, "id", false, found), None);
    for (uuid, knows) in [("id", true), ("new", false)] {
        let refused = foreign(&own, uuid, knows, found);
        assert_eq!(refused, Some(Foreign::Account));
    }
    assert_eq!(judged(&own, "id", false), Some(Foreign::Account));
}

#[test]
fn a_copy_beside_its_original_is_foreign() {
    let with = |places| foreign(&owner(), "id", true, (&marker(), places));
    let (mut state, mut root) = (MarkerPaths::default(), MarkerPaths::default());
    (state.other_state, root.other_root) = (true, true);
    assert_eq!(with(state), Some(Foreign::CopiedState));
    assert_eq!(with(root), Some(Foreign::CopiedMaildir));
}

#[test]
fn a_marker_of_an_older_mailtide_is_known_by_its_id_only() {
    let old = Marker::read(b"id\n7\n");
    assert_eq!((&*old.uuid, old.generation), ("id", Some(7)));
    assert_eq!((&old.owner, &old.root), (&None, &None));
    let found = (&old, MarkerPaths::default());
    assert_eq!(foreign(&owner(), "id", true, found), None);
    let unnamed = Some(Foreign::Unnamed);
    assert_eq!(foreign(&owner(), "new", true, found), unnamed);
    assert_eq!(foreign(&owner(), "new", false, found), unnamed);
    assert_eq!(Marker::read(b"id").generation, None);
}

proptest! {
    #[test]
    fn a_marker_comes_back_as_it_was_written(
        user in "\\PC{0,9}|[a%\n\r \u{0}-\u{1f}]{0,9}",
        state in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut marker = marker();
        let state = state.into_iter().map(|byte| byte.max(1)).collect::<Vec<_>>();
        let owner = Owner { user, state: path(&state), ..owner() };
        marker.owner = Some(owner);
        prop_assert_eq!(&Marker::read(&marker.bytes()), &marker);
    }
}
