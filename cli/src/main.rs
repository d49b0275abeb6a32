//! `larder`: the command line.
//!
//! It says what the filter would say, with the filter's own code, before a configuration reaches an Envoy.

mod check;
mod find;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An HTTP cache for Envoy, seen from a shell.
#[derive(Parser)]
#[command(name = "larder", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks plugin configurations, with the errors and warnings of the filter
    ///
    /// A file is a plugin configuration in JSON, or YAML that has some: an Envoy configuration, an EnvoyFilter or a
    /// WasmPlugin of Istio, an EnvoyExtensionPolicy of Envoy Gateway. Exits with 1 if one is refused, with 2 if a file
    /// cannot be read or has none.
    Check {
        /// The files; `-` is standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { files } => check::check(&files, &mut std::io::stdout().lock()),
    }
}
