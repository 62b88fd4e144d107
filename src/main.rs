//! The program; the library has all of its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    mailtide::cli::main()
}
