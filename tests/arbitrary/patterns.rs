//! The pattern engine against Oniguruma, and against itself on texts that end otherwise.
//!
//! Patterns come from a grammar of what `rust/pattern/parse.rs` reads. What our parser refuses is no subject here (the
//! library then runs the rule); what it accepts must give Oniguruma's match, and `looked` must be sound: whatever
//! stands after the character at `looked` may be anything else. [`ALIKE`] names constructs that were read otherwise
//! once.

use crate::examples;
use coolfusion::regex::{Dialect, Pattern};
use onig::{MatchParam, Regex, SearchOptions};
use proptest::prelude::*;
use std::cell::Cell;

/// Rules of real tokenizers (GPT-2, cl100k, Qwen 2.5, o200k, DeepSeek, Falcon, StarCoder), where shrunk grammars rarely
/// get.
const RULES: [&str; 12] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    r"[0-9][0-9][0-9]",
    r"\s?\p{L}+|\s?\p{P}+|\d|[^\S\r\n]+(?=\s)|\s",
    r"(?:\r?\n)+(?!\r?\n)| ?[\p{Han}\p{Hiragana}]{2,}?|(?>\p{L}+)\d?|.",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]|\s+(?!\S)|\s",
    r"(?:[A-Z](?=[a-z])|[a-z](?![a-z])|\s+(?=\S)|[^\n])+?(?:\n|(?=[.!?]))|\S",
];

/// One character of a pattern or a text: few, so that they meet, and those that case folding and classes disagree
/// about.
const CHARACTERS: [char; 36] = [
    'a', 'b', 'c', 'A', 'B', 's', 'S', 'k', 't', 'l', 'i', 'I', ' ', ' ', '\n', '\r', '\t', '1', '2', '\'', '.', '-',
    '_', 'é', 'ß', 'ſ', '\u{212a}', 'ı', '\u{301}', '\u{200d}', '的', 'の', 'ส', '½', '😀', '\u{3000}',
];

fn character() -> impl Strategy<Value = char> {
    prop_oneof![12 => proptest::sample::select(&CHARACTERS[..]), 1 => any::<char>()]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![4 => character().prop_map(String::from), 1 => fragment()], 0..14)
        .prop_map(|parts| parts.concat())
}

const FRAGMENTS: [&str; 15] = [
    "'ll", "'S", "\r\n", "  ", "\n\n", "aaaa", "ababab", "1234", "The", "don't", "...\n", "naïve", "ss", "SS",
    "\u{1e9e}",
];

fn fragment() -> impl Strategy<Value = String> {
    proptest::sample::select(&FRAGMENTS[..]).prop_map(String::from)
}

fn quoted(c: char) -> String {
    if regex_syntax_meta(c) {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

fn regex_syntax_meta(c: char) -> bool {
    r"\.+*?()|[]{}^$#&-~".contains(c)
}

/// Escapes that stand for a class, in a bracket or outside.
const CLASSES: [&str; 24] = [
    r"\s",
    r"\S",
    r"\d",
    r"\D",
    r"\p{L}",
    r"\P{L}",
    r"\p{Lu}",
    r"\p{Ll}",
    r"\p{Lt}",
    r"\p{Lm}",
    r"\p{Lo}",
    r"\p{N}",
    r"\p{Nd}",
    r"\p{M}",
    r"\p{P}",
    r"\p{S}",
    r"\p{Z}",
    r"\p{Han}",
    r"\p{Hiragana}",
    r"\p{Thai}",
    r"\P{N}",
    r"\n",
    r"\r",
    r"\t",
];

fn bracket() -> impl Strategy<Value = String> {
    let range = (character(), character()).prop_map(|(a, b)| format!("{}-{}", quoted(a.min(b)), quoted(a.max(b))));
    let item = prop_oneof![
        3 => character().prop_map(quoted),
        2 => proptest::sample::select(&CLASSES[..]).prop_map(String::from),
        1 => range,
    ];
    (any::<bool>(), proptest::collection::vec(item, 1..4))
        .prop_map(|(negated, items)| format!("[{}{}]", if negated { "^" } else { "" }, items.concat()))
}

fn atom() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => character().prop_map(quoted),
        2 => proptest::sample::select(&CLASSES[..]).prop_map(String::from),
        2 => bracket(),
        1 => Just(".".to_string()),
        1 => fragment().prop_map(|f| format!("(?:{})", f.chars().map(quoted).collect::<String>())),
    ]
}

fn repetition() -> impl Strategy<Value = String> {
    let counts = (0u32..4, 1u32..3).prop_flat_map(|(low, more)| {
        proptest::sample::select(vec![
            format!("{{{low},}}"),
            format!("{{,{}}}", low + 1),
            format!("{{{low},{}}}", low + more),
        ])
    });
    let often = prop_oneof![3 => proptest::sample::select(vec!["*".to_string(), "+".into(), "?".into()]), 1 => counts];
    prop_oneof![
        8 => Just(String::new()),
        6 => (often, proptest::sample::select(vec!["", "", "?", "+"])).prop_map(|(a, b)| a + b),
        1 => (0u32..4).prop_map(|count| format!("{{{count}}}")),
    ]
}

/// Text in which case does not matter, without properties and letters that fold to several.
const FOLDED: [&str; 10] = [
    "(?i:'s|'t|'re|'ll)",
    "(?i:k)",
    "(?i:s)",
    "(?i:[a-k])",
    "(?i:[^b])",
    "(?i:É)",
    "(?i:abc|[^\\s\\p{N}])",
    "(?i:ſ?)",
    "(?i)ab",
    "(?i:(?=A)a)",
];

/// A pattern of the supported syntax, a few groups deep.
fn pattern() -> impl Strategy<Value = String> {
    let folded = proptest::sample::select(&FOLDED[..]).prop_map(|f| format!("(?:{f})"));
    let leaf = (prop_oneof![8 => atom(), 1 => folded], repetition()).prop_map(|(a, r)| a + &r);
    leaf.prop_recursive(4, 24, 4, |inner| {
        let opening = proptest::sample::select(vec!["(?:", "(", "(?>", "(?=", "(?!"]);
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join("|")),
            3 => (opening, inner.clone(), repetition()).prop_map(|(o, i, r)| {
                // Oniguruma repeats an assertion in ways of its own; such a rule is refused.
                let r = if o == "(?=" || o == "(?!" { String::new() } else { r };
                format!("{o}{i}){r}")
            }),
        ]
    })
}

/// What Oniguruma matches at `start`; None in the second place where it gives up.
fn theirs(regex: &Regex, text: &str, start: usize) -> Option<Option<usize>> {
    let found = regex.match_with_param(text, start, SearchOptions::SEARCH_OPTION_NONE, None, MatchParam::default());
    found.ok().map(|length| length.map(|length| start + length))
}

fn starts(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).collect()
}

/// The first start where our match is not Oniguruma's, with both.
fn difference(pattern: &Pattern, regex: &Regex, text: &str) -> Option<(usize, Option<usize>, Option<usize>)> {
    starts(text).into_iter().find_map(|at| {
        let (ours, theirs) = (pattern.match_at(text, at, &mut 0), theirs(regex, text, at)?);
        (ours != theirs).then_some((at, ours, theirs))
    })
}

/// The first start where text after `looked` changed the answer.
fn unsound(pattern: &Pattern, text: &str, other: &str) -> Option<(usize, String)> {
    starts(text).into_iter().find_map(|at| {
        let mut looked = at;
        let found = pattern.match_at(text, at, &mut looked);
        if found.is_some_and(|end| {
            end > looked && end > at && looked + text[looked..].chars().next().map_or(0, char::len_utf8) < end
        }) {
            return Some((at, format!("matched to {found:?} but looked at {looked} only")));
        }
        if looked >= text.len() {
            return None;
        }
        let kept = looked + text[looked..].chars().next().map_or(0, char::len_utf8);
        [format!("{}{other}", &text[..kept]), format!("{text}{other}"), text[..kept].to_string()].into_iter().find_map(
            |changed| {
                let mut again = at;
                let now = pattern.match_at(&changed, at, &mut again);
                (now != found || again != looked)
                    .then(|| (at, format!("{found:?} looked {looked}; on {changed:?} {now:?} looked {again}")))
            },
        )
    })
}

/// Runs `property` on random patterns that our parser accepts; fails if it accepts too few to mean anything.
fn on_patterns(cases: u32, property: impl Fn(&Pattern, &str, &str) -> Result<(), TestCaseError>) {
    let (seen, ran) = (Cell::new(0u32), Cell::new(0u32));
    let strategy = (pattern(), proptest::collection::vec((text(), text()), 4));
    let mut runner = proptest::test_runner::TestRunner::new(examples(cases));
    let outcome = runner.run(&strategy, |(source, texts)| {
        seen.set(seen.get() + 1);
        // A rule that may match the empty text is refused: then it has a character after it.
        let longer = || Pattern::new(&format!("(?:{source})[^b]"), Dialect::Oniguruma);
        let Ok(pattern) = Pattern::new(&source, Dialect::Oniguruma).or_else(|_| longer()) else { return Ok(()) };
        ran.set(ran.get() + 1);
        texts.iter().try_for_each(|(text, other)| property(&pattern, text, other))
    });
    if let Err(failure) = outcome {
        unreachable!("{failure}");
    }
    assert!(ran.get() > seen.get() / 2, "only {} of {} patterns were accepted", ran.get(), seen.get());
}

#[test]
fn random_patterns_match_as_oniguruma_does() {
    on_patterns(3000, |pattern, text, _| {
        let Ok(regex) = Regex::new(pattern.source()) else { return Ok(()) };
        prop_assert_eq!(
            difference(pattern, &regex, text),
            None,
            "{:?} on {:?} (start, ours, Oniguruma's)",
            pattern.source(),
            text
        );
        Ok(())
    });
}

#[test]
fn random_patterns_tell_how_far_they_looked() {
    on_patterns(3000, |pattern, text, other| {
        prop_assert_eq!(unsound(pattern, text, other), None, "{:?} on {:?}", pattern.source(), text);
        Ok(())
    });
}

proptest! {
    #![proptest_config(examples(1500))]

    #[test]
    fn real_rules_match_as_oniguruma_does_and_tell_how_far_they_looked(
        rule in proptest::sample::select(&RULES[..]),
        text in text(),
        other in text(),
    ) {
        let pattern = Pattern::new(rule, Dialect::Oniguruma).unwrap();
        let regex = Regex::new(rule).unwrap();
        prop_assert_eq!(difference(&pattern, &regex, &text), None, "(start, ours, Oniguruma's)");
        prop_assert_eq!(unsound(&pattern, &text, &other), None);
        let pattern = Pattern::new(rule, Dialect::Tiktoken).unwrap();
        prop_assert_eq!(unsound(&pattern, &text, &other), None);
    }
}

proptest! {
    #![proptest_config(examples(6000))]

    /// Whatever stands between brackets: read alike, or refused.
    #[test]
    fn random_brackets_are_read_alike_or_refused(inside in BRACKETS, case in any::<bool>()) {
        let source = if case { format!("[{inside}]") } else { format!("(?i:[{inside}])") };
        let Ok(pattern) = Pattern::new(&source, Dialect::Oniguruma) else { return Ok(()) };
        let Ok(regex) = Regex::new(&source) else {
            return Err(TestCaseError::fail(format!("{source} is an error in Oniguruma")));
        };
        let beyond = "\u{130}\u{149}ſı的の\u{200c}\u{200d}\u{2028}\u{212a}\u{fb01}\u{1e9e}";
        let text: String = ('\0'..'\u{100}').chain(beyond.chars()).collect();
        prop_assert_eq!(difference(&pattern, &regex, &text), None, "{} (start, ours, Oniguruma's)", source);
    }
}

/// Texts that are one character to Oniguruma where case does not matter, beside what they are made of.
const LIGATURES: [&str; 14] = [
    "ß", "\u{1e9e}", "\u{fb00}", "\u{fb01}", "\u{fb02}", "\u{fb03}", "\u{fb04}", "\u{fb05}", "\u{fb06}", "s", "T", "f",
    "i", "L",
];

proptest! {
    #![proptest_config(examples(20_000))]

    /// Words where case does not matter: read alike, or refused.
    #[test]
    fn random_folded_words_are_read_alike_or_refused(
        parts in proptest::collection::vec(
            (proptest::sample::select(&WORD_PARTS[..]), proptest::sample::select(&OFTEN[..])), 1..4
        ),
        text in proptest::collection::vec(proptest::sample::select(&LIGATURES[..]), 1..3),
    ) {
        let source = parts.iter().fold("(?i)".to_string(), |source, (part, often)| source + part + often);
        let Ok(pattern) = Pattern::new(&source, Dialect::Oniguruma) else { return Ok(()) };
        let regex = Regex::new(&source).unwrap();
        prop_assert_eq!(difference(&pattern, &regex, &text.concat()), None, "{} (start, ours, Oniguruma's)", source);
    }
}

const WORD_PARTS: [&str; 22] = [
    "s",
    "t",
    "f",
    "i",
    "l",
    "S",
    "x",
    "'",
    "(?:s)",
    "(?:ts)",
    "(?:f|x)",
    "(?>f)",
    "(s)",
    "(?i:t)",
    "(?:if)",
    "(?:|s)",
    "[s]",
    "[sf]",
    "(?=s)",
    "(?:s(?:x|))",
    "|",
    "(?:l|ll)",
];
const OFTEN: [&str; 10] = ["", "", "", "", "{1}", "{2}", "?", "+", "{1,2}", "{0,1}"];
const BRACKETS: &str = r"(\^?([a-ckszA-CKSZ0-3 !&~\[\]:\^,é-]|\\[sSdDwWprntfvbBhHaexu0\\\[\]^&~-]|\\[pP]\{\^?(L|Lu|M|Nd|Han|IsL|alpha)\}|\\x[0-9a-f]{2}|\\x\{[0-9a-f]{1,5}\}|\\u[0-9a-f]{4}|\[:alpha:\]|&&|[a-c]-[d-z])){1,5}";

/// Properties that published rules use, over all characters.
const PROPERTIES: [&str; 16] = [
    r"\p{L}",
    r"\p{Lu}",
    r"\p{Ll}",
    r"\p{Lt}",
    r"\p{Lm}",
    r"\p{Lo}",
    r"\p{M}",
    r"\p{N}",
    r"\p{Nd}",
    r"\p{P}",
    r"\p{S}",
    r"\p{Z}",
    r"\p{Han}",
    r"\s",
    r"\d",
    r"(?i:[^a-z\s])",
];

#[test]
fn properties_hold_the_same_characters() {
    for source in PROPERTIES {
        let (pattern, regex) = (Pattern::new(source, Dialect::Oniguruma).unwrap(), Regex::new(source).unwrap());
        for c in ('\0'..=char::MAX)
            .filter(|c| !matches!(*c as u32, 0xE000..=0xF8FF | 0x20000..=0x2A000 | 0x30000..=0xDFFFF | 0xE0200..))
        {
            let text = c.to_string();
            assert_eq!(Some(pattern.match_at(&text, 0, &mut 0)), theirs(&regex, &text, 0), "{source} on {c:?}");
        }
    }
}

/// Constructs that were once in doubt and are read alike, or refused.
const ALIKE: [(&str, &str); 46] = [
    ("(?=a){2}a", "a"),
    ("(?!a)+b", "b"),
    ("a|{1}", "{1}"),
    (r"\w+", "\u{200d}"),
    (r"[^\w]", "\u{200c}"),
    (r"\w", "½"),
    (r"[[:alpha:]]", "é"),
    (r"[[:punct:]]", "。"),
    (r"\pL", "a"),
    (r"[a~~b]", "~"),
    (r"[a--z]", "b"),
    (r"(?i:\p{Lu})", "a"),
    (r"(?i:ss)", "ß"),
    (r"(?i:st)", "\u{fb06}"),
    (r"(?i:f(?:i|x))", "\u{fb01}"),
    (r"(?i:(?:ts){2})", "t\u{fb06}s"),
    (r"(?i:s{1}s)", "ß"),
    (r"(?i:s{2})", "ß"),
    (r"(?i:[ß])", "ss"),
    (r"(?i:i\u{307})", "\u{130}"),
    ("(?i:i\u{307})", "\u{130}"),
    ("(?i:\u{2bc}n)", "\u{149}"),
    (r"a{2,1}", "aa"),
    (r"a{2}?", "b"),
    (r"a(?i)b|c", "ac"),
    (r"\p{script=Han}", "的"),
    (r"\p{IsL}", "a"),
    (r"[\xe9]", "é"),
    (r"[\u00e9]", "é"),
    (r"[\x{e9}]", "é"),
    (r"[\w-x]", "-"),
    (r"[a^]", "^"),
    (r"[^^]", "^"),
    (r"[\]a]", "]"),
    (r"[a[b]c]", "b"),
    (r"[a-c&&[^b]]", "b"),
    (r"[^a&&b]", "a"),
    (r"a{,2}?", "aaa"),
    (r"a{2,3}+", "aaaaa"),
    (r"a{2}{3}", "aaaaaa"),
    (r"(?i:µ)", "μ"),
    (r"(?i:[k-s])", "\u{212a}"),
    (r"\p{Punct}", "+"),
    (r"\v", "\u{2028}"),
    (r"[]a]", "]"),
    (r"(?i)a|b", "B"),
];

#[test]
fn doubtful_constructs_are_read_alike_or_refused() {
    let read_alike = |source: &str, text: &str| match (Pattern::new(source, Dialect::Oniguruma), Regex::new(source)) {
        (Err(_), _) => true,
        (Ok(pattern), Ok(regex)) => difference(&pattern, &regex, text).is_none(),
        (Ok(_), Err(_)) => false,
    };
    for (source, text) in ALIKE {
        assert!(read_alike(source, text), "{source} on {text:?}");
    }
}
