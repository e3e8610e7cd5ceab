//! The store at the start: a database that is away then keeps nobody from being served who needs no pen.

use std::time::Duration;

use parking_lot::Mutex;
use penholder_desk::{Storage, StoreError};
use tokio::time::sleep;

use super::{PenDesk, log_away};

/// When a store that could not be opened is tried again; twice as long each time.
const RETRY_MIN: Duration = Duration::from_millis(250);

/// At most so long.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Whether pens can be had.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The store that is yet to be opened.
    missing: Mutex<Option<Storage>>,
    /// Why there are no pens, as of the last attempt.
    trouble: Mutex<Option<String>>,
}

impl Opening {
    /// Takes the outcome of the first attempt.
    ///
    /// # Errors
    ///
    /// Trying again cannot help.
    pub(super) fn begin(
        storage: Storage,
        opened: Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let opening = Self::default();
        match opened {
            Ok(()) => {}
            Err(error @ StoreError::Unavailable(_))
                if matches!(storage, Storage::Postgres { .. }) =>
            {
                log_away(&error);
                opening.note(Some(&error));
                *opening.missing.lock() = Some(storage);
            }
            Err(error) => return Err(error),
        }
        Ok(opening)
    }

    /// Notes whether the store can be had. One that is not open yet is none that has gone away.
    pub(super) fn note(&self, error: Option<&StoreError>) {
        if !matches!(error, Some(StoreError::NotOpen)) {
            *self.trouble.lock() = error.map(ToString::to_string);
        }
    }

    /// Why there are no pens; none when there are.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
}

/// Opens a store that was away at the start, however long that takes.
pub(super) async fn run(desk: PenDesk) {
    let Some(storage) = desk.0.opening.missing.lock().take() else { return };
    let mut pause = RETRY_MIN;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = desk.0.ending.cancelled() => return,
        }
        let opened = desk.0.store.connect(&storage).await;
        desk.0.opening.note(opened.as_ref().err());
        match opened {
            Ok(()) => {
                tracing::info!("the store of pens is there");
                return desk.0.alarm.within(Duration::ZERO);
            }
            Err(error) => log_away(&error),
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}
