//! Prints the TypeScript declarations of the protocol, which `cargo xtask gen` writes to
//! `clients/js/src/protocol.ts`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", penholder_protocol::typescript_declarations());
}
