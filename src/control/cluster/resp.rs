//! The store's protocol (RESP 2), as much of it as is spoken here: commands out, answers in. Pure.

/// Bytes of a text in an answer: those of scripts are numbers.
const TEXT_BYTES_MAX: usize = 4096;

/// Elements of a list in an answer.
const LIST_MAX: usize = 16;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A number.
    Number(i64),
    /// A text, or a status.
    Text(String),
    /// Several.
    List(Vec<Self>),
    /// A refusal.
    Refused(String),
    /// Nothing.
    Nothing,
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends a command.
pub(super) fn command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// The answer that `bytes` begin with, and how many of them it takes; `None`: more are needed.
pub(super) fn reply(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    element(bytes, 0)
}

fn element(bytes: &[u8], depth: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let Some(end) = memchr::memchr(b'\r', bytes) else {
        return match bytes.len() > TEXT_BYTES_MAX {
            true => Err(Malformed),
            false => Ok(None),
        };
    };
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    let (kind, rest) = bytes[..end].split_first().ok_or(Malformed)?;
    let line = std::str::from_utf8(rest).map_err(|_| Malformed)?;
    let number = || line.parse::<i64>().map_err(|_| Malformed);
    let used = end + 2;
    match kind {
        b'+' => Ok(Some((Reply::Text(line.to_owned()), used))),
        b'-' => Ok(Some((Reply::Refused(line.to_owned()), used))),
        b':' => Ok(Some((Reply::Number(number()?), used))),
        b'$' | b'*' if number()? == -1 => Ok(Some((Reply::Nothing, used))),
        b'$' => text(&bytes[used..], number()?, used),
        b'*' if depth == 0 => list(bytes, number()?, used),
        _ => Err(Malformed),
    }
}

fn text(bytes: &[u8], length: i64, used: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    if length > TEXT_BYTES_MAX {
        return Err(Malformed);
    }
    let Some(text) = bytes.get(..length + 2) else {
        return Ok(None);
    };
    let text = text.strip_suffix(b"\r\n").ok_or(Malformed)?;
    let text = String::from_utf8(text.to_vec()).map_err(|_| Malformed)?;
    Ok(Some((Reply::Text(text), used + length + 2)))
}

fn list(bytes: &[u8], length: i64, mut used: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    if length > LIST_MAX {
        return Err(Malformed);
    }
    let mut list = Vec::with_capacity(length);
    for _ in 0..length {
        let Some((element, more)) = element(&bytes[used..], 1)? else {
            return Ok(None);
        };
        list.push(element);
        used += more;
    }
    Ok(Some((Reply::List(list), used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let mut out = Vec::new();
        command(&mut out, &[b"GET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    /// Whole, it is read; cut anywhere, more is awaited.
    #[track_caller]
    fn check(bytes: &str, expected: Result<Reply, Malformed>) {
        let read = reply(bytes.as_bytes());
        let whole = expected.map(|reply| Some((reply, bytes.len())));
        assert_eq!(read, whole, "{bytes:?}");
        if whole.is_ok() {
            for cut in 0..bytes.len() {
                assert_eq!(
                    reply(&bytes.as_bytes()[..cut]),
                    Ok(None),
                    "{bytes:?} at {cut}"
                );
            }
        }
    }

    #[test]
    fn replies() {
        let text = |text: &str| Reply::Text(text.to_owned());
        check("+OK\r\n", Ok(text("OK")));
        check("-ERR no\r\n", Ok(Reply::Refused("ERR no".to_owned())));
        check(":-42\r\n", Ok(Reply::Number(-42)));
        check("$3\r\na\r\n\r\n", Ok(text("a\r\n")));
        check("$-1\r\n", Ok(Reply::Nothing));
        check(
            "*2\r\n:7\r\n$2\r\n19\r\n",
            Ok(Reply::List(vec![Reply::Number(7), text("19")])),
        );
        check(":x\r\n", Err(Malformed));
        check("?\r\n", Err(Malformed));
        check("\r\n", Err(Malformed));
        check("*1\r\n*1\r\n:1\r\n", Err(Malformed));
        check("*99\r\n", Err(Malformed));
        check("$99999999999\r\n", Err(Malformed));
        check("$1\r\nab\r\n", Err(Malformed));
    }
}
