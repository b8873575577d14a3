//! A sender as lean as can be: one connection kept alive, requests signed and written out before
//! the clock starts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use lazaret::domain::signature::{Message, Scheme, Seal};

use super::alerts;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub fn seal() -> Seal {
    Seal::new(Scheme::StandardWebhooks, &[SECRET.into()]).expect("the secret fits")
}

/// A whole request to `/webhooks/siem`, signed now.
pub fn request(seal: &Seal, id: &str, body: &str) -> Vec<u8> {
    let message = Message { id, at: alerts::now(), body: body.as_bytes() };
    let mut head = "POST /webhooks/siem HTTP/1.1\r\nhost: localhost\r\n".to_owned();
    head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in seal.sign(&message) {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body.as_bytes()].concat()
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }

    /// Writes a request and reads its answer to the end: status and body.
    pub fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, &[u8])> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some((status, body, end)) = whole(&self.buffer[..filled]) {
                return Ok((status, &self.buffer[body..end]));
            }
        }
    }
}

/// Status, and where the body begins and ends, once all of it is there.
fn whole(answer: &[u8]) -> Option<(u16, usize, usize)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + 4 + length.unwrap_or(0);
    (answer.len() >= end).then_some((status, head + 4, end))
}
