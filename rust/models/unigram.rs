//! Unigram models: the segmentation of a word with the largest sum of scores.
//!
//! Kudo 2018, "Subword Regularization". The forward pass is that of `EncodeOptimized` in SentencePiece's
//! `src/unigram_model.cc`, which the `tokenizers` crate follows. Of equal sums the one that was found first stays: its
//! last piece begins first. Sums are rounded from left to right, so rounding decides between equally good
//! segmentations. The two libraries round differently ([`Sums`]).

use crate::util::double_array::{Dictionary, Node};

/// How scores are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sums {
    /// `tokenizers`: everything in 64 bits.
    Double,
    /// SentencePiece: sums have 32 bits.
    Single,
}

/// The model. Works in byte space where `marks`: the mark U+2581 is a plain space in the pieces and in the text.
#[derive(Debug)]
pub(crate) struct Unigram {
    /// The numbers are indices into `entries`.
    pub(crate) pieces: Dictionary,
    /// Score and id, short pieces first: they are looked up most, and so are stored close together.
    pub(crate) entries: Box<[(f64, u32)]>,
    pub(crate) unknown: u32,
    /// Of a character that is no piece.
    pub(crate) unknown_score: f64,
    /// The ids of the byte pieces, where unknown text is spelled in bytes.
    pub(crate) bytes: Option<Box<[Option<u32>; 256]>>,
    /// There is one for every byte, so no text is unknown.
    pub(crate) spells_all: bool,
    pub(crate) sums: Sums,
    pub(crate) marks: bool,
}

/// The best way to a position: the last piece, and the largest sum of scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best {
    pub(crate) sum: f64,
    pub(crate) id: u32,
    /// Length of the last piece; 0 where no way leads here yet.
    pub(crate) length: u32,
}

pub(crate) const NOWHERE: Best = Best { sum: 0.0, id: 0, length: 0 };

/// The state of encoding inside a word, at a position. Encoding goes on from it as if it had never stopped, down to the
/// last bit of the sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carried {
    /// The sum of scores of the best way to here.
    sum: f64,
    /// Unknown text ends here, and more of it may follow: it is no piece as a whole, because no piece crosses this
    /// position.
    unknown: bool,
}

impl Carried {
    pub(crate) fn sum(self) -> f64 {
        self.sum
    }

    pub(crate) fn is_unknown(self) -> bool {
        self.unknown
    }
}

/// A position that every segmentation goes through, whatever follows. Example: 1 in "ab", if no piece holds `ab`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) at: usize,
    /// The number of tokens before it, without one of unknown text that may go on after it.
    pub(crate) tokens: usize,
    pub(crate) carried: Carried,
}

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Lattice {
    best: Vec<Best>,
    path: Vec<(u32, u32)>,
    /// The points that [`Unigram::encode_open`] found.
    pub(crate) points: Vec<Point>,
    /// The number of tokens that it has emitted, all words together.
    pub(crate) emitted: usize,
}

/// Unknown text that more of it may follow.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    /// It is no piece as a whole: a position that no piece crosses is inside it.
    torn: bool,
}

impl Unigram {
    /// Emits (id, start, end) for the tokens of `word` in order; positions are those of its bytes.
    ///
    /// Complexity: O(length · longest piece) at worst, a few steps per byte in practice. Memory: 16 bytes per byte of a
    /// stretch that pieces overlap without a gap.
    pub(crate) fn encode(&self, word: &str, lattice: &mut Lattice, mut emit: impl FnMut(u32, usize, usize)) {
        match self.sums {
            Sums::Double => self.search::<false, false>(word, None, 0, lattice, &mut emit),
            Sums::Single => self.search::<true, false>(word, None, 0, lattice, &mut emit),
        }
    }

    /// The same for the rest of a word from the state `carried`; also fills `lattice.points`.
    ///
    /// Points are before `last`, and the text after `last` may still change. They are few where unknown text is spelled
    /// in bytes of which some are missing.
    pub(crate) fn encode_open(
        &self,
        word: &str,
        carried: Option<Carried>,
        last: usize,
        lattice: &mut Lattice,
        mut emit: impl FnMut(u32, usize, usize),
    ) {
        lattice.points.clear();
        match self.sums {
            Sums::Double => self.search::<false, true>(word, carried, last, lattice, &mut emit),
            Sums::Single => self.search::<true, true>(word, carried, last, lattice, &mut emit),
        }
    }

    /// A sum with the bits that this model's sums have.
    pub(crate) fn rounded(&self, sum: f64) -> f64 {
        match self.sums {
            Sums::Double => rounded::<false>(sum),
            Sums::Single => rounded::<true>(sum),
        }
    }

    fn search<const SINGLE: bool, const OPEN: bool>(
        &self,
        word: &str,
        carried: Option<Carried>,
        last: usize,
        lattice: &mut Lattice,
        emit: &mut impl FnMut(u32, usize, usize),
    ) {
        let bytes = word.as_bytes();
        // Positions in the lattice count from here: the last position that every segmentation goes through.
        let mut origin = 0;
        // The furthest that a piece has reached.
        let mut furthest = 0;
        // Whether a piece that began may cross `last`.
        let mut grows = false;
        let mut run = carried.filter(|carried| carried.unknown).map(|_| Run { start: 0, torn: true });
        let mut at = 0;
        lattice.best.clear();
        lattice.best.push(Best { sum: carried.map_or(0.0, |carried| carried.sum), ..NOWHERE });
        while at < bytes.len() {
            let here = lattice.best[at - origin].sum;
            if furthest == at && at > 0 {
                if at > origin {
                    run = self.emit_path::<OPEN>(word, origin, at, run, lattice, emit);
                    lattice.best.clear();
                    lattice.best.push(Best { sum: here, ..NOWHERE });
                    origin = at;
                }
                if OPEN && !grows && at < last {
                    run = self.point(word, at, here, run, lattice, emit);
                }
            }
            let size = char_length(bytes[at]);
            let (is_piece, end, node) = self.pieces_from::<SINGLE>(bytes, at, origin, lattice, &mut furthest);
            if OPEN {
                grows |= end > last || end == last && node.goes_on();
            }
            if furthest == at && at == origin {
                // No piece begins here and none crosses: the only way on is one more unknown character.
                run = run.or(Some(Run { start: at, torn: false }));
                lattice.best[0].sum = rounded::<SINGLE>(self.unknown_score + here);
                origin = at + size;
                furthest = origin;
            } else if !is_piece {
                reach::<SINGLE>(&mut lattice.best, at - origin, size, self.unknown_score + here, self.unknown);
                furthest = furthest.max(at + size);
            }
            at += size;
        }
        run = self.emit_path::<OPEN>(word, origin, at, run, lattice, emit);
        if let Some(run) = run {
            self.emit_unknown::<OPEN>(word, run, at, lattice, emit);
        }
    }

    /// Leads on from `at` with every piece that begins there, and moves `furthest` to where the longest of them ends.
    ///
    /// The answer: whether the character at `at` is a piece, and how far and to which node the walk went.
    #[inline(always)]
    fn pieces_from<const SINGLE: bool>(
        &self,
        bytes: &[u8],
        at: usize,
        origin: usize,
        lattice: &mut Lattice,
        furthest: &mut usize,
    ) -> (bool, usize, Node) {
        let (here, size) = (lattice.best[at - origin].sum, char_length(bytes[at]));
        let (mut is_piece, mut node, mut end) = (false, self.pieces.root(), at);
        for &byte in &bytes[at..] {
            match self.pieces.step(node, byte) {
                Some(next) => node = next,
                None => break,
            }
            end += 1;
            if let Some(index) = node.value() {
                let length = end - at;
                is_piece |= length == size;
                let (score, id) = self.entries[index as usize];
                reach::<SINGLE>(&mut lattice.best, at - origin, length, score + here, id);
                *furthest = (*furthest).max(end);
            }
        }
        (is_piece, end, node)
    }

    /// Remembers the point `at`, if encoding can go on there; returns the unknown text before it that is to be emitted
    /// later.
    #[inline]
    fn point(
        &self,
        word: &str,
        at: usize,
        sum: f64,
        run: Option<Run>,
        lattice: &mut Lattice,
        emit: &mut impl FnMut(u32, usize, usize),
    ) -> Option<Run> {
        let unknown = run.is_some();
        let run = match run {
            // If nothing more follows it becomes this piece, else not.
            Some(Run { start, torn: false }) if self.as_piece(&word.as_bytes()[start..at]).is_some() => return run,
            Some(run) if self.spells_all => {
                self.emit_unknown::<true>(word, Run { torn: true, ..run }, at, lattice, emit);
                Some(Run { start: at, torn: true })
            }
            Some(_) if self.bytes.is_some() => return run,
            Some(run) => Some(Run { torn: true, ..run }),
            None => None,
        };
        lattice.points.push(Point { at, tokens: lattice.emitted, carried: Carried { sum, unknown } });
        run
    }

    /// Emits the best path from `origin` to `end`, but for unknown text at its end, which is the result.
    fn emit_path<const OPEN: bool>(
        &self,
        word: &str,
        origin: usize,
        end: usize,
        mut run: Option<Run>,
        lattice: &mut Lattice,
        emit: &mut impl FnMut(u32, usize, usize),
    ) -> Option<Run> {
        let mut at = end;
        lattice.path.clear();
        while at > origin {
            let Best { id, length, .. } = lattice.best[at - origin];
            lattice.path.push((id, length));
            at -= length as usize;
        }
        for index in (0..lattice.path.len()).rev() {
            let (id, length) = lattice.path[index];
            let after = at + length as usize;
            if id == self.unknown {
                run = run.or(Some(Run { start: at, torn: false }));
            } else {
                if let Some(run) = run.take() {
                    self.emit_unknown::<OPEN>(word, run, at, lattice, emit);
                }
                emit(id, at, after);
                lattice.emitted += usize::from(OPEN);
            }
            at = after;
        }
        run
    }

    /// The piece that unknown text is as a whole: the crate asks for it once more, so one that scores worse is found.
    pub(crate) fn as_piece(&self, text: &[u8]) -> Option<u32> {
        if self.sums == Sums::Single {
            return None;
        }
        self.pieces.get(text).and_then(|index| self.entries.get(index as usize)).map(|&(_, id)| id)
    }

    /// Neighbouring unknown characters are one token, or their bytes.
    #[cold]
    fn emit_unknown<const OPEN: bool>(
        &self,
        word: &str,
        run: Run,
        end: usize,
        lattice: &mut Lattice,
        emit: &mut impl FnMut(u32, usize, usize),
    ) {
        let Run { start, torn } = run;
        let mut emit = |id: u32, start: usize, end: usize| {
            emit(id, start, end);
            lattice.emitted += usize::from(OPEN);
        };
        let text = &word.as_bytes()[start..end];
        if let Some(id) = Some(text).filter(|_| !torn).and_then(|text| self.as_piece(text)) {
            return emit(id, start, end);
        }
        if let Some(ids) = &self.bytes {
            let id = |byte: u8| ids[usize::from(byte)];
            let mark = "\u{2581}".as_bytes();
            let known = |byte: &u8| {
                if self.marks && *byte == b' ' {
                    mark.iter().all(|b| id(*b).is_some())
                } else {
                    id(*byte).is_some()
                }
            };
            if text.iter().all(known) {
                for (index, &byte) in text.iter().enumerate() {
                    let spelled = if self.marks && byte == b' ' { mark } else { std::slice::from_ref(&byte) };
                    for id in spelled.iter().filter_map(|b| id(*b)) {
                        emit(id, start + index, start + index + 1);
                    }
                }
                return;
            }
        }
        emit(self.unknown, start, end);
    }
}

/// Records a piece of `length` bytes from `at`, with the sum `sum` after it.
#[inline]
fn reach<const SINGLE: bool>(best: &mut Vec<Best>, at: usize, length: usize, sum: f64, id: u32) {
    let to = at + length;
    if best.len() <= to {
        best.resize(to + 1, NOWHERE);
    }
    let sum = rounded::<SINGLE>(sum);
    let target = &mut best[to];
    if target.length == 0 || sum > target.sum {
        *target = Best { sum, id, length: length as u32 };
    }
}

/// The sum of two numbers of 32 bits, rounded to 64 and then to 32 bits, equals an addition in 32 bits.
#[inline]
fn rounded<const SINGLE: bool>(sum: f64) -> f64 {
    if SINGLE {
        f64::from(sum as f32)
    } else {
        sum
    }
}

/// The length of the character that begins with `byte`.
#[inline]
pub(crate) fn char_length(byte: u8) -> usize {
    match byte {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(pieces: &[(&str, f64)], bytes: bool, sums: Sums) -> Unigram {
        let words = pieces.iter().zip(0..).map(|((piece, _), index)| (piece.as_bytes().into(), index)).collect();
        Unigram {
            pieces: Dictionary::new(words).unwrap_or_default(),
            entries: pieces.iter().zip(1..).map(|(&(_, score), id)| (score, id)).collect(),
            unknown: 0,
            unknown_score: -20.3,
            bytes: bytes.then(|| Box::new(std::array::from_fn(|byte| Some(1000 + byte as u32)))),
            spells_all: bytes,
            sums,
            marks: false,
        }
    }

    fn ids(model: &Unigram, word: &str, carried: Option<Carried>) -> (Vec<u32>, Vec<Point>) {
        let (mut found, mut lattice) = (Vec::new(), Lattice::default());
        model.encode_open(word, carried, word.len(), &mut lattice, |id, _, _| found.push(id));
        assert_eq!(found.len(), lattice.emitted);
        (found, lattice.points)
    }

    /// Texts over six letters: those of pieces, and two that are unknown.
    fn word(number: usize, length: u32) -> String {
        (0..length).map(|place| ['a', 'b', 'c', 'x', 'y', '\u{e01}'][number / 6_usize.pow(place) % 6]).collect()
    }

    #[test]
    fn every_point_goes_on_as_if_it_had_never_stopped() {
        // "xy" and "yx" score less than two unknown characters: they are found when unknown text is asked for as a
        // whole.
        let pieces = [
            ("a", -1.1),
            ("b", -1.3),
            ("c", -9.7),
            ("ab", -2.400_000_1),
            ("bc", -3.1),
            ("abc", -5.3),
            ("xy", -77.0),
            ("yx", -78.0),
        ];
        for (bytes, sums) in [(false, Sums::Double), (true, Sums::Double), (false, Sums::Single), (true, Sums::Single)]
        {
            let model = model(&pieces, bytes, sums);
            let (mut points_seen, mut inside_unknown) = (0, 0);
            for number in 0..6_usize.pow(6) {
                let text = word(number, 6);
                let mut whole = Vec::new();
                model.encode(&text, &mut Lattice::default(), |id, _, _| whole.push(id));
                let (open, points) = ids(&model, &text, None);
                assert_eq!(open, whole, "{text}");
                // The tokens before the point stay, and the tokens after it go on from it.
                let (before, early) = ids(&model, &text[..text.char_indices().nth(4).map_or(0, |(at, _)| at)], None);
                for point in early {
                    assert_eq!(before[..point.tokens], whole[..point.tokens], "{text} at {}", point.at);
                    let (rest, _) = ids(&model, &text[point.at..], Some(point.carried));
                    assert_eq!(rest, whole[point.tokens..], "{text} at {}", point.at);
                    points_seen += 1;
                    inside_unknown += usize::from(point.carried.unknown);
                }
                for point in points {
                    let (rest, later) = ids(&model, &text[point.at..], Some(point.carried));
                    assert_eq!(rest, whole[point.tokens..], "{text} at {}", point.at);
                    // Points after a point are points of the whole.
                    assert!(later.iter().all(|later| later.at > 0));
                }
            }
            assert!(points_seen > 10_000 && inside_unknown > 1_000, "{points_seen} {inside_unknown}");
        }
    }

    #[test]
    fn no_point_where_a_piece_may_still_grow() {
        let model = model(&[("a", -1.0), ("b", -1.0), ("abab", -1.5)], false, Sums::Double);
        let points = |word: &str| ids(&model, word, None).1.iter().map(|point| point.at).collect::<Vec<_>>();
        assert_eq!((points("bab"), points("bb"), points("bbb")), (vec![1], vec![1], vec![1, 2]));
        assert_eq!((points("aba"), points("abb"), points("abab")), (vec![], vec![1, 2], vec![]));
    }
}
