//! The simulator for the night: many seeds, each with its own server, faults and kills.
//!
//!     cargo run --release --example sim -- --seeds 100000 [--from 1] [--server qresync]
//!     cargo run --release --example sim -- --seed 4711        one seed, told step by step
#![allow(dead_code, reason = "the tests use the rest")]

#[path = "../tests/it/sim/mod.rs"]
mod sim;

use clap::Parser;
use std::collections::BTreeMap;

#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Just this one, told step by step.
    #[arg(long)]
    seed: Option<u64>,
    /// Servers that do something else than they say.
    #[arg(long)]
    odd: bool,
    /// What happens in the field besides: backups, copies, mounts, keywords.
    #[arg(long)]
    field: bool,
    /// Only with this server.
    #[arg(long)]
    server: Option<String>,
    /// Scenes killed at every step instead of seeds.
    #[arg(long)]
    scenes: bool,
    /// Name the seeds in whose storms something ended up twice.
    #[arg(long)]
    twice: bool,
    /// Go on after a failure.
    #[arg(long)]
    on: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let server = arguments.server.as_deref();
    let play = |seed| match arguments.odd {
        true => sim::play::play_odd(seed),
        false if arguments.field => sim::play::play_field(seed, server),
        false => sim::play::play(seed, server),
    };
    if let Some(seed) = arguments.seed {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("MAILTIDE_TELL", "1") };
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .without_time()
            .init();
        let outcome = play(seed);
        println!("{:#?}", outcome.broken);
        return;
    }
    if arguments.scenes {
        let mut points = 0;
        for n in 0..sim::scenes::count() {
            let cut = sim::scenes::cut_everywhere(n, 1);
            points += cut.points;
            cut.broken.iter().for_each(|what| println!("{n}: {what}"));
        }
        println!("{points} points");
        return;
    }
    let (mut failed, mut steps, mut kills) = (0, 0, 0);
    let (mut storms, mut messages, mut doubled) = (0, 0, 0);
    let mut met: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut by_server: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = play(seed);
        steps += outcome.steps;
        kills += outcome.kills;
        if let Some((all, twice)) = outcome.storm {
            (storms, messages, doubled) = (storms + 1, messages + all, doubled + twice);
            if arguments.twice && twice > 0 {
                let (server, chaos) = (outcome.profile, &outcome.chaos);
                println!("seed {seed} ({server}): {twice} ended up twice; {chaos}");
            }
        }
        *by_server.entry(outcome.profile).or_default() += 1;
        for (cell, count) in outcome.met {
            *met.entry(cell).or_default() += count;
        }
        if let Some(what) = outcome.broken.first() {
            failed += 1;
            let what: String = what.chars().take(300).collect();
            println!("seed {seed} ({}): {what}", outcome.profile);
            println!("  {} {:?}", outcome.chaos, outcome.storm);
            println!("  repeat: cargo run --release --example sim -- --seed {seed}");
            if !arguments.on {
                std::process::exit(1);
            }
        }
    }
    for ((fault, operation), count) in &met {
        println!("{count:>8} {fault} at {operation}");
    }
    println!("{by_server:?}");
    println!("{storms} storms with {messages} messages, of which {doubled} ended up twice");
    println!(
        "{} seeds, {failed} failed, {steps} steps, {kills} kills",
        arguments.seeds
    );
    std::process::exit(i32::from(failed > 0));
}
