//! What a text asks for with `use`. Until it does, the words of a feature are ordinary names.

/// One feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Expiration,
    Import,
    Partial,
    Itself,
    Typechecking,
}

impl Feature {
    /// In the order of their words.
    const ALL: [Self; 5] = [Self::Expiration, Self::Import, Self::Partial, Self::Itself, Self::Typechecking];

    /// The feature that `use word` asks for.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.word() == word)
    }

    /// Whether `word` begins a statement once its feature is asked for.
    pub(super) fn begins_statement(word: &str) -> bool {
        matches!(Self::of_word(word), Some(Self::Import | Self::Partial))
    }

    /// What follows `use`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Expiration => "expiration",
            Self::Import => "import",
            Self::Partial => "partial",
            Self::Itself => "self",
            Self::Typechecking => "typechecking",
        }
    }

    /// All words, for a message.
    pub(super) fn words() -> String {
        Self::ALL.map(Self::word).join(", ")
    }

    fn bit(self) -> u8 {
        match self {
            Self::Expiration => 1,
            Self::Import => 2,
            Self::Partial => 4,
            Self::Itself => 8,
            Self::Typechecking => 16,
        }
    }
}

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Features(u8);

impl Features {
    pub(super) fn enable(&mut self, feature: Feature) {
        self.0 |= feature.bit();
    }

    pub(super) fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// Those of both.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In the order of their words.
    pub(super) fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |feature| self.has(*feature))
    }
}
