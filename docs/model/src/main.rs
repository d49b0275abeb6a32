//! Larder's protocol (`docs/protocol.md`) as a model, and a search through every interleaving of it in small settings.
//!
//! Every read and write of shared data, every read or change of the epoch and every wake-up is one step. A worker runs
//! one callback at a time; between two of its steps anything else may happen: steps of other workers, requests and
//! purges that arrive, clients that leave, answers of the origin, leases that run out, VMs that die.
//!
//! - [`setting`]: what is explored, and the mistakes that can be made on purpose.
//! - [`world`]: a state.
//! - [`journal`], [`consider`], [`landing`], [`late`]: the callbacks of a worker, step by step.
//! - [`events`]: what begins a callback, and what goes wrong.
//! - [`check`]: what must hold.
//! - [`explore`]: the search. [`runs`]: the settings that are searched.

mod check;
mod consider;
mod events;
mod explore;
mod journal;
mod landing;
mod late;
mod runs;
mod setting;
mod world;

fn main() -> std::process::ExitCode {
    runs::main()
}
