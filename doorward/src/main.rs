//! The program.

fn main() -> std::process::ExitCode {
    doorward::main()
}
