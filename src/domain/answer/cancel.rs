//! What Defender answered to the cancelling of a machine action.

use std::time::Duration;

use super::read::{Failure, too_many};
use crate::domain::time::Wall;

/// What became of one call that cancels a machine action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// 200: Defender has taken it. Whether the machine was faster shows only in how its action
    /// ends.
    Done,
    /// 400 or 409: a definite no. Documented is only that an action can be cancelled that "isn't
    /// yet in final state"; what one is answered that has ended is not.
    Refused {
        text: String,
    },
    /// 404: Defender does not know the id. Seen under load for machines that exist.
    NotFound {
        text: String,
    },
    TooMany {
        retry_after: Option<Duration>,
        text: String,
    },
    Unauthorized {
        text: String,
    },
    /// Anything else, and no answer at all: it may be asked again, since what is cancelled twice is
    /// cancelled once.
    Failed {
        text: String,
    },
}

impl CancelAnswer {
    /// Reads it from status, `Retry-After` and body; only the status is sure to be there.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Self {
        let text = || Failure::read(status, body).text();
        match status {
            200..=202 => CancelAnswer::Done,
            400 | 409 => CancelAnswer::Refused { text: text() },
            401 => CancelAnswer::Unauthorized { text: text() },
            404 => CancelAnswer::NotFound { text: text() },
            429 => {
                let (retry_after, text) = too_many(retry_after, body, now);
                CancelAnswer::TooMany { retry_after, text }
            }
            _ => CancelAnswer::Failed { text: text() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_decides_and_the_text_is_kept_for_people() {
        let read =
            |status, body: &str| CancelAnswer::read(status, Some("7"), body.as_bytes(), Wall(0));
        assert_eq!(read(200, "<html>"), CancelAnswer::Done);
        let ended =
            r#"{"error": {"code": "BadRequest", "message": "It has ended", "target": "t"}}"#;
        let text = "400 BadRequest: It has ended (target t)".to_owned();
        assert_eq!(read(400, ended), CancelAnswer::Refused { text });
        assert!(matches!(read(404, ""), CancelAnswer::NotFound { text } if text == "404"));
        assert!(matches!(read(401, ""), CancelAnswer::Unauthorized { .. }));
        let CancelAnswer::TooMany { retry_after, .. } = read(429, "") else { panic!() };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        for status in [204, 302, 403, 408, 500, 503] {
            assert!(matches!(read(status, ""), CancelAnswer::Failed { .. }), "{status}");
        }
    }
}
