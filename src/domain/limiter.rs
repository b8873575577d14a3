//! The budget: an exact sliding log over every window at once.

/// The right to make one call. Only the limiter makes one, and a call consumes it.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}
