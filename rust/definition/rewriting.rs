//! Unigram and WordPiece definitions -> our own engine for them, or the reason why the library must run them.

use super::entries::prepend_scheme;
use super::{flag, kind, model_name, refuse, text, Own, Reader};
use crate::dictionary::Dictionary;
use crate::error::Error;
use crate::formats::charsmap::Charsmap;
use crate::normal::METASPACE;
use crate::pattern::CodePoints;
use crate::pipeline::DummyPrefix;
use crate::rewriter::{Bert, Form, Rewriter, Step};
use crate::rewriting::{Added, Model, Parts, Rewriting, Words};
use crate::token::TokenId;
use crate::unigram::{Sums, Unigram};
use crate::word_rule::{Manner, Rule, WordRule};
use crate::wordpiece::WordPiece;
use base64::Engine as _;
use serde_json::Value;
use std::collections::HashSet;

/// What the stages amount to.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    /// U+2581 stands for spaces.
    marks: bool,
    dummy: bool,
    dummy_always: bool,
    dummy_everywhere: bool,
    /// The model reads a space and what follows as a word.
    spaced: bool,
    rules: Vec<Rule>,
}

impl Reader<'_> {
    /// Our own engine for definitions that may rewrite text, or why not.
    pub(super) fn rewriting(&self) -> Own<Rewriting> {
        let model = model_name(self.whole);
        if !matches!(model, "Unigram" | "WordPiece") {
            return refuse(format!("{model} model"));
        }
        let mut plan = Plan::default();
        self.rewriting_normalizer(&mut plan)?;
        self.word_rules(&mut plan)?;
        let whole = plan.rules.is_empty() && !plan.spaced;
        if plan.rules.is_empty() && !plan.marks {
            return refuse("no rule for words, and no marks for spaces");
        }
        let drops_white_space = plan.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_)));
        if drops_white_space {
            // What these do to white space at the end of it all, its removal does too.
            let is_needless = |step: &Step| match step {
                Step::Strip { .. } | Step::LeadingSpaces | Step::TrailingSpaces { marks: false } => true,
                Step::SpaceRuns { content } => content.iter().all(|c| c.is_whitespace()),
                _ => false,
            };
            while plan.steps.last().is_some_and(is_needless) {
                plan.steps.pop();
            }
        }
        if !plan.rules.is_empty()
            && !plan.marks
            && plan.steps.iter().any(|step| matches!(step, Step::SpaceRuns { content } if content.contains(&METASPACE)))
        {
            return refuse("runs of spaces that become marks, which part no words");
        }
        let exact_spans = plan.steps.is_empty() && plan.rules.is_empty();
        if plan.marks && plan.rules.is_empty() {
            plan.steps.push(Step::Literal { pattern: vec![METASPACE], content: vec![' '] });
        }
        let added = self.rewriting_added(&plan)?;
        let (model, spaces_begin_pieces) = if model == "Unigram" { self.unigram(plan.marks)? } else { (self.wordpiece(plan.marks)?, true) };
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
            notes: format!("coolfusion's own {} encoder, {how}", model_name(self.whole)),
        }))
    }

    /// The normalizer as our own rewriter, for cuts of what the library runs; None where it has stages that are not known.
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
        for stage in self.normalizers {
            if plan.marks || plan.dummy && kind(stage) != "Replace" {
                return refuse(format!("normalizer {} behind marks for spaces", kind(stage)));
            }
            let step = match kind(stage) {
                "Prepend" if text(stage, "prepend") == Some("\u{2581}") && !plan.dummy => {
                    plan.dummy = true;
                    plan.dummy_always = true;
                    plan.dummy_everywhere = true;
                    continue;
                }
                "Replace" if !plan.dummy && stage.pointer("/pattern/Regex").and_then(Value::as_str) == Some(r"\s+") => {
                    if text(stage, "content") != Some(" ") {
                        return refuse("normalizer Replace of white space by something else than a space");
                    }
                    plan.steps.push(Step::Each { set: CodePoints::parse(r"\s", false)?, content: vec![' '] });
                    Step::SpaceRuns { content: vec![' '] }
                }
                "Replace" => match self.replacement(stage)? {
                    Some(step) if !plan.dummy => step,
                    None => {
                        plan.marks = true;
                        continue;
                    }
                    Some(_) => return refuse("normalizer Replace behind a dummy prefix"),
                },
                "Precompiled" => self.rules_step(stage)?,
                "Strip" => Step::Strip { left: flag(stage, "strip_left") == Some(true), right: flag(stage, "strip_right") == Some(true) },
                "Lowercase" => Step::Lowercase,
                "NFC" => Step::Form(Form::Nfc),
                "NFD" => Step::Form(Form::Nfd),
                "NFKC" => Step::Form(Form::Nfkc),
                "NFKD" => Step::Form(Form::Nfkd),
                "StripAccents" => Step::StripAccents,
                "Nmt" => Step::Nmt,
                "BertNormalizer" => {
                    let lowercase = flag(stage, "lowercase") == Some(true);
                    Step::Bert(Bert {
                        clean: flag(stage, "clean_text") == Some(true),
                        chinese: flag(stage, "handle_chinese_chars") == Some(true),
                        accents: flag(stage, "strip_accents").unwrap_or(lowercase),
                        lowercase,
                    })
                }
                other => return refuse(format!("normalizer {other}")),
            };
            plan.steps.push(step);
        }
        if plan.dummy && !plan.marks {
            return refuse("a dummy prefix without U+2581 for spaces");
        }
        Ok(())
    }

    /// The step of a `Replace`; None where it puts marks for spaces.
    fn replacement(&self, stage: &Value) -> Own<Option<Step>> {
        let content: Vec<char> = text(stage, "content").unwrap_or_default().chars().collect();
        let literal = stage.pointer("/pattern/String").and_then(Value::as_str);
        let regex = stage.pointer("/pattern/Regex").and_then(Value::as_str);
        Ok(Some(match (literal, regex) {
            (Some(" "), _) if content == [METASPACE] => return Ok(None),
            (Some(literal), _) if !literal.is_empty() && (literal == " " || !literal.contains(' ')) => {
                Step::Literal { pattern: literal.chars().collect(), content }
            }
            // Cuts stand before spaces: what a run becomes must part words as a space does.
            (None, Some(" {2,}")) if !content.is_empty() && content.iter().all(|&c| c == ' ' || c == METASPACE) => Step::SpaceRuns { content },
            (None, Some("\\A +")) if content.is_empty() => Step::LeadingSpaces,
            (None, Some(" +\\z")) if content.is_empty() => Step::TrailingSpaces { marks: false },
            (None, Some("[ \u{2581}]+\\z")) if content.is_empty() => Step::TrailingSpaces { marks: true },
            (None, Some(regex)) => match simple_class(regex) {
                Some(set) => Step::Each { set, content },
                None => return refuse(format!("normalizer Replace of {regex:?}")),
            },
            _ => return refuse("normalizer Replace of nothing, or of a text with a space"),
        }))
    }

    fn rules_step(&self, stage: &Value) -> Own<Step> {
        if let Some(rules) = self.exact_charsmap()? {
            let Some(later) = rules.later_characters() else { return refuse("a charsmap whose trie is no list of rules") };
            if rules.keeps_spaces() {
                return refuse("user-defined symbols with a space");
            }
            return Ok(Step::Rules { rules, later });
        }
        let blob = base64::engine::general_purpose::STANDARD.decode(text(stage, "precompiled_charsmap").unwrap_or_default());
        let blob = blob.map_err(|error| Error::definition("normalizer", format!("precompiled_charsmap: {error}")))?;
        Ok(Step::ClusterRules(Charsmap::new(&blob)?))
    }

    fn word_rules(&self, plan: &mut Plan) -> Own<()> {
        let normalizer_marks = plan.marks;
        for (index, stage) in self.pre_tokenizers.iter().enumerate() {
            let last = index + 1 == self.pre_tokenizers.len();
            let rule = match kind(stage) {
                "WhitespaceSplit" => Rule::WhiteSpace,
                "Whitespace" => Rule::WordCharacters(CodePoints::parse(r"\w", false)?),
                "BertPreTokenizer" => {
                    plan.rules.push(Rule::WhiteSpace);
                    Rule::Punctuation(Manner::Isolated)
                }
                "Punctuation" => Rule::Punctuation(match text(stage, "behavior").unwrap_or("Isolated") {
                    "Isolated" => Manner::Isolated,
                    "Contiguous" => Manner::Contiguous,
                    "Removed" => Manner::Removed,
                    other => return refuse(format!("behaviour {other} of Punctuation")),
                }),
                "Digits" if flag(stage, "individual_digits") == Some(true) => Rule::Digits(Manner::Isolated),
                "Digits" => Rule::Digits(Manner::Contiguous),
                "Metaspace" if last => {
                    self.words_behind_marks(stage, plan)?;
                    break;
                }
                other => return refuse(format!("pre-tokenizer {other}")),
            };
            plan.rules.push(rule);
        }
        if plan.rules.len() > 6 {
            return refuse("more than six rules for words");
        }
        if !plan.rules.is_empty() && plan.dummy {
            return refuse("a rule for words behind a dummy prefix");
        }
        if !plan.rules.is_empty() && normalizer_marks {
            return refuse("a rule for words behind marks for spaces");
        }
        Ok(())
    }

    fn words_behind_marks(&self, stage: &Value, plan: &mut Plan) -> Own<()> {
        if text(stage, "replacement").is_some_and(|mark| mark != "\u{2581}") {
            return refuse("Metaspace with another mark than U+2581");
        }
        let split = flag(stage, "split") != Some(false);
        let scheme = prepend_scheme(stage);
        if !plan.rules.is_empty() {
            // Each word behind white space gets the mark, and none holds a space.
            let drops = plan.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_)));
            if scheme != "always" || !split || !drops || plan.marks {
                return refuse("Metaspace behind other pre-tokenizers");
            }
            plan.marks = true;
            return Ok(());
        }
        match (scheme, plan.marks, plan.dummy) {
            // The normalizer has put the mark there already.
            ("never", ..) | (_, true, true) => {}
            ("first", false, _) if !plan.steps.is_empty() => return refuse("a dummy prefix at the start of the text as it was"),
            (scheme, false, _) => {
                plan.dummy = true;
                plan.dummy_everywhere = scheme == "always";
            }
            _ => return refuse("Metaspace that adds a mark behind a normalizer that does not"),
        }
        plan.marks = true;
        plan.spaced = split;
        Ok(())
    }

    fn rewriting_added(&self, plan: &Plan) -> Own<Added> {
        let tokens = self.added.iter().filter(|a| !a.control);
        if tokens.clone().count() == 0 {
            return Ok(Added::default());
        }
        if tokens.clone().any(|a| a.normalized) && (!self.normalizers.is_empty() || tokens.clone().any(|a| !a.normalized) || plan.dummy) {
            return refuse("added text tokens behind the normalizer");
        }
        // The library finds control tokens only to leave them alone. In Unigram models they have names that no text holds.
        let hides = |a: &&super::entries::Added| a.control && !a.content.is_empty() && model_name(self.whole) != "Unigram";
        let found: Vec<_> = self.added.iter().filter(|a| !a.control || hides(a)).collect();
        let mut begins = vec![false; 256];
        for token in &found {
            if let Some(&first) = token.content.as_bytes().first() {
                begins[usize::from(first)] = true;
            }
        }
        let characters = found.iter().flat_map(|token| token.content.chars()).collect();
        let words = found.iter().zip(0..).map(|(token, index)| (token.content.as_bytes().into(), index)).collect();
        let Some(contents) = Dictionary::new(words) else { return refuse("millions of added tokens") };
        // The library gives an added token the id that the model has for such a piece already.
        let mut ids: Vec<u32> = found.iter().map(|a| a.id).collect();
        for (id, piece) in self.pieces.iter() {
            if let Some(index) = contents.get(piece.as_bytes()) {
                ids[index as usize] = id;
            }
        }
        Ok(Added { contents, ids: found.iter().zip(ids).map(|(a, id)| (!a.control).then_some(TokenId(id))).collect(), begins, characters })
    }

    /// The model, and whether no piece holds a space behind another character (nor is one ever fused with unknown text).
    fn unigram(&self, marks: bool) -> Own<(Model, bool)> {
        let Some(unknown) = self.unknown.filter(|&id| (id as usize) < self.pieces.len()) else { return refuse("no unknown token in the model") };
        let extension = |key: &str| self.definition.get("coolfusion").and_then(|extension| extension.get(key));
        let listed =
            |key: &str| -> HashSet<u64> { extension(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect() };
        let mut unmatchable = listed("unmatchable");
        unmatchable.extend(listed("unused"));
        let single = extension("lowest_score").and_then(Value::as_f64);
        let hidden = |id: u32, piece: &str| self.added.iter().any(|a| a.control && a.id == id && a.content == piece);
        let mut found: Vec<(Box<[u8]>, f64, u32)> = Vec::with_capacity(self.pieces.len());
        let mut bytes = [None; 256];
        let mut lowest = f64::INFINITY;
        let mut inner_space = false;
        for (number, (id, piece)) in self.pieces.iter().enumerate() {
            let Some(score) = self.pieces.score(number).filter(|score| score.is_finite()) else { return refuse(format!("no score for piece {id}")) };
            lowest = lowest.min(score);
            if let Some(byte) = byte_named(piece) {
                bytes[usize::from(byte)] = Some(id);
            }
            // No text holds a space by the time it gets to a model with marks.
            if hidden(id, piece) || unmatchable.contains(&u64::from(id)) || marks && piece.contains(' ') {
                continue;
            }
            let word = if marks { piece.replace(METASPACE, " ") } else { piece.to_string() };
            inner_space |= super::holds_inner_space(word.as_bytes());
            found.push((word.into_bytes().into(), score, id));
        }
        found.sort_by_key(|(word, ..)| word.len());
        let entries = found.iter().map(|&(_, score, id)| (score, id)).collect();
        let words = found.into_iter().zip(0..).map(|((word, ..), index)| (word, index)).collect();
        let Some(pieces) = Dictionary::new(words) else { return refuse("millions of pieces") };
        let fallback = flag(self.model, "byte_fallback") == Some(true);
        let fused = pieces.get(b" ").is_none() && !fallback;
        let unknown_score = match single {
            Some(lowest) => f64::from(lowest as f32 - 10.0),
            None => lowest - 10.0,
        };
        let sums = if single.is_some() { Sums::Single } else { Sums::Double };
        let bytes = fallback.then(|| Box::new(bytes));
        let spells_all = bytes.as_ref().is_some_and(|ids| ids.iter().all(Option::is_some));
        let model = Unigram { pieces, entries, unknown, unknown_score, bytes, spells_all, sums, marks };
        Ok((Model::Unigram(model), !inner_space && !fused))
    }

    fn wordpiece(&self, marks: bool) -> Own<Model> {
        let Some(unknown) = self.unknown else { return refuse("no unknown token in the model") };
        if marks {
            return refuse("WordPiece with marks for spaces");
        }
        let prefix = text(self.model, "continuing_subword_prefix").unwrap_or("##");
        let longest_word = match self.model.get("max_input_chars_per_word") {
            None => 100,
            Some(number) => match number.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(number) => number,
                None => return refuse("max_input_chars_per_word is no number"),
            },
        };
        let first = self.pieces.iter().map(|(id, piece)| (piece.as_bytes().into(), id)).collect();
        let later = self.pieces.iter().filter_map(|(id, piece)| Some((piece.strip_prefix(prefix)?.as_bytes().into(), id))).collect();
        match (Dictionary::new(first), Dictionary::new(later)) {
            (Some(first), Some(later)) => Ok(Model::WordPiece(WordPiece { first, later, unknown, longest_word })),
            _ => refuse("millions of pieces"),
        }
    }
}

/// `<0xNN>` as the library spells bytes, in capitals.
fn byte_named(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (format!("{byte:02X}") == digits).then_some(byte)
}

/// The set of a bracket class of plain characters, ranges and `\\x..`, `\\u....` escapes: what every engine reads alike.
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
    while let Some((first, behind)) = rest.split_first() {
        let first = (*first)?;
        match behind {
            [None, Some(last), behind @ ..] if first <= *last => {
                ranges.push((first as u32, *last as u32));
                rest = behind;
            }
            _ => {
                ranges.push((first as u32, first as u32));
                rest = behind;
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
        assert_eq!(['\u{1}', '\u{8}', '\u{9}', '\u{7f}', '\u{200b}', '\u{200c}'].map(contains), [true, true, false, true, true, false]);
        for other in ["[^a]", "[a&&b]", "a", "[]", r"[\w]", r"[\xff]", "[[:alpha:]]", "[a-]", "[-a]", "[b-a]", r"[\u12]"] {
            assert!(simple_class(other).is_none(), "{other}");
        }
    }

    #[test]
    fn bytes_have_one_name() {
        assert_eq!(
            [byte_named("<0x0A>"), byte_named("<0x0a>"), byte_named("<0xA>"), byte_named("<0x0A"), byte_named("<0x+A>")],
            [Some(10), None, None, None, None]
        );
    }
}
