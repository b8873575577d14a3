//! The budget: an exact sliding log over every window at once.

/// The right to make one call. Only the limiter makes one, and a call consumes it.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}

#[cfg(test)]
impl Permit {
    /// A permit out of thin air, for tests of what spends them.
    pub(crate) fn for_tests() -> Self {
        Self { _private: () }
    }
}
