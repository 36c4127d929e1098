//! Tokenizers that this process has loaded already: the second load of a file is a hash of its bytes.
//!
//! The key is all that a load depends on: content, split pattern, name. Not the file's time or size, which may stay the
//! same when the content changes. The table holds nothing alive: a tokenizer goes when its last user lets it go.

use crate::error::Result;
use crate::tokenizer::Tokenizer;
use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

pub(crate) type Key = [u8; 32];

static LOADED: LazyLock<Mutex<FxHashMap<Key, Weak<Tokenizer>>>> = LazyLock::new(Mutex::default);

fn loaded() -> MutexGuard<'static, FxHashMap<Key, Weak<Tokenizer>>> {
    // Every change of the table is one call, so it is whole even if a thread died with the lock.
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// BLAKE3 of `parts`, each with its length so that none runs into the next.
pub(crate) fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize().into()
}

/// The tokenizer that `load` makes from `parts`, or the one that it made from them before, if that is still alive.
///
/// Two threads that load the same at once may both do the work, and get the same tokenizer.
pub(crate) fn shared(parts: &[&[u8]], load: impl FnOnce() -> Result<Tokenizer>) -> Result<Arc<Tokenizer>> {
    let key = key(parts);
    if let Some(tokenizer) = loaded().get(&key).and_then(Weak::upgrade) {
        return Ok(tokenizer);
    }
    let tokenizer = Arc::new(load()?);
    let mut loaded = loaded();
    if let Some(first) = loaded.get(&key).and_then(Weak::upgrade) {
        return Ok(first);
    }
    loaded.retain(|_, tokenizer| tokenizer.strong_count() > 0);
    loaded.insert(key, Arc::downgrade(&tokenizer));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"a"]), key(&[b"a", b""]));
    }
}
