//! The web console: pages for people, read-only. They are part of the program, load nothing from anywhere else, and ask this
//! node through the same calls that the JSON gateway serves, with the key that the reader typed in.

mod assets;
mod protection;
mod router;
#[cfg(test)]
mod tests;

pub(super) use router::router;
