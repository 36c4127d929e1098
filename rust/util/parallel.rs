//! The same work for many texts, spread over the cores.
//!
//! Rayon's pool, so that `RAYON_NUM_THREADS` sets the number of threads. Its threads do not live on in a forked process
//! (`multiprocessing` on Linux), where waiting for them would never end. There the caller does the work.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Less than this is not worth waking a thread: some 5 microseconds to wake it, 100 to encode.
const WORTHWHILE: usize = 8192;

/// The process whose threads the pool has; 0 before it is first used.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Whether this process may use the pool.
fn owns_the_pool() -> bool {
    let own = std::process::id();
    OWNER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|owner| owner == own, |_| true)
}

/// `work` for each of `items`, in their order; `size` returns the number of bytes of text of an item.
///
/// ```
/// let lengths = coolfusion::for_each(&["a", "bc"], |text| text.len(), true, |text| Ok(text.len()));
/// assert_eq!(lengths, Ok(vec![1, 2]));
/// ```
///
/// # Errors
/// That of the first item that fails, with its index.
pub fn for_each<I: Sync, T: Send>(
    items: &[I],
    size: impl Fn(&I) -> usize,
    threads: bool,
    work: impl Fn(&I) -> Result<T> + Sync,
) -> std::result::Result<Vec<T>, (usize, Error)> {
    let total: usize = items.iter().map(size).sum();
    let results: Vec<Result<T>> = if threads && items.len() > 1 && total > 2 * WORTHWHILE && owns_the_pool() {
        let least = (items.len() * WORTHWHILE / total).max(1);
        items.par_iter().with_min_len(least).map(&work).collect()
    } else {
        // Nothing after the first error is of use.
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let result = work(item);
            let failed = result.is_err();
            results.push(result);
            if failed {
                break;
            }
        }
        results
    };
    results.into_iter().enumerate().map(|(index, result)| result.map_err(|error| (index, error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_the_first_error_is_named() {
        let items: Vec<usize> = (0..1000).collect();
        for size in [1, 100, 100_000] {
            let doubled = for_each(&items, |_| size, true, |n| Ok(n * 2));
            assert_eq!(doubled, Ok(items.iter().map(|n| n * 2).collect()));
            let odd = |n: &usize| if n % 500 == 499 { Err(Error::definition(n.to_string(), "")) } else { Ok(()) };
            assert_eq!(for_each(&items, |_| size, true, odd), Err((499, Error::definition("499", ""))));
        }
    }
}
