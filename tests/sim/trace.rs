//! What happened, in order: kept as a hash, so that two runs of one seed can be compared, and printed where one seed is looked
//! at.

pub struct Trace {
    hash: blake3::Hasher,
    print: bool,
}

impl Trace {
    pub fn new(print: bool) -> Self {
        Self { hash: blake3::Hasher::new(), print }
    }

    pub fn tell(&mut self, now: u64, line: &str) {
        self.hash.update(&now.to_be_bytes()).update(line.as_bytes());
        if self.print {
            eprintln!("{now:>7} {line}");
        }
    }

    pub fn hash(&self) -> String {
        self.hash.finalize().to_hex()[..16].to_owned()
    }
}
