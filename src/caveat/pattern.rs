//! Regular expressions in the syntax of RE2, which CEL prescribes. The `regex` crate has the same guarantee of linear time but
//! a wider syntax, so a pattern is rewritten: what both know is said so that it means the same, what only one knows is refused.

use regex::{Regex, RegexBuilder};

/// The largest program that a pattern may compile to.
const MAX_PROGRAM_BYTES: usize = 1 << 20;
/// The longest pattern.
const MAX_PATTERN_BYTES: usize = 4096;
/// The most repetitions that a pattern may count.
const MAX_REPEAT: u32 = 1000;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    length: usize,
}

impl Pattern {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern may have {MAX_PATTERN_BYTES} bytes at most"));
        }
        let rewritten = Rewriter { rest: text, out: String::new() }.rewrite()?;
        let built =
            RegexBuilder::new(&rewritten).size_limit(MAX_PROGRAM_BYTES).dfa_size_limit(MAX_PROGRAM_BYTES).build();
        let regex = built.map_err(|_| format!("{:?} is not a pattern", text.chars().take(80).collect::<String>()))?;
        Ok(Self { regex, length: text.len() })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// How many steps a match against a text of so many bytes counts for.
    pub(super) fn cost(&self, text_bytes: usize) -> u64 {
        1 + text_bytes as u64 * (1 + self.length as u64 / 16) / 4
    }
}

/// What has just been written, which decides whether a repetition may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Atom,
    /// A repetition; one `?` after it makes it lazy.
    Repetition,
    LazyRepetition,
}

struct Rewriter<'t> {
    rest: &'t str,
    out: String,
}

impl Rewriter<'_> {
    fn rewrite(mut self) -> Result<String, String> {
        let mut last = Last::Nothing;
        while let Some(next) = self.rest.chars().next() {
            last = match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '|' => self.copy(1, Last::Nothing),
                '*' | '+' | '?' => self.repetition(1, last)?,
                '{' => match self.counted()? {
                    Some(length) => self.repetition(length, last)?,
                    None => {
                        self.rest = &self.rest[1..]; // Braces that count nothing are themselves.
                        self.out.push_str("\\{");
                        Last::Atom
                    }
                },
                '}' => {
                    self.rest = &self.rest[1..];
                    self.out.push_str("\\}");
                    Last::Atom
                }
                _ => self.copy(next.len_utf8(), Last::Atom),
            };
        }
        Ok(self.out)
    }

    /// Takes over `length` bytes as they are.
    fn copy(&mut self, length: usize, last: Last) -> Last {
        let (taken, rest) = self.rest.split_at(length);
        self.out.push_str(taken);
        self.rest = rest;
        last
    }

    fn repetition(&mut self, length: usize, last: Last) -> Result<Last, String> {
        let now = match last {
            Last::Atom => Last::Repetition,
            Last::Repetition if self.rest.starts_with('?') => Last::LazyRepetition,
            Last::Nothing => return Err("a repetition in the pattern has nothing to repeat".to_owned()),
            Last::Repetition | Last::LazyRepetition => {
                return Err("a repetition in the pattern repeats another".to_owned());
            }
        };
        Ok(self.copy(length, now))
    }

    /// The length of a `{2}`, `{2,}` or `{2,3}` that stands here.
    fn counted(&self) -> Result<Option<usize>, String> {
        let Some(end) = self.rest.find('}') else { return Ok(None) };
        let inner = &self.rest[1..end];
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(low) || !(high.is_empty() || is_number(high)) {
            return Ok(None);
        }
        let fits = |text: &str| text.is_empty() || text.parse::<u32>().is_ok_and(|n| n <= MAX_REPEAT);
        if fits(low) && fits(high) {
            Ok(Some(end + 1))
        } else {
            Err(format!("a pattern may repeat {MAX_REPEAT} times at most"))
        }
    }

    /// The start of a group: a plain one, a named one, or one with the flags i, m, s and U.
    fn group(&mut self) -> Result<Last, String> {
        let Some(flags) = self.rest.strip_prefix("(?") else { return Ok(self.copy(1, Last::Nothing)) };
        if flags.starts_with("P<") || flags.starts_with('<') {
            let end = self.rest.find('>').ok_or("a group's name in the pattern has no end")?;
            let is_lookbehind = flags.starts_with("<=") || flags.starts_with("<!");
            return if is_lookbehind { Err(no_look_around()) } else { Ok(self.copy(end + 1, Last::Nothing)) };
        }
        let length = flags.bytes().take_while(|b| b"imsU-".contains(b)).count();
        match flags.as_bytes().get(length) {
            Some(b')') if length > 0 => Ok(self.copy(length + 3, Last::Nothing)),
            Some(b':') => Ok(self.copy(length + 3, Last::Nothing)),
            _ => Err(no_look_around()),
        }
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<Last, String> {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let (literal, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            self.out.push_str(&regex::escape(literal));
            self.rest = rest;
            return Ok(if literal.is_empty() { Last::Nothing } else { Last::Atom });
        }
        let letter = self.rest[1..].chars().next().ok_or("the pattern ends in a backslash")?;
        let replaced = match letter {
            'b' => "(?-u:\\b)",
            'B' => "(?-u:\\B)",
            _ => return self.shared_escape(letter, true).map(|()| Last::Atom),
        };
        self.out.push_str(replaced);
        self.rest = &self.rest[2..];
        Ok(Last::Atom)
    }

    /// An escape that means the same inside and outside of a class.
    fn shared_escape(&mut self, letter: char, needs_brackets: bool) -> Result<(), String> {
        let set = match letter {
            'd' => "0-9",
            'D' => "^0-9",
            'w' => "0-9A-Za-z_",
            'W' => "^0-9A-Za-z_",
            's' => "\\t\\n\\f\\r ",
            'S' => "^\\t\\n\\f\\r ",
            _ => "",
        };
        if !set.is_empty() {
            self.rest = &self.rest[2..];
            let brackets = needs_brackets || set.starts_with('^');
            let (open, close) = if brackets { ("[", "]") } else { ("", "") };
            self.out.extend([open, set, close]);
            return Ok(());
        }
        let is_only_outside = matches!(letter, 'A' | 'z') && needs_brackets;
        match letter {
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P' => _ = self.copy(2, Last::Atom),
            _ if is_only_outside => _ = self.copy(2, Last::Atom),
            _ if letter.is_ascii_punctuation() => {
                self.out.push_str(&regex::escape(&letter.to_string()));
                self.rest = &self.rest[2..];
            }
            '0'..='7' => return self.octal(),
            _ => return Err(format!("the pattern has no escape \\{letter}")),
        }
        Ok(())
    }

    /// `\123`, and `\0` with up to two more digits: a character by its number.
    fn octal(&mut self) -> Result<(), String> {
        let digits: String = self.rest[1..].chars().take(3).take_while(|c| ('0'..='7').contains(c)).collect();
        if !digits.starts_with('0') && digits.len() < 2 {
            return Err("a pattern cannot refer back to a group".to_owned());
        }
        let code = u32::from_str_radix(&digits, 8).map_err(|_| "the pattern has a wrong octal escape".to_owned())?;
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        self.rest = &self.rest[1 + digits.len()..];
        Ok(())
    }

    /// A class in brackets. Brackets, ampersands and tildes inside are themselves, unless they name a class.
    fn class(&mut self) -> Result<Last, String> {
        self.copy(1, Last::Nothing);
        if self.rest.starts_with('^') {
            self.copy(1, Last::Nothing);
        }
        let mut is_first = true;
        loop {
            let next = self.rest.chars().next().ok_or("a ] is missing in the pattern")?;
            match next {
                ']' if !is_first => return Ok(self.copy(1, Last::Atom)),
                '[' if self.rest.starts_with("[:") => {
                    let end = self.rest.find(":]").ok_or("a :] is missing in the pattern")?;
                    self.copy(end + 2, Last::Nothing);
                }
                '[' | ']' | '&' | '~' => {
                    self.out.push('\\');
                    self.copy(1, Last::Nothing);
                }
                '-' if self.rest.starts_with("--") => return Err("-- in a class of the pattern: escape it".to_owned()),
                '\\' => {
                    let letter = self.rest[1..].chars().next().ok_or("the pattern ends in a backslash")?;
                    self.shared_escape(letter, false)?;
                }
                _ => _ = self.copy(next.len_utf8(), Last::Nothing),
            }
            is_first = false;
        }
    }
}

fn no_look_around() -> String {
    "the pattern begins a group in a way that is not supported: groups have a name or the flags i, m, s and U"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that a pattern matches, and texts that it does not.
    const MEANINGS: [(&str, &[&str], &[&str]); 18] = [
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
    ];

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, matched, unmatched) in MEANINGS {
            let compiled = Pattern::compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
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
        ];
        for pattern in bad {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
        assert!(Pattern::compile("((\\pL{1000}){1000}){1000}").is_err());
    }
}
