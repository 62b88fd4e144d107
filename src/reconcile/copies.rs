//! Copies of messages that stayed, and messages that reappear. A part of the table of moves.

use super::action::{Action, Duplicate, Recall};
use super::assign::{Source, marked};
use super::moves::{Group, Table};
use super::pool::Wanted;
use super::sighting::Kept;
use crate::model::{Id, Side};

impl Table<'_> {
    /// The remaining sightings are copies of messages that stayed, or messages that reappear.
    pub(super) fn copies(&mut self, sources: &[Source], mut group: Group<'_>) {
        group.uids.retain(|v| !marked(&v.flags));
        group.files.retain(|g| !marked(&g.flags));
        let here = sources.iter().find_map(|s| Some((s.file.clone()?, s.size)));
        let there = sources.iter().find_map(|s| Some((s.uid.clone()?, s)));
        for v in group.uids.drain() {
            if let Some(g) = group.files.take(&Wanted::In(&v.mailbox)) {
                let links = self.out.links.entry(v.mailbox).or_default();
                links.push((v.id, g.id));
                continue;
            }
            if !self.policy.flows_to(Side::Local) {
                continue;
            }
            if let Some(((from, file), size)) = here.clone() {
                self.out.uids.insert((v.mailbox.clone(), v.id));
                let action = Action::Duplicate(Box::new(Duplicate {
                    from,
                    id: file.any(),
                    partner: v.id.any(),
                    flags: v.flags,
                    hash: v.hash,
                    size,
                    kin: v.kin,
                }));
                self.act(v.mailbox, action);
            } else if let Some(Kept { flags, path, .. }) = group.kept.pop_front() {
                self.out.uids.insert((v.mailbox.clone(), v.id));
                let action = Action::Recall(Box::new(Recall {
                    uid: v.id,
                    path,
                    hash: v.hash,
                    kin: v.kin,
                    agreed: flags.0,
                    here: flags.1,
                    there: v.flags,
                }));
                self.act(v.mailbox, action);
            } else if group.lost_here {
                self.out.lost.insert((v.mailbox, v.id.any()));
            }
        }
        for g in group.files.drain() {
            let Some(((from, uid), source)) = there.clone() else {
                let lost = group.lost_there.then(|| (g.mailbox, g.id.any()));
                self.out.lost.extend(lost);
                continue;
            };
            if self.policy.flows_to(Side::Remote) && !self.frozen.contains(&g.mailbox) {
                let copies = self.out.copies.entry(g.mailbox).or_default();
                copies.push(Duplicate {
                    from,
                    id: uid.any(),
                    partner: g.id.any(),
                    flags: source.flags.clone(),
                    hash: g.hash,
                    size: g.size.unwrap_or(source.size),
                    kin: None,
                });
            }
        }
    }
}
