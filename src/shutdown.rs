//! Signals: the first SIGTERM or SIGINT asks for a clean end, a second one ends the process at once; SIGHUP asks for the
//! configuration to be read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was asked for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    end: AtomicBool,
    reload: AtomicBool,
}

impl Shutdown {
    /// Asks for a clean end.
    pub fn request(&self) {
        self.0.end.store(true, Ordering::Relaxed);
    }

    /// Whether a clean end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.end.load(Ordering::Relaxed)
    }

    /// Whether the configuration is to be read again; asked once.
    #[must_use]
    pub fn takes_reload(&self) -> bool {
        self.0.reload.swap(false, Ordering::Relaxed)
    }

    /// Listens on a thread of its own: the first SIGTERM or SIGINT calls [`Shutdown::request`], the second ends the process
    /// with code 130; SIGHUP is told by [`Shutdown::takes_reload`].
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let shutdown = self.clone();
        let (mut terminate, mut interrupt, mut hang_up) = {
            let _context = runtime.enter();
            use tokio::signal::unix::{SignalKind, signal};
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => break,
                        _ = interrupt.recv() => break,
                        _ = hang_up.recv() => shutdown.0.reload.store(true, Ordering::Relaxed),
                    }
                }
                tracing::info!("stopping: what is in memory is committed first; a second signal stops at once");
                shutdown.request();
                tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
            });
            signal_hook::low_level::exit(130)
        })?;
        Ok(())
    }
}
