//! Patterns in the syntax of RE2, as Go reads it, said in that of the `regex` crate, so that they mean the same. What only one
//! of the two knows is refused.

use super::pattern::Rewritten;

/// The most repetitions that a pattern may count, those of nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// The classes that stand as `[:name:]` inside of brackets.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// `text` as the `regex` crate takes it.
pub(super) fn rewrite(text: &str) -> Result<Rewritten, String> {
    Rewriter { rest: text, out: String::new(), groups: vec![Group::default()] }.rewrite()
}

/// What has just been written, which decides whether a repetition may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    #[default]
    Nothing,
    Atom,
    /// A repetition; one `?` after it makes it lazy.
    Repetition,
    LazyRepetition,
}

/// How much there is of something once its repetitions are written out.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    /// Places in the pattern at which a match can stand.
    positions: u64,
    /// The largest product of nested counts in it.
    repeats: u32,
}

impl Extent {
    const ATOM: Self = Self { positions: 1, repeats: 1 };
}

/// A group that is open, or the whole pattern.
#[derive(Debug, Default)]
struct Group {
    before: Extent,
    last: Extent,
    state: Last,
}

impl Group {
    fn put(&mut self, extent: Extent, state: Last) {
        self.before = self.extent();
        (self.last, self.state) = (extent, state);
    }

    fn extent(&self) -> Extent {
        Extent {
            positions: self.before.positions.saturating_add(self.last.positions),
            repeats: self.before.repeats.max(self.last.repeats),
        }
    }
}

/// `{2}`, `{2,}` or `{2,3}`.
#[derive(Debug, Clone, Copy)]
struct Count {
    length: usize,
    low: u32,
    high: Option<u32>,
}

struct Rewriter<'t> {
    rest: &'t str,
    out: String,
    /// The whole pattern, and inside it the groups that are open, the innermost last.
    groups: Vec<Group>,
}

impl Rewriter<'_> {
    fn rewrite(mut self) -> Result<Rewritten, String> {
        while let Some(next) = self.rest.chars().next() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.copy(1);
                    self.group().put(Extent::default(), Last::Nothing);
                }
                '*' | '+' | '?' => {
                    let state = self.after_repetition()?;
                    self.copy(1);
                    self.group().state = state;
                }
                '{' => match self.count()? {
                    Some(count) => self.repeat(count)?,
                    None => self.literal(next), // Braces that count nothing are themselves.
                },
                '^' | '$' | '.' => {
                    self.copy(1);
                    self.atom();
                }
                _ => self.literal(next),
            }
        }
        let positions = self.group().extent().positions;
        if self.groups.len() > 1 {
            return Err("a group in the pattern has no end".to_owned());
        }
        Ok(Rewritten { text: self.out, positions })
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the whole pattern is never closed")
    }

    fn atom(&mut self) {
        self.group().put(Extent::ATOM, Last::Atom);
    }

    /// Takes over `length` bytes as they are.
    fn copy(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.out.push_str(taken);
        self.rest = rest;
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    /// A character that stands for itself.
    fn literal(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.write(c);
        self.atom();
    }

    /// Marks mean something to the crate at places where they mean nothing to RE2, so they go by their numbers.
    fn write(&mut self, c: char) {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
        } else {
            self.out.push(c);
        }
    }

    /// What a repetition that stands here makes of what is before it.
    fn after_repetition(&mut self) -> Result<Last, String> {
        let is_mark = self.rest.starts_with('?');
        match self.group().state {
            Last::Atom => Ok(Last::Repetition),
            Last::Repetition if is_mark => Ok(Last::LazyRepetition),
            Last::Nothing => Err("a repetition in the pattern has nothing to repeat".to_owned()),
            Last::Repetition | Last::LazyRepetition => Err("a repetition in the pattern repeats another".to_owned()),
        }
    }

    fn repeat(&mut self, Count { length, low, high }: Count) -> Result<(), String> {
        let state = self.after_repetition()?;
        self.copy(length);
        let times = high.unwrap_or(low);
        let Extent { positions, repeats } = self.group().last;
        let repeats = match high {
            Some(0) => 1,
            Some(_) | None => repeats.saturating_mul(times.max(1)),
        };
        if repeats > MAX_REPEAT {
            return Err(too_often());
        }
        let positions = positions.saturating_mul(u64::from(times.max(1)));
        self.group().last = Extent { positions, repeats };
        self.group().state = state;
        Ok(())
    }

    /// The count that stands here. A number with a zero before it is none.
    fn count(&self) -> Result<Option<Count>, String> {
        let Some(end) = self.rest.find('}') else { return Ok(None) };
        let inner = &self.rest[1..end];
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let is_number = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
        };
        if !is_number(low) || !(high.is_empty() || is_number(high)) {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT).ok_or_else(too_often);
        let high = if high.is_empty() { None } else { Some(number(high)?) };
        Ok(Some(Count { length: end + 1, low: number(low)?, high }))
    }

    /// The start of a group: a plain one, a named one, or one with the flags i, m, s and U. Nobody asks what a group matched.
    fn open(&mut self) -> Result<(), String> {
        let Some(flags) = self.rest.strip_prefix("(?") else {
            self.skip(1);
            return self.enter("(?:");
        };
        if let Some(named) = flags.strip_prefix("P<").or_else(|| flags.strip_prefix('<')) {
            let name = named.split_once('>').map_or("", |(name, _)| name);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err("a group in the pattern has no proper name, or looks behind".to_owned());
            }
            self.skip(self.rest.len() - named.len() + name.len() + 1);
            return self.enter("(?:");
        }
        let length = flags.bytes().take_while(|b| b"imsU-".contains(b)).count();
        let flags = &flags[..length];
        match self.rest.as_bytes().get(length + 2) {
            Some(b')') if length > 0 => {
                self.copy(length + 3);
                self.group().put(Extent::default(), Last::Nothing);
                Ok(())
            }
            Some(b':') => {
                self.skip(length + 3);
                self.enter(&format!("(?{flags}:"))
            }
            _ => Err(
                "the pattern begins a group in a way that is not supported: groups have a name or the flags i, m, s \
                      and U"
                    .to_owned(),
            ),
        }
    }

    fn enter(&mut self, opening: &str) -> Result<(), String> {
        self.out.push_str(opening);
        self.groups.push(Group::default());
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        self.copy(1);
        let extent = match self.groups.pop() {
            Some(closed) if !self.groups.is_empty() => closed.extent(),
            _ => return Err("a group that the pattern ends was never begun".to_owned()),
        };
        let repeats = extent.repeats.max(1);
        self.group().put(Extent { repeats, ..extent }, Last::Atom);
        Ok(())
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let (literal, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            self.rest = rest;
            for c in literal.chars() {
                self.write(c);
                self.atom();
            }
            return Ok(());
        }
        match self.escaped()? {
            'b' => self.replace("(?-u:\\b)"),
            'B' => self.replace("(?-u:\\B)"),
            'A' | 'z' => self.copy(2),
            letter => {
                if let Some(set) = set(letter) {
                    self.replace(&format!("[{set}]"));
                } else if matches!(letter, 'p' | 'P') {
                    self.unicode_class()?;
                } else {
                    let c = self.character()?;
                    self.write(c);
                }
            }
        }
        self.atom();
        Ok(())
    }

    /// What follows the backslash that stands here.
    fn escaped(&self) -> Result<char, String> {
        self.rest[1..].chars().next().ok_or_else(|| "the pattern ends in a backslash".to_owned())
    }

    /// An escape of two bytes, said in another way.
    fn replace(&mut self, by: &str) {
        self.out.push_str(by);
        self.skip(2);
    }

    /// `\pL`, `\p{Greek}`, `\P{^Lu}`.
    fn unicode_class(&mut self) -> Result<(), String> {
        let refused = || "the pattern names a class of characters that does not exist".to_owned();
        let mut negated = self.rest.starts_with("\\P");
        let named = &self.rest[2..];
        let (name, length) = match named.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map(|(name, _)| (name, name.len() + 2)).ok_or_else(refused)?,
            None => (named.get(..1).ok_or_else(refused)?, 1),
        };
        let plain = name.strip_prefix('^').unwrap_or(name);
        negated ^= plain.len() < name.len();
        if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b' ' | b'-')) {
            return Err(refused());
        }
        let letter = if negated { 'P' } else { 'p' };
        self.out.push_str(&format!("\\{letter}{{{plain}}}"));
        self.skip(2 + length);
        Ok(())
    }

    /// One character, be it escaped or not.
    fn character(&mut self) -> Result<char, String> {
        let refused = || "the pattern has an escape that does not exist".to_owned();
        let next = self.rest.chars().next().ok_or("a ] is missing in the pattern")?;
        if next != '\\' {
            self.skip(next.len_utf8());
            return Ok(next);
        }
        let letter = self.escaped()?;
        let plain = match letter {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => return self.hexadecimal(),
            '0'..='7' => return self.octal(),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => letter,
            _ => return Err(refused()),
        };
        self.skip(2);
        Ok(plain)
    }

    /// `\x41` or `\x{263a}`.
    fn hexadecimal(&mut self) -> Result<char, String> {
        let refused = || "the pattern has a wrong hexadecimal escape".to_owned();
        let digits = &self.rest[2..];
        let (digits, length) = match digits.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map(|(digits, _)| (digits, digits.len() + 2)).ok_or_else(refused)?,
            None => (digits.get(..2).ok_or_else(refused)?, 2),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let significant = digits.trim_start_matches('0');
        let code = if significant.is_empty() { Some(0) } else { u32::from_str_radix(significant, 16).ok() };
        let code = code.filter(|_| is_number).and_then(char::from_u32).ok_or_else(refused)?;
        self.skip(2 + length);
        Ok(code)
    }

    /// `\123`, and `\0` with up to two more digits: a character by its number.
    fn octal(&mut self) -> Result<char, String> {
        let digits = self.rest[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        let digits = &self.rest[1..=digits];
        if !digits.starts_with('0') && digits.len() < 2 {
            return Err("a pattern cannot refer back to a group".to_owned());
        }
        let code = u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
        self.skip(1 + digits.len());
        code.ok_or_else(|| "the pattern has a wrong octal escape".to_owned())
    }

    /// A class in brackets: characters, ranges of them, and named classes.
    fn class(&mut self) -> Result<(), String> {
        self.copy(1);
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            self.class_item()?;
        }
        self.copy(1);
        self.atom();
        Ok(())
    }

    fn class_item(&mut self) -> Result<(), String> {
        if self.rest.starts_with("[:")
            && let Some(end) = self.rest.find(":]")
        {
            let name = &self.rest[2..end];
            if !NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err("the pattern names a class of characters that does not exist".to_owned());
            }
            self.copy(end + 2);
            return Ok(());
        }
        if self.rest.starts_with('\\') {
            let letter = self.escaped()?;
            if let Some(set) = set(letter) {
                self.replace(&format!("[{set}]"));
                return Ok(());
            }
            if matches!(letter, 'p' | 'P') {
                return self.unicode_class();
            }
        }
        let low = self.character()?;
        self.write(low);
        if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.copy(1);
            let high = self.character()?;
            self.write(high);
        }
        Ok(())
    }
}

/// The members of a class that a letter names. Of ASCII only, unlike the crate's.
fn set(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'D' => "^0-9",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'S' => "^\\t\\n\\f\\r ",
        _ => return None,
    })
}

fn too_often() -> String {
    format!("a pattern may repeat {MAX_REPEAT} times at most, with nested repetitions multiplied")
}
