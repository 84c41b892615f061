//! A value's contents with their weight, which is found once, when they are put together.
//!
//! Contents are shared: fifty steps can make a value that is a tree of 2⁵⁰ leaves and takes no memory. Whoever asks for the
//! weight of a value must not have to walk it, and whoever walks it must have paid its weight before.

use std::ops::Deref;

/// What is held, and its weight.
#[derive(Debug)]
pub(super) struct Weighed<T> {
    held: T,
    weight: u64,
}

impl<T> Weighed<T> {
    /// `held` with its own weight of 1 and those of its `parts`.
    pub(super) fn new(held: T, parts: impl FnOnce(&T) -> u64) -> Self {
        let weight = parts(&held).saturating_add(1);
        Self { held, weight }
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight
    }
}

impl<T> Deref for Weighed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}
