//! Words of a growing stretch that nothing can change any more.

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;

impl Growing {
    /// Takes in raw text, which is in the normal form already.
    pub(crate) fn look_for_cuts(&mut self, text: &str) {
        let (length, closed) = (self.text.len(), self.closed.as_ref().map_or(0, |closed| closed.length));
        if let Some(raw) = &mut self.raw {
            raw.push(text);
            self.over |= raw.look(length, closed);
        }
    }

    /// Forgets the words that are over, whose tokens stay as they are.
    pub(crate) fn drop_finished(&mut self) {
        let count = std::mem::take(&mut self.finished);
        if count > 0 {
            self.note_spans(count);
            self.attempts.drain(..count);
            self.closed.iter_mut().for_each(|closed| closed.drop_first(count));
            self.words.retain(|word| word.attempt >= count);
            self.words.iter_mut().for_each(|word| word.attempt -= count);
        }
    }
}

impl Pipeline {
    /// Records the ends of the words that are over at `closed`, where the walks are.
    pub(crate) fn finish_words(&self, growing: &mut Growing, closed: usize) {
        let Growing { attempts, raw, finished, .. } = growing;
        let (Some(automaton), Some(raw)) = (self.automaton(), raw) else { return };
        let over = attempts.iter().take_while(|attempt| attempt.walk.over).count();
        for attempt in &attempts[..over] {
            raw.end(attempt.walk.begin);
            automaton.end(&attempt.walk, closed).into_iter().for_each(|end| raw.end(end));
        }
        *finished = over.min(attempts.len() - 1);
    }
}
