//! Bodies of answers, bounded.

use bytes::BytesMut;

/// Reads a body until its end, its bound or its failure. What was read so far is what there is: a
/// status is definite without its body, and a body that is cut off can't be read as JSON.
pub async fn bounded(mut response: reqwest::Response, bytes_max: usize) -> BytesMut {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == bytes_max {
            break;
        }
    }
    body
}
