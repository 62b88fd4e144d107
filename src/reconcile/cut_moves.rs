//! Moves on the server that were cut, whose files are in the target. A part of the table of moves.

use super::moves::{Group, Table};
use super::seen::name;
use super::sighting::Sighting;
use crate::model::{Id, MaildirId, Uid};
use crate::reconcile::settled::CutMove;

impl Table<'_> {
    /// Resolves moves that were cut between COPY and EXPUNGE, or whose copy is not known. Where the
    /// original is the pair's message, a visible copy decides.
    pub(super) fn finish(&mut self, group: &mut Group<'_>) {
        let cuts = group
            .known
            .iter()
            .filter_map(|known| self.cut.get(&known.pair.id));
        let mut cuts: Vec<&CutMove> = cuts.flatten().copied().collect();
        cuts.sort_by_key(|cut| &cut.to.1);
        for cut in cuts {
            let Group {
                known, uids, files, ..
            } = group;
            let pair = known.iter().position(|known| known.pair.id == cut.pair);
            let file = |g: &Sighting<MaildirId>| g.mailbox == cut.to.0;
            let there = |g: &Sighting<MaildirId>| (&g.mailbox, &g.id) == (&cut.to.0, &cut.to.1);
            let (Some(pair), true) = (pair, files.iter().any(there)) else {
                continue;
            };
            let original = |v: &Sighting<Uid>| (&v.mailbox, v.id) == (&cut.from.0, cut.from.1);
            let copy = |v: &Sighting<Uid>| v.mailbox == cut.to.0 && v.id.get() > cut.above;
            let left = uids.iter().any(original);
            let arrived = uids.iter().find(|v| copy(v) && !original(v));
            match arrived.map(|v| v.id) {
                Some(uid) if left && self.may_leave_there(&cut.from.0, &cut.to.0) => {
                    let known = known.remove(pair);
                    let Some(g) = files.take_named(&cut.to.1, file) else {
                        continue;
                    };
                    uids.retain(|v| !original(v) && (&v.mailbox, v.id) != (&cut.to.0, uid));
                    let from = (cut.from.0.clone(), cut.from.1.any());
                    let arrived = (Some(uid.any()), g.size);
                    self.travel(name(&known.pair), from, (g.mailbox, g.id.any()), arrived);
                }
                None if cut.may_come => {
                    let known = known.remove(pair);
                    let Some(g) = files.take_named(&cut.to.1, file) else {
                        continue;
                    };
                    self.out.pairs.insert(known.pair.id);
                    self.out.astray.insert(g.id, g.mailbox);
                    uids.retain(|v| !original(v));
                    self.out.uids.extend(left.then(|| cut.from.clone()));
                }
                _ => {}
            }
        }
    }
}
