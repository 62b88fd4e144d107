//! Handles the requests of the control socket.

use super::protocol::{Answer, Request};
use super::socket::RequestHandler;
use crate::daemon::account::backend::{SyncDepth, SyncRequest, UserVerdict};
use crate::daemon::account::task::TaskCommand;
use crate::daemon::status_board::AccountStatus;
use crate::daemon::supervisor::{AccountHandle, Supervisor};
use std::collections::BTreeMap;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

impl Supervisor {
    fn chosen(&self, accounts: &[String]) -> Result<Vec<String>, String> {
        let kept = self.kept.borrow();
        if let Some(name) = accounts.iter().find(|name| !kept.contains_key(*name)) {
            let known: Vec<&str> = kept.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(format!(
                "{name} is not an account of the watcher; its accounts: {known}"
            ));
        }
        let all = || kept.keys().cloned().collect();
        Ok(if accounts.is_empty() {
            all()
        } else {
            accounts.to_vec()
        })
    }

    fn order(&self, accounts: &[String], order: impl Fn() -> TaskCommand) -> Answer {
        match self.chosen(accounts) {
            Ok(names) => {
                let kept = self.kept.borrow();
                for one in names.iter().filter_map(|name| kept.get(name)) {
                    // The supervisor restarts a task that has ended.
                    let _there = one.orders.send(order());
                }
                Answer::done()
            }
            Err(no) => Answer::no(no),
        }
    }

    async fn sync(&self, accounts: &[String], request: &SyncRequest) -> Answer {
        let names = match self.chosen(accounts) {
            Ok(names) => names,
            Err(no) => return Answer::no(no),
        };
        let mut waits = Vec::new();
        for name in names {
            let (send, receive) = oneshot::channel();
            if let Some(kept) = self.kept.borrow().get(&name) {
                // A task that has ended does not answer.
                let _there = kept.orders.send(TaskCommand::Sync(request.clone(), send));
            }
            waits.push((name, receive));
        }
        let mut runs = Vec::new();
        for (name, wait) in waits {
            match wait.await {
                Ok(summary) => runs.push(summary),
                Err(_) => return Answer::no(format!("{name} was stopped before it was synced")),
            }
        }
        Answer {
            runs: Some(runs),
            ..Answer::done()
        }
    }

    fn all_orders(&self) -> Vec<(String, UnboundedSender<TaskCommand>)> {
        let kept = self.kept.borrow();
        let one = |(name, one): (&String, &AccountHandle)| (name.clone(), one.orders.clone());
        kept.iter().map(one).collect()
    }

    async fn decide(&self, id: &str, verdict: UserVerdict) -> Answer {
        for (name, orders) in self.all_orders() {
            let (send, receive) = oneshot::channel();
            // A task that has ended does not answer.
            let _there = orders.send(TaskCommand::Decide(id.to_owned(), verdict, send));
            match receive.await {
                Ok(Ok(true)) => {
                    return Answer {
                        account: Some(name),
                        ..Answer::done()
                    };
                }
                Ok(Err(error)) => return Answer::no(format!("{name}: {error}")),
                Ok(Ok(false)) | Err(_) => {}
            }
        }
        let statuses = self.statuses();
        let held = statuses.iter().flat_map(|status| {
            let line = |held: &crate::daemon::run_summary::HeldChange| {
                format!("{} {}", status.account, held.id)
            };
            status.held.iter().map(line).collect::<Vec<_>>()
        });
        let held: Vec<String> = held.collect();
        Answer::no(match held.is_empty() {
            true => format!("no held change with id {id}; there are no held changes"),
            false => format!(
                "no held change with id {id}; current ids: {}",
                held.join(", ")
            ),
        })
    }
}

impl RequestHandler for Supervisor {
    async fn answer(&self, request: Request) -> Answer {
        let answer = self.carry_out(request).await;
        let path = self.config.borrow().path.display().to_string();
        Answer {
            config: Some(path),
            ..answer
        }
    }
}

impl Supervisor {
    async fn carry_out(&self, request: Request) -> Answer {
        match request {
            Request::Hello {} => Answer::done(),
            Request::Status { accounts } => match self.chosen(&accounts) {
                Ok(names) => Answer {
                    accounts: Some(
                        self.statuses()
                            .into_iter()
                            .filter(|status| names.contains(&status.account))
                            .collect(),
                    ),
                    ..Answer::done()
                },
                Err(no) => Answer::no(no),
            },
            Request::Poke { accounts } => self.order(&accounts, || TaskCommand::Poke),
            Request::Pause { accounts } => self.order(&accounts, || TaskCommand::Pause),
            Request::Resume { accounts } => self.order(&accounts, || TaskCommand::Resume),
            Request::Sync {
                accounts,
                mailboxes,
                full,
                undo,
                arrange,
            } => {
                let depth = match full {
                    true => SyncDepth::Everything,
                    false => SyncDepth::Changes,
                };
                let only = mailboxes;
                let request = SyncRequest {
                    only,
                    depth,
                    undo,
                    arrange,
                };
                self.sync(&accounts, &request).await
            }
            Request::Approve { id } => self.decide(&id, UserVerdict::Approve).await,
            Request::Reject { id } => self.decide(&id, UserVerdict::Reject).await,
        }
    }
}

/// Summarizes all accounts in one line.
pub fn summary(all: &[AccountStatus]) -> String {
    let mut by_state: BTreeMap<&str, usize> = BTreeMap::new();
    for status in all {
        *by_state.entry(status.state.text()).or_default() += 1;
    }
    let states: Vec<String> = by_state
        .iter()
        .map(|(text, n)| format!("{n} {text}"))
        .collect();
    let messages: usize = all
        .iter()
        .flat_map(|s| &s.mailboxes)
        .map(|m| m.messages)
        .sum();
    let changes: usize = all.iter().map(|s| s.changes).sum();
    format!(
        "{}; {messages} messages, {changes} changes since start",
        states.join(", ")
    )
}
