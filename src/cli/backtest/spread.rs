//! Work spread over all processors.

use std::sync::Mutex;
use std::thread;

use super::Failure;

/// Has every thread take the next piece, with its number, until there are no more: no more pieces
/// are in memory than there are threads. What each of them came to; or the first failure, after
/// which nothing more is taken.
pub fn over<T: Send, P: Send>(
    next: impl FnMut() -> Result<Option<T>, Failure> + Send,
    begin: impl Fn() -> P + Sync,
    each: impl Fn(u64, T, &mut P) + Sync,
) -> Result<Vec<P>, Failure> {
    let pieces = Mutex::new(Pieces { next: Some(next), number: 0, failed: None });
    let take = || pieces.lock().expect("no thread has panicked").take();
    let work = || {
        let mut part = begin();
        while let Some((number, piece)) = take() {
            each(number, piece, &mut part);
        }
        part
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    match pieces.into_inner().expect("no thread has panicked").failed {
        Some(why) => Err(why),
        None => Ok(parts),
    }
}

struct Pieces<N> {
    /// `None` once it has ended.
    next: Option<N>,
    number: u64,
    failed: Option<Failure>,
}

impl<T, N: FnMut() -> Result<Option<T>, Failure>> Pieces<N> {
    fn take(&mut self) -> Option<(u64, T)> {
        let came = self.next.as_mut()?();
        let piece = came.unwrap_or_else(|why| {
            self.failed = Some(why);
            None
        });
        let Some(piece) = piece else {
            self.next = None;
            return None;
        };
        self.number += 1;
        Some((self.number - 1, piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_taken_once_with_its_number() {
        let mut left = 1000_u64;
        let next = || {
            left = left.saturating_sub(1);
            Ok((left > 0).then_some(1000 - left))
        };
        let parts = over(next, Vec::new, |number, piece, part| part.push((number, piece))).unwrap();
        let mut all: Vec<_> = parts.into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..999).map(|number| (number, number + 1)).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_ends_it() {
        let mut taken = 0;
        let next = || {
            taken += 1;
            if taken < 5 { Ok(Some(())) } else { Err(Failure::wrong("broken")) }
        };
        let came = over(next, || (), |_, (), ()| ());
        assert_eq!(came.unwrap_err().to_string(), "broken");
        assert_eq!(taken, 5);
    }
}
