//! Definitions that may rewrite text -> our own engine for them, or the reason why the library must run them.

use crate::backends::normalizing::rewriting::{Model, Parts, Rewriting, Words};
use crate::load::build::{refuse, Own, Reader, Refusal};
use crate::load::entries::{Added, Spelling};
use crate::load::stages::has_no_affixes;
use crate::models::unigram::{Sums, Unigram};
use crate::models::wordpiece::WordPiece;
use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::rewriter::bert::Bert;
use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::rewriter::step::Step;
use crate::normalizers::unicode_forms::METASPACE;
use crate::pre_tokenizers::added_tokens::AddedText;
use crate::pre_tokenizers::char_rules::{Manner, Rule, WordRule};
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::regex::char_class::CodePoints;
use crate::spec::model::Model as Kind;
use crate::spec::model::{Bpe as BpeModel, Unigram as UnigramModel, WordPiece as WordPieceModel};
use crate::spec::normalizer::{Normalizer, Pattern};
use crate::spec::pre_tokenizer::{Metaspace, PreTokenizer, PrependScheme, SplitBehavior};
use crate::tokens::token::TokenId;
use crate::util::double_array::Dictionary;
use rustc_hash::FxHashSet;

/// The combined effect of the stages.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    /// U+2581 represents spaces.
    marks: bool,
    dummy: bool,
    dummy_always: bool,
    dummy_everywhere: bool,
    /// The model reads a space and the text after it as a word.
    spaced: bool,
    rules: Vec<Rule>,
}

impl Reader<'_> {
    /// Our own engine for definitions that may rewrite text, or why not. `decodes_plainly`: decoding has no joints.
    pub(super) fn rewriting(&self, decodes_plainly: bool) -> Own<Rewriting> {
        let kind = self.spec.model.kind();
        if let Kind::Bpe(model) = &self.spec.model {
            has_no_affixes(model)?;
        }
        let mut plan = Plan::default();
        self.rewriting_normalizer(&mut plan)?;
        self.word_rules(&mut plan)?;
        let whole = plan.rules.is_empty() && !plan.spaced;
        let exact_spans = plan.finish()?;
        let added = self.rewriting_added(&plan)?;
        let (model, spaces_begin_pieces) = match &self.spec.model {
            Kind::Unigram(model) => self.unigram(model, plan.marks)?,
            _ if plan.marks => return refuse(format!("{kind} with marks for spaces")),
            Kind::WordPiece(model) => (self.wordpiece(model)?, true),
            Kind::WordLevel { .. } => (self.word_level()?, true),
            Kind::Bpe(model) => (self.byte_pairs(model, &plan)?, true),
            Kind::LongestMatch => return refuse(format!("{kind} model")),
        };
        let words = match (plan.rules.is_empty(), plan.spaced) {
            (false, _) => Words::Ruled { rule: WordRule::new(plan.rules), marked: plan.marks },
            (true, true) => Words::Spaced,
            (true, false) => Words::Whole,
        };
        let dummy = match (plan.dummy, plan.dummy_always) {
            (false, _) => DummyPrefix::None,
            (true, true) => DummyPrefix::Always,
            (true, false) => DummyPrefix::UnlessSpace,
        };
        let how = if whole { "the whole text is one word" } else { "word by word" };
        Ok(Rewriting::new(Parts {
            added,
            rewriter: Rewriter::new(plan.steps),
            words,
            model,
            dummy,
            dummy_everywhere: plan.dummy_everywhere,
            dummy_alone: self.keeps_dummy_alone(),
            spaces_begin_pieces,
            exact_spans,
            decodes_plainly,
            notes: format!("coolfusion's own {kind} encoder, {how}"),
        }))
    }

    /// The normalizer as our own rewriter, for cuts of definitions that the library runs; None where it has unknown
    /// stages.
    ///
    /// The second answer: whether it ends with writing marks for spaces.
    pub(super) fn known_normalizer(&self) -> Option<(Rewriter, bool)> {
        let mut plan = Plan::default();
        self.rewriting_normalizer(&mut plan).ok()?;
        let is_marked = |step: &Step| matches!(step, Step::SpaceRuns { content } if content.contains(&METASPACE));
        if plan.steps.iter().any(is_marked) {
            return None;
        }
        Some((Rewriter::new(plan.steps), plan.marks))
    }

    fn rewriting_normalizer(&self, plan: &mut Plan) -> Own<()> {
        for stage in &self.spec.normalizers {
            let replaces = matches!(stage, Normalizer::Replace { .. });
            if plan.marks || plan.dummy && !replaces {
                return refuse(format!("normalizer {} after marks for spaces", stage.kind()));
            }
            let step = match stage {
                Normalizer::Prepend(mark) if mark == "\u{2581}" && !plan.dummy => {
                    plan.dummy = true;
                    plan.dummy_always = true;
                    plan.dummy_everywhere = true;
                    continue;
                }
                Normalizer::Replace { pattern, content } => match replacement(pattern, content, plan)? {
                    Some(step) => step,
                    None => continue,
                },
                Normalizer::Precompiled(blob) => self.rules_step(blob)?,
                Normalizer::Strip { left, right } => Step::Strip { left: *left, right: *right },
                Normalizer::Lowercase => Step::Lowercase,
                Normalizer::Nfc => Step::Form(Form::Nfc),
                Normalizer::Nfd => Step::Form(Form::Nfd),
                Normalizer::Nfkc => Step::Form(Form::Nfkc),
                Normalizer::Nfkd => Step::Form(Form::Nfkd),
                Normalizer::StripAccents => Step::StripAccents,
                Normalizer::Nmt => Step::Nmt,
                Normalizer::Bert { clean_text, handle_chinese_chars, strip_accents, lowercase } => Step::Bert(Bert {
                    clean: *clean_text,
                    chinese: *handle_chinese_chars,
                    accents: strip_accents.unwrap_or(*lowercase),
                    lowercase: *lowercase,
                }),
                Normalizer::ByteLevel | Normalizer::Prepend(_) => {
                    return refuse(format!("normalizer {}", stage.kind()))
                }
            };
            plan.steps.push(step);
        }
        if plan.dummy && !plan.marks {
            return refuse("a dummy prefix without U+2581 for spaces");
        }
        Ok(())
    }

    fn rules_step(&self, blob: &[u8]) -> Own<Step> {
        if let Some(rules) = self.exact_charsmap()? {
            let Some(later) = rules.later_characters() else {
                return refuse("a charsmap whose trie is no list of rules");
            };
            if rules.keeps_spaces() {
                return refuse("user-defined symbols with a space");
            }
            return Ok(Step::Rules { rules, later });
        }
        Ok(Step::ClusterRules(Charsmap::new(blob)?))
    }

    fn word_rules(&self, plan: &mut Plan) -> Own<()> {
        let normalizer_marks = plan.marks;
        let stages = &self.spec.pre_tokenizers;
        for (index, stage) in stages.iter().enumerate() {
            let last = index + 1 == stages.len();
            let rule = match stage {
                PreTokenizer::WhitespaceSplit => Rule::WhiteSpace,
                PreTokenizer::Whitespace => Rule::WordCharacters(CodePoints::parse(r"\w", false)?),
                PreTokenizer::Bert => {
                    plan.rules.push(Rule::WhiteSpace);
                    Rule::Punctuation(Manner::Isolated)
                }
                PreTokenizer::Punctuation { behavior } => Rule::Punctuation(manner(*behavior)?),
                PreTokenizer::Digits { individual_digits: true } => Rule::Digits(Manner::Isolated),
                PreTokenizer::Digits { individual_digits: false } => Rule::Digits(Manner::Contiguous),
                PreTokenizer::Metaspace(metaspace) if last => {
                    plan.words_after_marks(*metaspace)?;
                    break;
                }
                PreTokenizer::ByteLevel { .. }
                | PreTokenizer::CharDelimiterSplit { .. }
                | PreTokenizer::FixedLength { .. }
                | PreTokenizer::Metaspace(_)
                | PreTokenizer::Split { .. }
                | PreTokenizer::UnicodeScripts => return refuse(format!("pre-tokenizer {}", stage.kind())),
            };
            plan.rules.push(rule);
        }
        if plan.rules.len() > 6 {
            return refuse("more than six rules for words");
        }
        if !plan.rules.is_empty() && plan.dummy {
            return refuse("a rule for words after a dummy prefix");
        }
        if !plan.rules.is_empty() && normalizer_marks {
            return refuse("a rule for words after marks for spaces");
        }
        Ok(())
    }

    fn rewriting_added(&self, plan: &Plan) -> Own<AddedText> {
        let tokens = self.added.iter().filter(|a| !a.control);
        if tokens.clone().count() == 0 {
            return Ok(AddedText::default());
        }
        if tokens.clone().any(|a| a.normalized)
            && (!self.spec.normalizers.is_empty() || tokens.clone().any(|a| !a.normalized) || plan.dummy)
        {
            return refuse("added text tokens after the normalizer");
        }
        // The library finds control tokens only to leave them alone, but for those with names that no text holds.
        let hidden = self.hidden_pieces();
        let hides = |a: &&Added| a.control && !a.content.is_empty() && !self.hides(&a.content, &hidden);
        let found: Vec<_> = self.added.iter().filter(|a| !a.control || hides(a)).collect();
        // The library gives an added token the id that the model has for such a piece already.
        let id = |token: &Added| TokenId(self.pieces.find(&token.content).unwrap_or(token.id));
        let contents: Vec<_> = found.iter().map(|a| (a.content.as_str(), (!a.control).then(|| id(a)))).collect();
        AddedText::new(&contents).ok_or_else(|| Refusal("millions of added tokens".into()))
    }

    /// The model, and whether no piece holds a space after another character (nor is one ever fused with unknown text).
    fn unigram(&self, model: &UnigramModel, marks: bool) -> Own<(Model, bool)> {
        let unknown = self.unknown.filter(|&id| (id as usize) < self.pieces.len());
        let Some(unknown) = unknown else { return refuse("no unknown token in the model") };
        let rules = self.spec.origin.sentencepiece.as_ref();
        let unmatchable = rules.into_iter().flat_map(|rules| rules.unmatchable.iter().chain(&rules.unused));
        let unmatchable: FxHashSet<u32> = unmatchable.copied().collect();
        let single = rules.and_then(|rules| rules.lowest_score);
        let hidden = |id: u32, piece: &str| self.added.iter().any(|a| a.control && a.id == id && a.content == piece);
        let mut found: Vec<(Box<[u8]>, f64, u32)> = Vec::with_capacity(self.pieces.len());
        let mut bytes = [None; 256];
        let mut lowest = f64::INFINITY;
        let mut inner_space = false;
        for (number, (id, piece)) in self.pieces.iter().enumerate() {
            let Some(score) = self.pieces.score(number).filter(|score| score.is_finite()) else {
                return refuse(format!("no score for piece {id}"));
            };
            lowest = lowest.min(score);
            if let Some(byte) = byte_named(piece) {
                bytes[usize::from(byte)] = Some(id);
            }
            // No text holds a space by the time it gets to a model with marks.
            if hidden(id, piece) || unmatchable.contains(&id) || marks && piece.contains(' ') {
                continue;
            }
            let word = if marks { piece.replace(METASPACE, " ") } else { piece.to_string() };
            inner_space |= crate::stability::pieces::holds_inner_space(word.as_bytes());
            found.push((word.into_bytes().into(), score, id));
        }
        found.sort_by_key(|(word, ..)| word.len());
        let entries = found.iter().map(|&(_, score, id)| (score, id)).collect();
        let words = found.into_iter().zip(0..).map(|((word, ..), index)| (word, index)).collect();
        let Some(pieces) = Dictionary::new(words) else { return refuse("millions of pieces") };
        let fallback = model.byte_fallback;
        let fused = pieces.get(b" ").is_none() && !fallback;
        let unknown_score = match single {
            Some(lowest) => f64::from(lowest - 10.0),
            None => lowest - 10.0,
        };
        let sums = if single.is_some() { Sums::Single } else { Sums::Double };
        let bytes = fallback.then(|| Box::new(bytes));
        let spells_all = bytes.as_ref().is_some_and(|ids| ids.iter().all(Option::is_some));
        let model = Unigram { pieces, entries, unknown, unknown_score, bytes, spells_all, sums, marks };
        Ok((Model::Unigram(model), !inner_space && !fused))
    }

    fn wordpiece(&self, model: &WordPieceModel) -> Own<Model> {
        let (prefix, longest_word) = (model.continuing_subword_prefix.as_str(), model.max_input_chars_per_word);
        let later = self.pieces.iter().filter_map(|(id, piece)| Some((piece.strip_prefix(prefix)?, id)));
        self.word_pieces(later, longest_word)
    }

    /// A word that is no piece as a whole is unknown: no piece follows another, and none is longer than the longest.
    fn word_level(&self) -> Own<Model> {
        let longest = self.pieces.iter().map(|(_, piece)| piece.chars().count()).max().unwrap_or(0);
        self.word_pieces(std::iter::empty(), longest)
    }

    /// The model of all pieces at the start of a word, and of those that may be `later` in it.
    fn word_pieces<'p>(&self, later: impl Iterator<Item = (&'p str, u32)>, longest_word: usize) -> Own<Model> {
        let Some(unknown) = self.unknown else { return refuse("no unknown token in the model") };
        let words = |(piece, id): (&str, u32)| (piece.as_bytes().into(), id);
        let first = self.pieces.iter().map(|(id, piece)| (piece.as_bytes().into(), id)).collect();
        match (Dictionary::new(first), Dictionary::new(later.map(words).collect())) {
            (Some(first), Some(later)) => Ok(Model::WordPiece(WordPiece { first, later, unknown, longest_word })),
            _ => refuse("millions of pieces"),
        }
    }

    fn byte_pairs(&self, model: &BpeModel, plan: &Plan) -> Own<Model> {
        let Some(unknown) = self.unknown else { return refuse("no unknown token in the model") };
        // Else merges may cross a space, or the definition has the better cuts of the library's certificate.
        if !plan.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_))) {
            return refuse("words of byte pairs that hold white space");
        }
        // The look-up of whole words finds the unknown token by its name, which is then no control token.
        if model.ignore_merges && !self.added.iter().any(|a| a.control && a.id == unknown) {
            return refuse("ignore_merges beside an unknown token that is not special");
        }
        let bpe = self.bpe(model, Spelling::Plain)?;
        bpe.prepare(self.matched.iter().map(|(_, bytes)| bytes));
        Ok(Model::Bpe(Box::new(bpe)))
    }
}

impl Plan {
    /// Ends the steps as rules and marks ask; the answer: whether the text stays as it is, so that spans are exact.
    fn finish(&mut self) -> Own<bool> {
        if self.rules.is_empty() && !self.marks {
            return refuse("no rule for words, and no marks for spaces");
        }
        if self.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_))) {
            // The removal of white space at the end includes the effect of these.
            let is_needless = |step: &Step| match step {
                Step::Strip { .. } | Step::LeadingSpaces | Step::TrailingSpaces { marks: false } => true,
                Step::SpaceRuns { content } => content.iter().all(|c| c.is_whitespace()),
                _ => false,
            };
            while self.steps.last().is_some_and(is_needless) {
                self.steps.pop();
            }
        }
        let marked = |step: &Step| matches!(step, Step::SpaceRuns { content } if content.contains(&METASPACE));
        if !self.rules.is_empty() && !self.marks && self.steps.iter().any(marked) {
            return refuse("runs of spaces that become marks, which part no words");
        }
        let exact_spans = self.steps.is_empty() && self.rules.is_empty();
        if self.marks && self.rules.is_empty() {
            self.steps.push(Step::Literal { pattern: vec![METASPACE], content: vec![' '] });
        }
        Ok(exact_spans)
    }

    fn words_after_marks(&mut self, metaspace: Metaspace) -> Own<()> {
        if !metaspace.is_usual() {
            return refuse("Metaspace with another mark than U+2581");
        }
        let scheme = metaspace.prepend;
        if !self.rules.is_empty() {
            // Each word after white space gets the mark, and none holds a space.
            let drops = self.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_)));
            if scheme != PrependScheme::Always || !metaspace.split || !drops || self.marks {
                return refuse("Metaspace after other pre-tokenizers");
            }
            self.marks = true;
            return Ok(());
        }
        match (scheme, self.marks, self.dummy) {
            // The normalizer has put the mark there already.
            (PrependScheme::Never, ..) | (_, true, true) => {}
            (PrependScheme::First, false, _) if !self.steps.is_empty() => {
                return refuse("a dummy prefix at the start of the text as it was");
            }
            (_, false, _) => {
                self.dummy = true;
                self.dummy_everywhere = scheme == PrependScheme::Always;
            }
            _ => return refuse("Metaspace that adds a mark after a normalizer that does not"),
        }
        self.marks = true;
        self.spaced = metaspace.split;
        Ok(())
    }
}

/// The step of a `Replace`; `None` where it puts marks for spaces, which the plan then says.
fn replacement(pattern: &Pattern, content: &str, plan: &mut Plan) -> Own<Option<Step>> {
    if !plan.dummy && pattern.regex() == Some(r"\s+") {
        if content != " " {
            return refuse("normalizer Replace of white space by something else than a space");
        }
        plan.steps.push(Step::Each { set: CodePoints::parse(r"\s", false)?, content: vec![' '] });
        return Ok(Some(Step::SpaceRuns { content: vec![' '] }));
    }
    let content: Vec<char> = content.chars().collect();
    let step = match pattern {
        Pattern::String(literal) if literal == " " && content == [METASPACE] => {
            plan.marks = true;
            return Ok(None);
        }
        Pattern::String(literal) if !literal.is_empty() && (literal == " " || !literal.contains(' ')) => {
            Step::Literal { pattern: literal.chars().collect(), content }
        }
        Pattern::String(_) => return refuse("normalizer Replace of nothing, or of a text with a space"),
        Pattern::Regex(regex) => match (regex.as_str(), content.is_empty()) {
            // Cuts are before spaces, so the replacement of a run must separate words as a space does.
            (" {2,}", false) if content.iter().all(|&c| c == ' ' || c == METASPACE) => Step::SpaceRuns { content },
            ("\\A +", true) => Step::LeadingSpaces,
            (" +\\z", true) => Step::TrailingSpaces { marks: false },
            ("[ \u{2581}]+\\z", true) => Step::TrailingSpaces { marks: true },
            (regex, _) => match simple_class(regex) {
                Some(set) => Step::Each { set, content },
                None => return refuse(format!("normalizer Replace of {regex:?}")),
            },
        },
    };
    if plan.dummy {
        return refuse("normalizer Replace after a dummy prefix");
    }
    Ok(Some(step))
}

fn manner(behavior: SplitBehavior) -> Own<Manner> {
    match behavior {
        SplitBehavior::Isolated => Ok(Manner::Isolated),
        SplitBehavior::Contiguous => Ok(Manner::Contiguous),
        SplitBehavior::Removed => Ok(Manner::Removed),
        SplitBehavior::MergedWithPrevious | SplitBehavior::MergedWithNext => {
            refuse(format!("behaviour {} of Punctuation", behavior.name()))
        }
    }
}

/// `<0xNN>` as the library spells bytes, in capitals.
fn byte_named(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (format!("{byte:02X}") == digits).then_some(byte)
}

/// The set of a bracket class of plain characters, ranges and `\\x..`, `\\u....` escapes: every engine reads these
/// alike.
fn simple_class(regex: &str) -> Option<CodePoints> {
    let mut rest = regex.strip_prefix('[')?.strip_suffix(']')?.chars();
    let mut characters: Vec<Option<char>> = Vec::new();
    while let Some(c) = rest.next() {
        characters.push(match c {
            '-' => None,
            '[' | ']' | '^' | '&' => return None,
            '\\' => {
                let (digits, largest) = match rest.next()? {
                    'x' => (2, 0x7f),
                    'u' => (4, 0xffff),
                    _ => return None,
                };
                let code: String = rest.by_ref().take(digits).collect();
                if code.len() != digits || !code.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                let code = u32::from_str_radix(&code, 16).ok().filter(|&code| code <= largest)?;
                Some(char::from_u32(code)?)
            }
            c => Some(c),
        });
    }
    let mut ranges = Vec::new();
    let mut rest = &characters[..];
    while let Some((first, after)) = rest.split_first() {
        let first = (*first)?;
        match after {
            [None, Some(last), after @ ..] if first <= *last => {
                ranges.push((first as u32, *last as u32));
                rest = after;
            }
            _ => {
                ranges.push((first as u32, first as u32));
                rest = after;
            }
        }
    }
    (!ranges.is_empty()).then(|| CodePoints::from_ranges(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_classes_are_read() {
        let set = simple_class(r"[\x01-\x08\x7f\u200b\u200d]");
        let contains = |c| set.as_ref().is_some_and(|set| set.contains(c));
        assert_eq!(
            ['\u{1}', '\u{8}', '\u{9}', '\u{7f}', '\u{200b}', '\u{200c}'].map(contains),
            [true, true, false, true, true, false]
        );
        for other in
            ["[^a]", "[a&&b]", "a", "[]", r"[\w]", r"[\xff]", "[[:alpha:]]", "[a-]", "[-a]", "[b-a]", r"[\u12]"]
        {
            assert!(simple_class(other).is_none(), "{other}");
        }
    }

    #[test]
    fn bytes_have_one_name() {
        assert_eq!(
            [
                byte_named("<0x0A>"),
                byte_named("<0x0a>"),
                byte_named("<0xA>"),
                byte_named("<0x0A"),
                byte_named("<0x+A>")
            ],
            [Some(10), None, None, None, None]
        );
    }
}
