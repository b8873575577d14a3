//! The threads that own the store's connections: one writes, one reads.

use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::db::{Answer, Db, Work};
use super::fault::Fault;
use crate::io::StoreError;
use crate::limits;

/// A queue to a thread. Work is queued when [`Lane::ask`] is called; where the queue is full, it
/// waits for room as soon as its future is polled.
pub(super) struct Lane<J> {
    queue: Mutex<Option<mpsc::Sender<Job<J>>>>,
}

/// Work with its share of a group.
pub(super) struct Job<J> {
    weight: usize,
    work: J,
}

/// A question for the reader.
pub(super) type Question = Box<dyn FnOnce(&Connection) + Send>;

/// Where the answer to one piece of work goes. Nobody may wait for it any more: what is done is
/// done all the same.
type To<T> = oneshot::Sender<Result<T, StoreError>>;

/// Starts the writer. The receiver hears when it has ended and the lock is released.
pub(super) fn writer(db: Db) -> Result<(Lane<Work>, oneshot::Receiver<()>), StoreError> {
    start("store-writer", move |queue| write(db, queue))
}

/// Starts the reader.
pub(super) fn reader(
    connection: Connection,
) -> Result<(Lane<Question>, oneshot::Receiver<()>), StoreError> {
    start("store-reader", move |mut queue: mpsc::Receiver<Job<Question>>| {
        while let Some(job) = queue.blocking_recv() {
            (job.work)(&connection);
        }
    })
}

impl Lane<Work> {
    pub(super) fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Db) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (to, answer) = oneshot::channel();
        self.ask(weight, Box::new(move |db| tell(db.work(work), to)), answer)
    }
}

impl Lane<Question> {
    pub(super) fn read<T: Send + 'static>(
        &self,
        place: String,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (to, answer) = oneshot::channel();
        let question: Question = Box::new(move |db| {
            let _nobody_waits = to.send(snapshot(db, read).map_err(|fault| fault.told(&place)));
        });
        self.ask(1, question, answer)
    }
}

impl<J: Send + 'static> Lane<J> {
    /// Takes no more work. What is queued is still done.
    pub(super) fn close(&self) {
        self.queue.lock().expect("nothing panics under this lock").take();
    }

    fn ask<T: Send + 'static>(
        &self,
        weight: usize,
        work: J,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let wait = async { answer.await.unwrap_or(Err(StoreError::Closed)) };
        let queue = self.queue.lock().expect("nothing panics under this lock");
        let Some(queue) = &*queue else {
            return async { Err(StoreError::Closed) }.boxed();
        };
        match queue.try_send(Job { weight, work }) {
            Ok(()) => wait.boxed(),
            Err(mpsc::error::TrySendError::Closed(_)) => async { Err(StoreError::Closed) }.boxed(),
            Err(mpsc::error::TrySendError::Full(job)) => {
                // A weak handle, so that a future nobody polls does not keep the thread alive.
                let queue = queue.downgrade();
                async move {
                    let Some(queue) = queue.upgrade() else { return Err(StoreError::Closed) };
                    queue.send(job).await.map_err(|_| StoreError::Closed)?;
                    drop(queue);
                    wait.await
                }
                .boxed()
            }
        }
    }
}

fn start<J: Send + 'static>(
    name: &str,
    run: impl FnOnce(mpsc::Receiver<Job<J>>) + Send + 'static,
) -> Result<(Lane<J>, oneshot::Receiver<()>), StoreError> {
    let (queue, work) = mpsc::channel(limits::STORE_QUEUE);
    let end = spawn(name, move || run(work))?;
    Ok((Lane { queue: Mutex::new(Some(queue)) }, end))
}

/// Starts a thread. The receiver hears when it has ended.
pub(super) fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<oneshot::Receiver<()>, StoreError> {
    let (ended, end) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        run();
        let _nobody_waits = ended.send(());
    });
    thread.map_err(|error| StoreError::Io(format!("can't start thread {name}: {error}")))?;
    Ok(end)
}

/// Commits what is waiting together, so that one sync serves it all. Ends when the lane is closed
/// and its queue is empty.
fn write(mut db: Db, mut queue: mpsc::Receiver<Job<Work>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut weight = first.weight;
        let mut group = vec![first.work];
        while weight < limits::STORE_GROUP
            && let Ok(next) = queue.try_recv()
        {
            weight += next.weight;
            group.push(next.work);
        }
        db.group(group);
    }
}

/// An answer that is an error where the commit failed, whatever the work itself came to.
fn tell<T: Send + 'static>(done: Result<T, StoreError>, to: To<T>) -> Answer {
    Box::new(move |committed| {
        let _nobody_waits = to.send(committed.and(done));
    })
}

/// Everything one question reads is of one moment.
fn snapshot<T>(
    db: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = db.unchecked_transaction()?;
    let found = read(&transaction);
    transaction.finish()?;
    found
}
