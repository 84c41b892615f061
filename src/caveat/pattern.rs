//! Compiled patterns. The `regex` crate has RE2's guarantee, that matching is linear in the text whatever the pattern is; how
//! steep the line is depends on the pattern, and so does what a match counts for.

use regex::{Regex, RegexBuilder};

use super::pattern_syntax::rewrite;

/// The longest pattern.
const MAX_PATTERN_BYTES: usize = 4096;
/// What the lazily built automaton of one match may take.
const MATCHER_BYTES: usize = 1 << 20;
/// A program is tried at this size and then at each larger one, so that its size is known roughly.
const SMALLEST_PROGRAM_BYTES: usize = 1 << 16;
const PROGRAM_GROWTH: usize = 4;

/// A pattern in the syntax of the crate.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// Its length with all repetitions written out: how many ways a match can be in at once.
    pub(super) positions: u64,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    positions: u64,
    program_bytes: usize,
}

impl Pattern {
    /// The largest program of a pattern that a schema holds: it is compiled once.
    pub(super) const MAX_CONSTANT_BYTES: usize = 1 << 24;
    /// The same of a pattern that an evaluation makes, and compiles.
    pub(super) const MAX_COMPUTED_BYTES: usize = 1 << 20;

    /// Compiles `text`, unless its program is larger than `max_program_bytes`.
    pub(super) fn compile(text: &str, max_program_bytes: usize) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern may have {MAX_PATTERN_BYTES} bytes at most"));
        }
        let Rewritten { text: rewritten, positions } = rewrite(text)?;
        let shown = || text.chars().take(80).collect::<String>();
        let mut program_bytes = SMALLEST_PROGRAM_BYTES;
        loop {
            let built = RegexBuilder::new(&rewritten).size_limit(program_bytes).dfa_size_limit(MATCHER_BYTES).build();
            match built {
                Ok(regex) => return Ok(Self { regex, positions, program_bytes }),
                Err(regex::Error::CompiledTooBig(_)) if program_bytes < max_program_bytes => {
                    program_bytes *= PROGRAM_GROWTH;
                }
                Err(regex::Error::CompiledTooBig(_)) => return Err(format!("the pattern {:?} is too large", shown())),
                Err(_) => return Err(format!("{:?} is not a pattern", shown())),
            }
        }
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The memory of the program, roughly.
    pub(super) fn program_bytes(&self) -> usize {
        self.program_bytes
    }

    /// How many steps a match against a text of so many bytes counts for.
    pub(super) fn cost(&self, text_bytes: usize) -> u64 {
        (text_bytes as u64).saturating_mul(1 + self.positions / 8).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Pattern, String> {
        Pattern::compile(text, Pattern::MAX_CONSTANT_BYTES)
    }

    /// Texts that a pattern matches, and texts that it does not.
    const MEANINGS: [(&str, &[&str], &[&str]); 41] = [
        ("^a+$", &["a", "aa"], &["", "b", "a\n"]),
        ("^\\w$", &["a", "_", "9"], &["é", "-"]),
        ("^\\d$", &["1"], &["\u{661}"]),
        ("^[\\d\\-x]$", &["1", "-", "x"], &["y"]),
        ("^[^\\W]$", &["a"], &["é", "-"]),
        ("^[\\W]$", &["é", "-"], &["a"]),
        ("^\\s$", &[" ", "\t"], &["\u{b}", "\u{a0}"]),
        ("^[a&&b]$", &["a", "&", "b"], &["c"]),
        ("^[[a]$", &["[", "a"], &["b"]),
        ("^[]a]$", &["]", "a"], &["b"]),
        ("^[[:alpha:]_]+$", &["aB_"], &["1"]),
        ("^\\Qa.b\\E$", &["a.b"], &["axb"]),
        ("(?i)^é$", &["É"], &["e"]),
        ("^(?P<x>a|b){2,3}?$", &["ab", "aba"], &["a", "abab"]),
        ("^a{,2}$", &["a{,2}"], &["aa"]),
        ("\\bfoo\\b", &["a foo b", "éfoo"], &["xfoo"]),
        ("^\\101\\x42\\x{43}\\<$", &["ABC<"], &["ABC"]),
        ("^.$", &["é"], &["\n", ""]),
        ("^\\p{Lu}$", &["A", "É"], &["a", "1"]),
        ("^\\p{L}+$", &["aé"], &["", "1"]),
        ("^\\pN{2}$", &["12"], &["1"]),
        ("^\\p{Greek}\\P{^Latin}$", &["βa"], &["ββ", "aa"]),
        ("^\\p{^L}$", &["1"], &["a"]),
        ("^[\\p{Lu}\\x{61}-\\x{63}\\PL]$", &["A", "b", "1"], &["d"]),
        ("^\\x{41}+\\x{42}{2}\\x{263a}\\x{10FFFF}?$", &["ABB☺", "AAABB☺\u{10ffff}"], &["ABB"]),
        ("^\\x{0000000041}$", &["A"], &["a"]),
        ("a{01}", &["a{01}"], &["a", "aa"]),
        ("^a{1,02}{0}$", &["a{1,02"], &["a", "a{1,02}"]),
        ("^(a{2}){0}$", &[""], &["aa"]),
        ("^(?<n>a)(?P<n>b)(?P<1x>c)$", &["abc"], &["ab"]),
        ("^\\ \\_#$", &[" _#"], &["_#"]),
        ("^a\\Q\\E+$", &["aa"], &[""]),
        ("^\\Qab\\E+$", &["abb"], &["abab"]),
        ("^[+--]$", &["+", ",", "-"], &["."]),
        ("^[--a]$", &["-", "A", "a"], &["b", "+"]),
        ("^[a-]$", &["a", "-"], &["b"]),
        ("^[\\d-z]$", &["1", "-", "z"], &["a"]),
        ("^[:alpha:]$", &[":", "a", "p"], &["b"]),
        ("^\\pL{1,100}$", &["aé"], &["", "1"]),
        ("^[\\pL\\pN ]{1,200}$", &["a 1é"], &["", "-"]),
        ("^a(?i)b|c$", &["ab", "aB", "C"], &["Ab"]),
    ];

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, matched, unmatched) in MEANINGS {
            let compiled = compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
            matched.iter().for_each(|text| assert!(compiled.is_match(text), "{pattern} should match {text:?}"));
            unmatched.iter().for_each(|text| assert!(!compiled.is_match(text), "{pattern} should not match {text:?}"));
        }
    }

    #[test]
    fn what_re2_does_not_know_is_refused() {
        let bad = [
            "(",
            ")",
            "[",
            "[]",
            "a**",
            "a++",
            "a???",
            "*a",
            "a{1001}",
            "a{1,2}{3}",
            "(?x) a",
            "(?=a)",
            "(?<=a)",
            "(?!a)",
            "\\1",
            "\\h",
            "\\K",
            "\\",
            "(?u)a",
            "[b-a]",
            "[a--b]",
            "\\p{Nothing}",
            "\\p{}",
            "\\p{Lu",
            "\\p{sc=Latin}",
            "\\p",
            "\\x{110000}",
            "\\x{}",
            "\\x{ 41}",
            "\\x4",
            "(a{100}){11}",
            "(a{0,1000}){2}",
            "((((a{10}){10}){10}){10})",
            "((a{1000}){1000}){0}",
            "(?P<n.x>a)",
            "(?P<>a)",
            "[a-\\d]",
            "[[:foo:]]",
            "[[:alpha:]",
            "[z-[:alpha:]]",
            "(?i-)a",
            "a{2,1}",
        ];
        for pattern in bad {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
        assert!(compile("((\\pL{1000}){1000}){1000}").is_err());
    }

    #[test]
    fn what_is_large_costs_much_or_is_refused() {
        assert!(Pattern::compile("^[\\pL\\pN ]{1,200}$", Pattern::MAX_COMPUTED_BYTES).is_err());
        let (plain, repeated) = (compile("^ab$").unwrap(), compile("((a{10}){10}){10}|(b{500}){2}").unwrap());
        assert!(plain.cost(100) < 200, "{}", plain.cost(100));
        assert!(repeated.cost(100) > 20_000, "{}", repeated.cost(100));
        assert_eq!(plain.program_bytes(), SMALLEST_PROGRAM_BYTES);
        assert!(compile("\\pL{64}").unwrap().program_bytes() > Pattern::MAX_COMPUTED_BYTES);
    }
}
