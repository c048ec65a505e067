//! The `fireguard` command.

use std::process::ExitCode;

// A proxy's allocations are many, small and short: a tenth less CPU per request than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, and of each one that is touched 2 MB are taken: two thirds of what an idle
    // process holds, for no time that could be measured. Without the right to it, it is only more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    fireguard::cli::main()
}
