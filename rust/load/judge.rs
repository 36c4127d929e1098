//! The load-time check: the engine must give the ids and the text of the `tokenizers` library, on the file's own
//! pieces.
//!
//! The library gets the part of the definition that a few dozen texts can reach. That is exact. A piece takes part in
//! encoding a text only if it is a substring of a word of that text. Words are those of the library's own normalizer
//! and pre-tokenizer. A merge takes part only if its result does.

use crate::backends::engine::Engine;
use crate::backends::hf_tokenizers::caught;
use crate::error::{Error, Result};
use crate::load::build::Reader;
use crate::load::chain::byte_piece;
use crate::load::entries::Added;
use crate::load::guarded::hidden_name;
use crate::spec::definition::AddedIds;
use crate::spec::json;
use crate::spec::model::Model;
use crate::tokens::token::{TextPosition, TokenId};
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::{Kind, Vocabulary};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{json as value, Value};
use std::collections::BTreeSet;
use tokenizers::models::bpe::BPE;
use tokenizers::{
    AddedToken, AddedVocabulary, DecoderWrapper, ModelWrapper, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

/// Texts that every file is checked with.
const TEXTS: [&str; 24] = [
    "a b",
    " a  b",
    "Hello world",
    "The quick brown fox, it's 12,345.67 (or 8)!",
    "a\nb\n\nc",
    "line\r\nend\t tab",
    "na\u{ef}ve caf\u{e9} e\u{301}",
    "\u{65e5}\u{672c}\u{8a9e} \u{4e2d}\u{6587}\u{3002}",
    "two  spaces   three ",
    " leading",
    "x",
    "A B C ABC",
    "don't we'll I'm",
    "\u{1f600} \u{1f468}\u{200d}\u{1f469}",
    "a\u{2581}b \u{2581}",
    "<0x41> <unk> </s> [UNK]",
    "{x: [1, 2]} == y != z;",
    "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}",
    "\u{e9}",
    "don't do not . , ? !",
    "1 22 333 4444",
    "a_b-c/d\\e",
    "\u{ff21}\u{fb01} \u{3000}x",
    "aaa bbb aaaa",
];
/// Pieces of a kind that become texts.
const EACH: usize = 8;

/// The library with the part of a definition that the texts reach.
pub(super) struct Judge {
    library: Tokenizer,
    texts: Vec<String>,
    /// The id of the file for each of the library's.
    ids: Vec<u32>,
    /// Ids that are decoded, in the library's numbers.
    spelled: Vec<u32>,
}

/// Where the two do not agree.
pub(super) struct Difference {
    of: String,
    ours: String,
    theirs: String,
}

impl Difference {
    pub(super) fn refusal(&self, part: &str, what: &str) -> Error {
        let Self { of, ours, theirs } = self;
        Error::definition(
            part,
            format!("{what} of {of} would be {ours}, expected {theirs} as the tokenizers library gives it"),
        )
    }

    pub(super) fn reason(&self) -> String {
        format!("its ids differ from coolfusion's own for {}", self.of)
    }
}

fn parsed<T: serde::de::DeserializeOwned>(part: Value) -> Option<Option<T>> {
    if part.is_null() {
        return Some(None);
    }
    caught("from_value", || Ok(serde_json::from_value(part)?)).ok().map(Some)
}

impl Reader<'_> {
    /// Whether a folder declares an id of the vocabulary under another spelling, which the library would give an id of
    /// its own.
    fn renames_pieces(&self) -> bool {
        self.spec.added_ids == AddedIds::Declared && {
            let declared: FxHashMap<u32, &str> = self.added.iter().map(|a| (a.id, a.content.as_str())).collect();
            self.pieces.iter().any(|(id, piece)| declared.get(&id).is_some_and(|content| *content != piece))
        }
    }

    /// The judge of this definition; `None` where it is of another library's format, or the library does not load it.
    pub(super) fn judge(&self) -> Option<Judge> {
        if !self.spec.is_of_library() || self.renames_pieces() {
            return None;
        }
        let sample = self.sample();
        let texts = self.sample_texts(&sample);
        let all = texts.join("\n");
        // Control tokens are found in texts only to be left alone; no text holds the names that some have.
        let hidden = self.hidden_pieces();
        let is_hidden = |a: &Added| a.control && self.hides(&a.content, &hidden);
        let reached = |a: &&Added| !is_hidden(a) && (a.normalized || all.contains(a.content.as_str()));
        let added: Vec<&Added> = self.added.iter().filter(reached).collect();
        let mut library = Tokenizer::new(BPE::default());
        library.with_normalizer(parsed::<NormalizerWrapper>(json::normalizer(&self.spec.normalizers))?).ok()?;
        library.with_pre_tokenizer(parsed::<PreTokenizerWrapper>(json::pre_tokenizer(&self.spec.pre_tokenizers))?);
        library.with_decoder(parsed::<DecoderWrapper>(json::decoder(self.spec.decoders.as_deref()))?);
        library.set_encode_special_tokens(true);
        let crate_tokens =
            || added.iter().map(|a| AddedToken::from(a.content.clone(), a.control).normalized(a.normalized));
        // A copy of the library would compile its patterns once more.
        let mut tokens = AddedVocabulary::new();
        tokens.set_encode_special_tokens(true);
        caught("add_tokens", || tokens.add_tokens(crate_tokens(), &BPE::default(), library.get_normalizer())).ok()?;
        let numbers = self.reachable(&library, &tokens, &texts, &sample, &hidden)?;
        let numbers: Vec<usize> = numbers.into_iter().collect();
        let model = parsed::<ModelWrapper>(self.reached_model(&numbers, &hidden))??;
        library.with_model(match model {
            ModelWrapper::BPE(mut model) => {
                // Its cache would outlive it.
                model.resize_cache(0);
                ModelWrapper::BPE(model)
            }
            other => other,
        });
        caught("add_tokens", || library.add_tokens(crate_tokens())).ok()?;
        let mut ids: Vec<u32> = numbers.iter().map(|&number| self.pieces.id(number)).collect();
        // Of two pieces with one id the library keeps either, by chance.
        if ids.iter().collect::<FxHashSet<_>>().len() < ids.len() {
            return None;
        }
        for token in &added {
            let id = library.token_to_id(&token.content)? as usize;
            ids.resize(ids.len().max(id + 1), 0);
            ids[id] = token.id;
        }
        let spelled = sample.iter().filter_map(|number| numbers.binary_search(number).ok()).map(|n| n as u32);
        let spelled = spelled.chain(added.iter().filter_map(|a| library.token_to_id(&a.content))).collect();
        Some(Judge { library, texts, ids, spelled })
    }

    /// The numbers of some pieces: the first, the last, the longest, characters, those with spaces, unusual ones, any
    /// others.
    fn sample(&self) -> BTreeSet<usize> {
        let count = self.pieces.len();
        let mut sample: BTreeSet<usize> = (0..count.min(EACH)).chain(count.saturating_sub(EACH)..count).collect();
        let step = (count / (4 * EACH)).max(1);
        sample.extend((0..count).step_by(step));
        sample.extend(self.matched.absent.iter().take(EACH));
        let (mut longest, mut lengths, mut shortest) = ([0; EACH], [0; EACH], 0);
        let kinds: [fn(&str) -> bool; 4] = [
            |piece| piece.len() < 5 && piece.chars().nth(1).is_none(),
            |piece| piece.contains([' ', '\u{2581}', '_']),
            |piece| piece.starts_with(['#', '<', '[']) && byte_piece(piece).is_none(),
            |piece| piece.len() > 1 && piece.is_ascii() && piece.ends_with(|c: char| !c.is_alphanumeric()),
        ];
        let mut left = [EACH; 4];
        for (number, (_, piece)) in self.pieces.iter().enumerate() {
            if piece.len() > shortest && piece.len() <= 64 {
                if let Some(place) = (0..EACH).find(|&place| piece.len() > lengths[place]) {
                    (longest[place], lengths[place]) = (number, piece.len());
                    shortest = lengths.into_iter().min().unwrap_or(0);
                }
            }
            for (kind, left) in kinds.iter().zip(&mut left) {
                if *left > 0 && kind(piece) {
                    *left -= 1;
                    sample.insert(number);
                }
            }
        }
        sample.extend(longest.into_iter().filter(|&number| number < count));
        sample
    }

    fn sample_texts(&self, sample: &BTreeSet<usize>) -> Vec<String> {
        let as_text =
            |&number: &usize| std::str::from_utf8(self.matched.bytes.get(number)).ok().filter(|text| !text.is_empty());
        let written: Vec<&str> = sample.iter().filter_map(as_text).collect();
        let mut texts: Vec<String> = TEXTS.map(String::from).into();
        for (index, group) in written.chunks(6).enumerate() {
            texts.push(group.join([" ", "", "\n", " ", "", " 1"][index % 6]));
            texts.push(group.iter().rev().copied().collect::<Vec<_>>().join(["", " ", " "][index % 3]));
        }
        for control in [false, true] {
            // Those that are pieces too come first.
            let mut tokens: Vec<&Added> =
                self.added.iter().filter(|a| a.control == control && !a.content.is_empty()).collect();
            tokens.sort_by_key(|a| self.pieces.find(&a.content).is_none());
            for (index, token) in tokens.into_iter().take(EACH).enumerate() {
                let content = &token.content;
                texts.push(
                    [format!("a{content}b"), format!("a {content} b"), format!("{content}{content} c")][index % 3]
                        .clone(),
                );
            }
        }
        texts
    }

    /// The numbers of all pieces that the texts reach.
    fn reachable(
        &self,
        library: &Tokenizer,
        tokens: &AddedVocabulary,
        texts: &[String],
        sample: &BTreeSet<usize>,
        hidden: &FxHashSet<usize>,
    ) -> Option<BTreeSet<usize>> {
        let (prefix, suffix) = self.affixes();
        let mut found = sample.clone();
        // Byte pieces, the unknown piece, and the piece with the lowest score, from which the unknown score is counted.
        let byte = |number: &usize| byte_piece(self.pieces.piece(*number)).is_some();
        if self.spec.model.byte_fallback() {
            found.extend((0..self.pieces.len()).filter(byte));
        }
        found.extend(self.unknown_number());
        let score = |&number: &usize| self.pieces.score(number).unwrap_or(f64::INFINITY);
        let lowest = (0..self.pieces.len())
            .filter(|_| matches!(self.spec.model, Model::Unigram(_)))
            .min_by(|a, b| score(a).total_cmp(&score(b)));
        found.extend(lowest);
        let longest = self.pieces.iter().map(|(_, piece)| piece.len()).max().unwrap_or(0);
        let (mut seen, mut spelled): (FxHashSet<String>, FxHashSet<String>) = Default::default();
        for text in texts {
            let splits = caught("pre_tokenize", || {
                let mut splits = tokens.extract_and_normalize(library.get_normalizer(), text);
                if let Some(rule) = library.get_pre_tokenizer() {
                    rule.pre_tokenize(&mut splits)?;
                }
                Ok(splits)
            });
            for (word, _, _) in splits.ok()?.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                if !seen.insert(word.to_string()) {
                    continue;
                }
                self.add_parts(word, prefix, suffix, longest, &mut found);
                if matches!(self.spec.model, Model::Bpe(_)) {
                    for fuses in [false, true] {
                        let symbols = self.symbols(word, prefix, suffix, fuses);
                        if !seen.contains(&symbols) && !spelled.contains(&symbols) {
                            self.add_parts(&symbols, prefix, suffix, longest, &mut found);
                            spelled.insert(symbols);
                        }
                    }
                }
            }
        }
        // Of equal pieces the last one counts.
        found.retain(|&number| self.pieces.number(self.pieces.piece(number)) == Some(number));
        let kept = [self.unknown_number(), lowest];
        found.retain(|number| kept.contains(&Some(*number)) || !hidden.contains(number));
        Some(found)
    }

    /// The prefix that the model puts before pieces inside a word, and the suffix after the last piece.
    fn affixes(&self) -> (&str, &str) {
        match &self.spec.model {
            Model::Bpe(model) => {
                let (prefix, suffix) =
                    (model.continuing_subword_prefix.as_deref(), model.end_of_word_suffix.as_deref());
                (prefix.unwrap_or_default(), suffix.unwrap_or_default())
            }
            Model::WordPiece(model) => (&model.continuing_subword_prefix, ""),
            Model::Unigram(_) | Model::WordLevel { .. } | Model::LongestMatch => ("", ""),
        }
    }

    /// Adds the pieces that are a part of `word`.
    fn add_parts(&self, word: &str, prefix: &str, suffix: &str, longest: usize, found: &mut BTreeSet<usize>) {
        let mut named = String::new();
        for (start, _) in word.char_indices() {
            let ends = word[start..].char_indices().skip(1).map(|(at, _)| start + at).chain([word.len()]);
            for end in ends.take_while(|end| end - start <= longest) {
                let part = &word[start..end];
                found.extend(self.pieces.number(part));
                for (prefix, suffix) in [(prefix, ""), ("", suffix), (prefix, suffix)] {
                    if !prefix.is_empty() || !suffix.is_empty() {
                        named.clear();
                        named.extend([prefix, part, suffix]);
                        found.extend(self.pieces.number(&named));
                    }
                }
            }
        }
    }

    /// `word` as its first symbols spell it, for byte pairs. Characters without a piece are byte pieces, the unknown
    /// token (one for a run, if it `fuses`), or nothing. Their merges make no part of the word.
    fn symbols(&self, word: &str, prefix: &str, suffix: &str, fuses: bool) -> String {
        let fallback = self.spec.model.byte_fallback();
        let known = |c: char| {
            [c.to_string(), format!("{prefix}{c}"), format!("{c}{suffix}")]
                .iter()
                .any(|name| self.pieces.number(name).is_some())
        };
        let unknown = self.unknown_number().map_or("", |number| self.pieces.piece(number));
        let (mut symbols, mut after_unknown) = (String::new(), false);
        for c in word.chars() {
            let is_known = known(c);
            let names: Vec<String> = c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("<0x{byte:02X}>")).collect();
            if is_known {
                symbols.push(c);
            } else if fallback && names.iter().all(|name| self.pieces.number(name).is_some()) {
                symbols.extend(names);
            } else if !(after_unknown && fuses) {
                symbols.push_str(unknown);
            }
            after_unknown = !is_known;
        }
        symbols
    }

    /// The number of the piece of the unknown token.
    fn unknown_number(&self) -> Option<usize> {
        self.unknown.and_then(|id| match &self.spec.model {
            Model::Unigram(_) => Some(id as usize),
            model => self.pieces.number(model.unknown_token()?),
        })
    }

    /// The model with these pieces, renumbered from 0, and the merges among them.
    fn reached_model(&self, numbers: &[usize], hidden: &FxHashSet<usize>) -> Value {
        let mut model = self.spec.model.write();
        let named = |number: usize| {
            let piece = self.pieces.piece(number);
            if hidden.contains(&number) {
                hidden_name(piece)
            } else {
                piece.to_string()
            }
        };
        if let Model::Unigram(_) = self.spec.model {
            model["vocab"] = numbers.iter().map(|&number| value!([named(number), self.pieces.score(number)])).collect();
            model["unk_id"] = self.unknown_number().and_then(|unknown| numbers.binary_search(&unknown).ok()).into();
            return model;
        }
        if let Some(unknown) = self.unknown_number().filter(|unknown| hidden.contains(unknown)) {
            model["unk_token"] = named(unknown).into();
        }
        model["vocab"] = numbers.iter().enumerate().map(|(new, &number)| (named(number), Value::from(new))).collect();
        if let Some(merges) = self.spec.model.merges() {
            let mut kept = vec![false; self.pieces.len()];
            numbers.iter().for_each(|&number| kept[number] = true);
            let (prefix, _) = self.affixes();
            let parts = merges.pairs.iter().filter(|(left, right)| kept[*left as usize] && kept[*right as usize]);
            let parts =
                parts.map(|&(left, right)| [self.pieces.piece(left as usize), self.pieces.piece(right as usize)]);
            let made = |[left, right]: &[&str; 2]| {
                let joined = format!("{left}{}", right.get(prefix.len()..).unwrap_or_default());
                self.pieces.number(&joined).is_some_and(|number| kept[number])
            };
            model["merges"] = parts.filter(made).map(|pair| value!(pair)).collect();
        }
        model
    }
}

impl Judge {
    /// The number of texts that it compares.
    pub(super) fn texts(&self) -> usize {
        self.texts.len()
    }

    fn encoded(&self, text: &str) -> Option<Vec<u32>> {
        caught("encode", || self.library.encode(text, false)).ok().map(|encoding| encoding.get_ids().to_vec())
    }

    /// The first text whose ids differ.
    pub(super) fn ids_differ(&self, engine: &dyn Engine) -> Result<Option<Difference>> {
        for text in &self.texts {
            let mut ours = Vec::new();
            let refused = match engine.ids(text, TextPosition::Start, &mut ours) {
                Err(Error::Foreign { .. }) => true,
                outcome => outcome.map(|()| false)?,
            };
            let ours: Option<Vec<u32>> = (!refused).then(|| ours.iter().map(|id| id.0).collect());
            let theirs: Option<Vec<u32>> =
                self.encoded(text).map(|ids| ids.iter().map(|&id| self.ids[id as usize]).collect());
            if ours != theirs {
                let shown = |ids: Option<Vec<u32>>| ids.map_or_else(|| "an error".into(), |ids| format!("{ids:?}"));
                return Ok(Some(Difference { of: format!("{text:?}"), ours: shown(ours), theirs: shown(theirs) }));
            }
        }
        Ok(None)
    }

    /// The first ids whose text differs; `drops`: one space at the start of a text goes here and stays there.
    pub(super) fn text_differs(
        &self,
        vocabulary: &Vocabulary,
        decode_rules: &DecodeRules,
        drops: bool,
    ) -> Result<Option<Difference>> {
        let encoded = self.texts.iter().filter_map(|text| self.encoded(text));
        let pieces = self.spelled.iter().map(|&id| vec![id]);
        let turned = self.spelled.iter().rev().copied().collect::<Vec<_>>();
        let groups = self.spelled.chunks(3).chain(turned.chunks(4)).map(<[u32]>::to_vec);
        for ids in encoded.chain(pieces).chain(groups) {
            let kept: Vec<u32> =
                ids.into_iter().filter(|&id| vocabulary.kind(TokenId(self.ids[id as usize])) == Kind::Text).collect();
            if kept.is_empty() {
                continue;
            }
            let own: Vec<TokenId> = kept.iter().map(|&id| TokenId(self.ids[id as usize])).collect();
            let Ok(theirs) = caught("decode", || self.library.decode(&kept, false)) else { continue };
            // Bytes that are no text are replaced in another way here.
            if theirs.contains('\u{FFFD}') {
                continue;
            }
            let mut ours = Vec::new();
            decode_rules.append(vocabulary, &own, &mut decode_rules.state(TextPosition::Start), &mut ours)?;
            let expected = if drops { theirs.strip_prefix(' ').unwrap_or(&theirs) } else { &theirs };
            if ours != expected.as_bytes() {
                let ids: Vec<u32> = own.iter().map(|id| id.0).collect();
                let ours = format!("{:?}", String::from_utf8_lossy(&ours));
                return Ok(Some(Difference { of: format!("the ids {ids:?}"), ours, theirs: format!("{theirs:?}") }));
            }
        }
        Ok(None)
    }
}
