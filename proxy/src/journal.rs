//! What happens, in lines that people read.
//!
//! Signalling threads hand events over and go on; a task turns them into text. When it cannot keep up, lines are lost
//! and counted, never calls.

mod lines;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use viaduct_routing::Event;

pub(crate) use self::lines::{Importance, Line, Lines, MediaNote};

/// Events that wait to be written.
const QUEUE: usize = 4_096;

/// How long events are gathered before they are written.
const GATHER: Duration = Duration::from_millis(20);

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printer {
    /// To the log, with a level.
    Log,
    /// To standard output, with the time of day: the demo.
    Plain,
}

/// Something to tell.
#[derive(Debug)]
pub(crate) enum Item {
    /// Of signalling.
    Sip(Event),
    /// Of media.
    Media(MediaNote),
}

/// The way to the writing task.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the writing task. It ends when every journal is gone. `hears_of_media` says whether the relay tells of
    /// media.
    pub(crate) fn start(printer: Printer, hears_of_media: bool) -> Self {
        let (queue, mut items) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut lines = Lines::new(hears_of_media);
            let mut batch = Vec::new();
            while items.recv_many(&mut batch, QUEUE).await > 0 {
                for line in batch.drain(..).filter_map(|item| lines.of(item)) {
                    print(printer, &line);
                }
                // While this sleeps nobody has to wake it: under load a thousand events cost one wake-up.
                tokio::time::sleep(GATHER).await;
            }
        });
        Self {
            queue,
            lost: Arc::default(),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        self.put(Item::Sip(event));
    }

    pub(crate) fn tell_media(&self, note: MediaNote) {
        self.put(Item::Media(note));
    }

    /// Events that were not written because too many waited.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn put(&self, item: Item) {
        if self.queue.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn print(printer: Printer, line: &Line) {
    let text = &line.text;
    match (printer, line.importance) {
        (Printer::Log, Importance::Normal) => tracing::info!("{text}"),
        (Printer::Log, Importance::Attention) => tracing::warn!("{text}"),
        (_, Importance::Detail) => tracing::debug!("{text}"),
        (Printer::Plain, _) => {
            let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
            // A closed terminal is no reason to stop serving calls.
            let _ = writeln!(std::io::stdout(), "{time}  {text}");
        }
    }
}
