//! A lock that stands alone, and nothing else.

fn main() -> std::process::ExitCode {
    doorward::lock()
}
