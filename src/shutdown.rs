//! Stopping: the first signal asks for a clean end, a second one ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a clean end was asked for. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// Asks for a clean end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a clean end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Listens for SIGTERM and SIGINT on a thread of its own: the first calls [`Shutdown::request`], the second ends
    /// the process with code 130.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let shutdown = self.clone();
        let (mut terminate, mut interrupt) = {
            let _context = runtime.enter();
            use tokio::signal::unix::{SignalKind, signal};
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
                tracing::info!("stopping: what is in memory is committed first; a second signal stops at once");
                shutdown.request();
                tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
            });
            end_at_once()
        })?;
        Ok(())
    }
}

#[expect(clippy::exit, reason = "a second signal asks for just this")]
fn end_at_once() {
    std::process::exit(130);
}
