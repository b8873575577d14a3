//! Receipts of what no rule judged, and which receipts keep a row.

use crate::domain::decision::{Content, Decision, Judged, Outcome, Receipt};
use crate::domain::time::Wall;
use crate::io::Delivery;
use crate::limits::UNREADABLE_HEAD_BYTES;

use super::judge::Judging;

impl Judging {
    /// What led to something always has its row.
    pub(super) fn keeps_row(&self, judged: &[Judged], now: Wall) -> bool {
        let of = |judged: &Judged, no_match: bool| match &judged.outcome {
            Outcome::Settled(Decision::NoMatch { .. }) => true,
            Outcome::Settled(Decision::Incomplete { .. } | Decision::TooOld { .. }) => !no_match,
            _ => false,
        };
        if judged.iter().all(|judged| of(judged, true)) {
            return self.shared.rows.take(now);
        }
        !judged.iter().all(|judged| of(judged, false)) || self.shared.odd_rows.take(now)
    }

    pub(super) fn unreadable(&self, delivery: &Delivery, why: String, bytes: &[u8]) -> Receipt {
        let head = &bytes[..bytes.len().min(UNREADABLE_HEAD_BYTES)];
        let head = String::from_utf8_lossy(head).into_owned();
        self.of_no_tenant(delivery, String::new(), Content::Unreadable { why, head })
    }

    pub(super) fn unknown_tenant(
        &self,
        delivery: &Delivery,
        alert_id: String,
        named: String,
    ) -> Receipt {
        self.of_no_tenant(delivery, alert_id, Content::UnknownTenant { named })
    }

    fn of_no_tenant(&self, delivery: &Delivery, alert_id: String, content: Content) -> Receipt {
        let keep_row = self.shared.odd_rows.take(delivery.received.wall);
        Receipt { tenant: None, alert_id, content, raw: None, keep_row, joined: None }
    }
}
