//! What a seed stands for: how many alerts, and which troubles.

use crate::domain::dice::Dice;

const SECOND: i64 = 1_000_000;

/// What a seed stands for.
pub struct Plan {
    pub seed: u64,
    pub alerts: u64,
    pub crash_permille: u64,
    pub offline: bool,
    pub hides: bool,
    pub dark: bool,
    /// The wall clock is off by hours at times: then a look-up may miss what is there.
    pub wild_wall: bool,
    pub steady_wall: bool,
    pub drift: i64,
    pub skew: i64,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xace0_fba5e);
        Self {
            seed,
            alerts: 30 + dice.below(90),
            crash_permille: [0, 2, 10][dice.below(3) as usize],
            offline: dice.chance(60),
            hides: dice.chance(300),
            dark: dice.chance(60),
            wild_wall: dice.chance(100),
            steady_wall: dice.chance(500),
            drift: dice.below(1001) as i64 - 500,
            skew: (dice.below(121) as i64 - 60) * SECOND,
        }
    }
}
