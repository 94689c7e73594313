//! The `touchline` binary; see `touchline::cli`.

// mimalloc: state is millions of small buffers; the measured gain is in ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    touchline::cli::main()
}
