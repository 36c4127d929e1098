//! Pre-token patterns, matched by a machine that knows how far it looked.
//!
//! A regular-expression library answers *where* a match ends. A pre-token can no longer change when text is appended if
//! the answer did not depend on the end of the text. [`Pattern::match_at`] returns both, which makes a boundary
//! *settled* (docs/definitions.md, "Settled cut").

use crate::error::{Error, Result};
use crate::regex::automaton::Automaton;
use crate::regex::dialect::Dialect;
use crate::regex::limits::check;
use crate::regex::{backtrack, parse};

/// The machine that runs a pattern.
#[derive(Debug, Clone)]
pub(crate) enum Machine {
    /// One table step a character.
    Automaton(Automaton),
    /// Backtracking, for patterns without an automaton.
    Program(backtrack::Program),
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    machine: Machine,
}

impl Pattern {
    /// Compiles `source`.
    ///
    /// # Errors
    /// A `Definition` error for a pattern that is broken, too large or too deep. The same for look-behind, back
    /// references and anchors, which no published pre-token rule uses. The same for patterns that may match the empty
    /// text, that the dialect's library reads otherwise, or that could take exponential time.
    pub fn new(source: &str, dialect: Dialect) -> Result<Self> {
        check("pre_tokenizer", source)?;
        let tree = parse::parse(source, dialect)?;
        let machine = match Automaton::compile(&tree) {
            Some(automaton) => Machine::Automaton(automaton),
            None if tree.may_explode() => {
                let reason = "repetitions that could be tried in too many ways, and no automaton";
                return Err(Error::definition("pre_tokenizer", format!("pattern {source:?}: {reason}")));
            }
            None => Machine::Program(backtrack::Program::compile(&tree)),
        };
        Ok(Self { source: source.into(), machine })
    }

    /// Compiles `source` for the backtracking machine whatever it is: the slow twin of [`Pattern::new`].
    ///
    /// # Errors
    /// As [`Pattern::new`], whatever the time it could take.
    pub fn backtracking(source: &str, dialect: Dialect) -> Result<Self> {
        check("pre_tokenizer", source)?;
        let tree = parse::parse(source, dialect)?;
        Ok(Self { source: source.into(), machine: Machine::Program(backtrack::Program::compile(&tree)) })
    }

    /// Whether the pattern runs as a deterministic automaton: linear time, whatever the text.
    #[must_use]
    pub fn is_automaton(&self) -> bool {
        matches!(self.machine, Machine::Automaton(_))
    }

    /// The most pre-tokens at the end of a text that a later text can still change, its last one included. Every
    /// character must belong to a match. `None` where no bound is proved.
    #[must_use]
    pub fn open_pre_tokens(&self) -> Option<u32> {
        match &self.machine {
            Machine::Automaton(automaton) => automaton.open_pre_tokens(),
            Machine::Program(_) => None,
        }
    }

    /// Whether it is proved that no match goes on over the white space `c` after another character, nor needs it, nor
    /// is empty.
    pub(crate) fn stops_before(&self, c: char) -> bool {
        matches!(&self.machine, Machine::Automaton(automaton) if automaton.stops_before(c))
    }

    /// Whether it is proved that a match begins at each `c`.
    pub(crate) fn begins_with(&self, c: char) -> bool {
        matches!(&self.machine, Machine::Automaton(automaton) if automaton.begins_with(c))
    }

    /// The machine that runs it.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The pattern's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The end of the match that begins exactly at byte `start` of `text`, if there is one.
    ///
    /// `looked` is raised to the largest byte position that had a part in the answer; `text.len()` means "the text
    /// ended there". Complexity: O(match and look-ahead) where [`Pattern::is_automaton`], else that of backtracking.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// use coolfusion::regex::{Dialect, Pattern};
    /// let words = Pattern::new(r" ?\p{L}+", Dialect::Oniguruma)?;
    /// let mut looked = 0;
    /// assert_eq!(words.match_at("the cat", 0, &mut looked), Some(3));
    /// assert_eq!(looked, 3); // The blank at byte 3 ends the match, whatever comes after it.
    /// # Ok(())
    /// # }
    /// ```
    pub fn match_at(&self, text: &str, start: usize, looked: &mut usize) -> Option<usize> {
        match &self.machine {
            Machine::Automaton(automaton) => {
                let (end, last) = automaton.match_at(text, start);
                *looked = (*looked).max(last);
                end
            }
            Machine::Program(program) => program.match_at(text, start, looked),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn split(pattern: &str, text: &str) -> Vec<String> {
        let pattern = Pattern::new(pattern, Dialect::Oniguruma).unwrap();
        let mut at = 0;
        let mut pieces = Vec::new();
        while at < text.len() {
            let end = pattern.match_at(text, at, &mut 0).unwrap();
            pieces.push(text[at..end].to_string());
            at = end;
        }
        pieces
    }

    #[test]
    fn splits_as_the_rule_says() {
        assert_eq!(
            split(LLAMA3, "It's 12345 a  b\n\n c."),
            ["It", "'s", " ", "123", "45", " a", " ", " b", "\n\n", " c", "."]
        );
        assert_eq!(split(LLAMA3, "a \n  \nb"), ["a", " \n  \n", "b"]);
        assert_eq!(split(r"(?:ab)+?c|a++|(?>b|bc)|.", "ababcaabc"), ["ababc", "aa", "b", "c"]);
    }

    #[test]
    fn tells_how_far_it_looked() {
        let pattern = Pattern::new(LLAMA3, Dialect::Oniguruma).unwrap();
        let mut looked = 0;
        assert_eq!(pattern.match_at("cat dog", 0, &mut looked), Some(3));
        assert_eq!(looked, 3, "the space decides that the word is over");
        looked = 0;
        assert_eq!(pattern.match_at("cat", 0, &mut looked), Some(3));
        assert_eq!(looked, 3, "the end of the text decides");
        looked = 0;
        assert_eq!(pattern.match_at("a   ", 1, &mut looked), Some(4));
        assert_eq!(looked, 4);
    }

    /// Patterns of published tokenizers, and some that no automaton reads.
    const RULES: [(&str, Dialect, bool); 9] = [
        (LLAMA3, Dialect::Oniguruma, true),
        (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Dialect::Oniguruma, true),
        (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
            Dialect::Tiktoken,
            true,
        ),
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            Dialect::Oniguruma,
            true,
        ),
        (r"(?:ab)+?c|a++|b+(?=c|d)|.", Dialect::Oniguruma, true),
        (r"a++ab|a+?b|[ab]{2,3}?c|a(?!b|c)|\s", Dialect::Oniguruma, false),
        (r"(?>a|ab)c|b", Dialect::Oniguruma, false),
        (r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))|\s|a", Dialect::Tiktoken, false),
        (r"\s*a|b|\s+", Dialect::Oniguruma, true),
    ];

    #[test]
    fn the_automaton_answers_as_backtracking_does_and_looks_no_further() {
        let alphabet = [
            "a",
            "b",
            "c",
            "ab",
            " ",
            "  ",
            "\n",
            "'",
            "s",
            "S",
            "\u{17f}",
            "1",
            "23",
            "456",
            ".",
            "/",
            "\u{e9}",
            "\u{6f22}",
            "\u{1f600}",
            "\u{301}",
            "\u{10400}",
        ];
        let mut seed = 7u64;
        for (source, dialect, automaton) in RULES {
            let pattern = Pattern::new(source, dialect).unwrap();
            let twin = Pattern::backtracking(source, dialect).unwrap();
            assert_eq!(pattern.is_automaton(), automaton, "{source}");
            for _ in 0..2000 {
                let mut text = String::new();
                for _ in 0..12 {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    text.push_str(alphabet[(seed >> 33) as usize % alphabet.len()]);
                }
                for (at, _) in text.char_indices() {
                    let (mut looked, mut far) = (at, at);
                    let (found, expected) =
                        (pattern.match_at(&text, at, &mut looked), twin.match_at(&text, at, &mut far));
                    assert_eq!(found, expected, "{source} at {at} of {text:?}");
                    assert!(looked <= far, "{source} at {at} of {text:?}: {looked} > {far}");
                }
            }
        }
    }

    /// (all cuts, those that are settled) of a text whose end is open.
    fn cuts(pattern: &Pattern, text: &str) -> (usize, usize) {
        let (mut at, mut all, mut settled, mut sure) = (0, 0, 0, true);
        while at < text.len() {
            let mut looked = at;
            at = pattern.match_at(text, at, &mut looked).unwrap();
            sure &= looked < text.len();
            all += usize::from(at < text.len());
            settled += usize::from(at < text.len() && sure);
        }
        (all, settled)
    }

    #[test]
    fn the_bound_on_open_pre_tokens_holds_and_is_reached() {
        let rules = [(RULES[0], Some(2)), (RULES[1], Some(2)), (RULES[2], Some(1)), (RULES[3], Some(2))];
        let alphabet = [
            "a", "b", " ", "  ", "\n", "\r", "'", "s", "r", "l", "L", "1", "23", ".", "/", "\u{e9}", "\u{6f22}",
            "\u{301}",
        ];
        let mut seed = 3u64;
        for ((source, dialect, _), expected) in rules {
            let pattern = Pattern::new(source, dialect).unwrap();
            let bound = pattern.open_pre_tokens();
            let mut most = 0;
            for _ in 0..20_000 {
                let mut text = String::new();
                for _ in 0..7 {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    text.push_str(alphabet[(seed >> 33) as usize % alphabet.len()]);
                }
                let (all, settled) = cuts(&pattern, &text);
                most = most.max(all - settled + 1);
            }
            assert_eq!((bound, most as u32), (expected, expected.unwrap_or(0)), "{source}");
        }
        let endless = Pattern::new("a(?:bc)*d|a|b|c|d", Dialect::Oniguruma).unwrap();
        assert_eq!(endless.open_pre_tokens(), None, "abcbcbc may all become one, or never");
    }

    #[test]
    fn refuses_what_it_cannot_run() {
        for broken in [
            r"(?<=a)b", r"\bfoo", "a**?+*(", "[a", "(a", "^a", r"(\s*)*", r"\1", "a{2,1}", r"\p", r"[\p", r"[\x{",
            "a\\",
        ] {
            for dialect in [Dialect::Oniguruma, Dialect::Tiktoken] {
                assert!(Pattern::new(broken, dialect).is_err(), "{broken}");
            }
        }
    }

    #[test]
    fn refuses_what_may_match_the_empty_text() {
        for empty in ["", "a*", r"\s*", "(?=a)", r"(?=(?:\d{3})+(?!\d))", "a|", "()", "a{0}", "(?:a?|b)(?:c|d*)"] {
            let error = Pattern::new(empty, Dialect::Oniguruma).unwrap_err().to_string();
            assert!(error.contains("empty"), "{empty}: {error}");
        }
    }

    #[test]
    fn refuses_what_could_take_exponential_time_but_not_with_an_automaton() {
        let explosive = ["(?=(?:a+)+b)a|.", "(?=(?:a|aa)+b)a|.", "(?>(?:a|a)*b)|.", "(?=(?:a?){17}b)a|."];
        for rule in explosive {
            let error = Pattern::new(rule, Dialect::Oniguruma).unwrap_err().to_string();
            assert!(error.contains("too many ways"), "{error}");
        }
        for fine in [r"(?>(?:\r?\n)+)a|.", r"\d(?=(?:\d{3})+(?!\d))|.", r"(?>(?:a+b|c[de]*)*)f|."] {
            assert!(
                !Pattern::new(fine, Dialect::Oniguruma).unwrap().is_automaton(),
                "{fine}: each next character decides"
            );
        }
        for rule in ["(?:a+)+b|.", "(?:a|a)*b|."] {
            assert!(Pattern::new(rule, Dialect::Oniguruma).unwrap().is_automaton(), "{rule}");
        }
        // The machine that would run them comes to an end even so.
        let text = "a".repeat(200);
        for rule in explosive {
            let pattern = Pattern::backtracking(rule, Dialect::Oniguruma).unwrap();
            assert_eq!(pattern.match_at(&text, 0, &mut 0), Some(1), "{rule}");
            let pattern = Pattern::backtracking(rule, Dialect::Oniguruma).unwrap();
            assert_eq!(
                pattern.match_at(&format!("{text}b"), 0, &mut 0),
                Some(if rule.starts_with("(?>") { 201 } else { 1 }),
                "{rule}"
            );
        }
    }

    /// Both libraries read these otherwise than Oniguruma does: its rules may not hold them, tiktoken's may.
    #[test]
    fn refuses_what_its_library_reads_otherwise() {
        for doubtful in [
            r"\w+",
            r"\W",
            r"[^\w]",
            "[[:alpha:]]",
            r"\pL",
            r"[\pL]",
            "[a--z]",
            "[a~~b]",
            "[a-z&&[^k]]",
            r"[\xe9]",
            r"(?i:\p{Lu})",
            r"(?i:[\p{Lu}a])",
            "(?i:ss)",
            "(?i:xffx)",
            "(?i:f(?:a|i))",
            "(?i:s(x|)t)",
            "(?i:fl)",
            "(?i:[\u{df}])",
            "(?i:[a-\u{e9}])",
            "(?i:\u{e9})",
            "(?i:i\u{307})",
            "(?i:(?:ts)+)",
            "(?i)st",
            "a{2}?",
            "a(?i)b|c",
            r"\p{IsGreek}",
            r"\p{Script=Han}",
        ] {
            assert!(Pattern::new(doubtful, Dialect::Oniguruma).is_err(), "{doubtful}");
            assert!(Pattern::new(doubtful, Dialect::Tiktoken).is_ok(), "{doubtful}");
        }
        for sound in [
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            "'(?i:[sdmt]|ll|ve|re)",
            "(?i)s|t",
            "(?i:\u{2019}s|ts|if|[^a-z]s)",
            "st",
            "(?i:s)(?:t)",
        ] {
            assert!(Pattern::new(sound, Dialect::Oniguruma).is_ok(), "{sound}");
        }
    }
}
