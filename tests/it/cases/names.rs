//! Names of files that others had before.

use super::*;

/// A copy that has the name of its original in another mailbox comes back to where that was.
#[test]
fn one_moves_to_where_its_name_was_that_of_another() {
    let prepare = || {
        let mut w = super::mailboxes::with_a();
        let file = file(&w);
        let message = w.local.inner.borrow().boxes[&inbox()].messages[&file].clone();
        let mut inner = w.local.inner.borrow_mut();
        let a = inner.boxes.get_mut(&mb("A")).unwrap();
        a.put_as(file, message);
        drop(inner);
        w.sync_ok();
        w
    };
    let swapped = |w: &mut TwoSides| {
        gone(w, Side::Local);
        let all = w.remote.inner.borrow().boxes[&mb("A")].messages.clone();
        let (copy, _) = all.iter().find(|(_, m)| m.body == BODY).unwrap();
        w.remote.shift(&mb("A"), copy, &inbox());
    };
    let want = r"A: a(\Seen); INBOX: msg(\Seen) other()";
    row(
        "the original was deleted here, the copy moved there",
        prepare,
        swapped,
        want,
    );
}
