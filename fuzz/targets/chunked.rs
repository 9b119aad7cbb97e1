//! A chunked body both ways: what was decoded, framed by us and decoded again is the same, however
//! the bytes were cut; nothing is made up and nothing behind the body is touched.

use sluice::{
    error::Error,
    http::{CHUNK_SIZE_ROOM, ChunkedDecoder, write_chunk_size},
};

/// A body that was decoded as far as it came.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<u8>,
    consumed: usize,
    done: bool,
}

/// Panics where a promise does not hold. The first byte says how the rest is cut.
pub(crate) fn run(input: &[u8]) {
    let Some((cut, body)) = input.split_first() else {
        return;
    };
    let whole = decode(body, body.len().max(1));
    for step in [1, 1 + usize::from(*cut)] {
        assert_eq!(decode(body, step), whole, "fed by {step}");
    }
    let Ok(first) = whole else {
        return;
    };
    assert!(first.data.len() + first.trailers.len() <= 2 * first.consumed);
    assert!(first.done || first.consumed == body.len());
    if first.done {
        let chunk_bytes = 1 + usize::from(*cut) * 7;
        let second = decode(&encode(&first, chunk_bytes), 1 + usize::from(*cut)).expect("ours");
        assert_eq!((second.data, second.done), (first.data, true));
        assert_eq!(second.trailers, first.trailers);
    }
    assert!(decode(&[b"5;x\r\nhello\r\n", body].concat(), 3).is_ok());
}

fn decode(body: &[u8], step: usize) -> Result<Body, Error> {
    let mut decoder = ChunkedDecoder::default();
    let mut data = Vec::new();
    let mut window = Vec::new();
    let mut consumed = 0;
    while !decoder.is_done() && consumed < body.len() {
        let piece = &body[consumed..(consumed + step).min(body.len())];
        window.clear();
        window.extend_from_slice(piece);
        let decoded = decoder.decode(&mut window)?;
        assert!(decoded.data <= decoded.consumed && decoded.consumed <= piece.len());
        assert!(decoder.is_done() || decoded.consumed == piece.len());
        assert_eq!(window[decoded.consumed..], piece[decoded.consumed..]);
        data.extend_from_slice(&window[..decoded.data]);
        consumed += decoded.consumed;
    }
    Ok(Body {
        data,
        trailers: decoder.trailers().to_vec(),
        consumed,
        done: decoder.is_done(),
    })
}

fn encode(body: &Body, chunk_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.data.chunks(chunk_bytes) {
        let mut room = [0; CHUNK_SIZE_ROOM];
        let length = write_chunk_size(&mut room, chunk.len());
        out.extend_from_slice(&room[CHUNK_SIZE_ROOM - length..]);
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(&body.trailers);
    out.extend_from_slice(b"\r\n");
    out
}
