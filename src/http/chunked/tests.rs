//! Tests of chunked bodies: one row a rule, cut in several ways; and what holds for all bodies.

use super::{ChunkedDecoder, Decoded};
use crate::{
    bounds::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX, TRAILER_FIELDS_MAX},
    error::Error,
    http::{CHUNK_SIZE_ROOM, write_chunk_size},
};
use proptest::prelude::*;

/// Decodes `body` cut into pieces of `step` bytes: the data, the trailers, what is left over.
fn decode(body: &[u8], step: usize) -> Result<(String, String, String), Error> {
    let mut decoder = ChunkedDecoder::default();
    let mut data = Vec::new();
    let mut left = body;
    while !decoder.is_done() && !left.is_empty() {
        let mut window = left[..step.min(left.len())].to_vec();
        let decoded = decoder.decode(&mut window)?;
        data.extend_from_slice(&window[..decoded.data]);
        left = &left[decoded.consumed..];
    }
    if !decoder.is_done() {
        return Ok((text(&data), "unfinished".into(), text(left)));
    }
    Ok((text(&data), text(decoder.trailers()), text(left)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check(body: &str, expected: Result<(&str, &str, &str), Error>) {
    for step in [1, 2, 3, 7, 1000] {
        let expected = expected.map(|(a, b, c)| (a.into(), b.into(), c.into()));
        assert_eq!(
            decode(body.as_bytes(), step),
            expected,
            "{body:?} by {step}"
        );
    }
}

#[test]
fn bodies() {
    check("0\r\n\r\n", Ok(("", "", "")));
    check("5\r\nhello\r\n0\r\n\r\n", Ok(("hello", "", "")));
    check(
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET",
        Ok(("hello world", "", "GET")),
    );
    check("A\r\n0123456789\r\n00\r\n\r\n", Ok(("0123456789", "", "")));
    check(
        "5;name=\"v\"\r\nhello\r\n0;x\r\n\r\n",
        Ok(("hello", "", "")),
    );
    check("5\r\nhel", Ok(("hel", "unfinished", "")));
    check("5\r\nhello\r\n0\r\n\r", Ok(("hello", "unfinished", "")));
}

#[test]
fn trailers() {
    check(
        "0\r\nX-Sum: 1\r\n\r\nnext",
        Ok(("", "X-Sum: 1\r\n", "next")),
    );
    check(
        "0\r\na: 1\r\nb:2 \r\n\r\n",
        Ok(("", "a: 1\r\nb: 2\r\n", "")),
    );
    // RFC 9110 §6.5.1: never framing, routing or authentication.
    check(
        "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n",
        Ok(("", "", "")),
    );
    check(
        "0\r\nAuthorization: x\r\nCookie: y\r\nok: z\r\n\r\n",
        Ok(("", "ok: z\r\n", "")),
    );
    check(
        "0\r\nContent_Length: 5\r\nok: z\r\n\r\n",
        Ok(("", "ok: z\r\n", "")),
    );
    check("0\r\nbad name: 1\r\n\r\n", Err(Error::ChunkMalformed));
    check("0\r\na: 1\n\r\n", Err(Error::ChunkMalformed));
    check("0\r\na: 1\r\n folded\r\n\r\n", Err(Error::ChunkMalformed));
    let long = format!("0\r\na: {}\r\n\r\n", "x".repeat(5000));
    check(&long, Err(Error::ChunkMalformed));
}

#[test]
fn refusals() {
    check("\r\n", Err(Error::ChunkMalformed));
    check("g\r\n", Err(Error::ChunkMalformed));
    check("-1\r\n", Err(Error::ChunkMalformed));
    check("+1\r\n", Err(Error::ChunkMalformed));
    check("0x5\r\nhello\r\n", Err(Error::ChunkMalformed));
    check(" 5\r\nhello\r\n", Err(Error::ChunkMalformed));
    check("5 \r\nhello\r\n", Err(Error::ChunkMalformed));
    check("5 ;x\r\nhello\r\n", Err(Error::ChunkMalformed));
    check("5\nhello\r\n0\r\n\r\n", Err(Error::ChunkMalformed));
    check("5;a\nhello\r\n0\r\n\r\n", Err(Error::ChunkMalformed));
    check("5;a\0\r\nhello\r\n", Err(Error::ChunkMalformed));
    check("5\r\nhelloX\r\n", Err(Error::ChunkMalformed));
    check("5\r\nhello\n0\r\n\r\n", Err(Error::ChunkMalformed));
    check("5\r\nhello\r0\r\n", Err(Error::ChunkMalformed));
    check("5\r\nhello0\r\n\r\n", Err(Error::ChunkMalformed));
    check("0\r\n\n", Err(Error::ChunkMalformed));
    check("0\r\n\rX", Err(Error::ChunkMalformed));
    check("10000000000000000\r\n", Err(Error::ChunkMalformed));
    check("00000000000000005\r\nhello\r\n", Err(Error::ChunkMalformed));
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    check(&extension, Err(Error::ChunkMalformed));
}

#[test]
fn a_reset_decoder_reads_another_body() {
    let mut decoder = ChunkedDecoder::default();
    for _ in 0..2 {
        decoder.reset();
        let mut body = *b"2\r\nok\r\n0\r\nt: 1\r\n\r\n";
        let decoded = decoder.decode(&mut body).expect("the body is well-formed");
        assert_eq!((decoded.consumed, decoded.data), (body.len(), 2));
        assert!(decoder.is_done());
        assert_eq!(decoder.trailers(), b"t: 1\r\n");
    }
}

#[test]
fn bounds() {
    let bad: Result<(&str, &str, &str), Error> = Err(Error::ChunkMalformed);
    // RFC 9112 §7.1.1: a recipient limits the extensions that it reads over.
    let line = |extra: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(extra));
    let most = CHUNK_LINE_BYTES_MAX - "5;\r".len();
    check(&line(most), Ok(("hello", "", "")));
    check(&line(most + 1), bad);
    let trailer = |bytes: usize| format!("a: {}\r\n", "x".repeat(bytes - "a: \r\n".len()));
    let most = trailer(TRAILER_BYTES_MAX - 2);
    check(&format!("0\r\n{most}\r\n"), Ok(("", &most, "")));
    check(&format!("0\r\n{}\r\n", trailer(TRAILER_BYTES_MAX - 1)), bad);
    let many = "a: b\r\n".repeat(TRAILER_FIELDS_MAX);
    check(&format!("0\r\n{many}\r\n"), Ok(("", &many, "")));
    check(&format!("0\r\n{many}a: b\r\n\r\n"), bad);
    // The largest chunk that 64 bits can tell of, begun.
    check("ffffffffffffffff\r\nab", Ok(("ab", "unfinished", "")));
    check("FFFFFFFFFFFFFFFFF\r\n", bad);
}

#[test]
fn more_refusals() {
    let bad: Result<(&str, &str, &str), Error> = Err(Error::ChunkMalformed);
    // RFC 9112 §7.1: `chunk-size [ chunk-ext ] CRLF`, nothing between.
    check("5\t\r\nhello\r\n", bad);
    check("5\x0b\r\nhello\r\n", bad);
    check("5\r\rhello\r\n", bad);
    check("5\r", Ok(("", "unfinished", "")));
    check("5\0\r\nhello\r\n", bad);
    check("5,5\r\nhello\r\n", bad);
    check(";x\r\nhello\r\n", bad);
    check("5h\r\nhello\r\n", bad);
    check("\u{665}\r\nhello\r\n", bad);
    // A CR in an extension, in quotes or not, is followed by LF or is an error.
    check("5;a=\"\r\"\r\nhello\r\n", bad);
    check("5;a=\"\r\n\"\r\nhello\r\n", bad);
    check("5;a\r\r\nhello\r\n", bad);
    check("5;a\x7f\r\nhello\r\n", bad);
    check(
        "5; a = \"b;c\" ;\td\r\nhello\r\n0\r\n\r\n",
        Ok(("hello", "", "")),
    );
    // The last chunk and the section behind it.
    check("0\r\n", Ok(("", "unfinished", "")));
    check("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bad);
    check("0\r\n a: b\r\n\r\n", bad);
    check("0\r\na : b\r\n\r\n", bad);
    check("0\r\n: b\r\n\r\n", bad);
    check("0\r\na\r\n\r\n", bad);
    check("0\r\na: \0\r\n\r\n", bad);
    check("0\r\na: b\rc: d\r\n\r\n", bad);
    check("0\r\n\na: b\r\n\r\n", bad);
    check("0\r\na: b\r\n\n", bad);
    check("0\r\na: b\r\n\r\r\n\r\n", bad);
}

#[test]
fn trailers_that_would_change_the_message_are_dropped() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Upgrade",
        "TE",
        "Trailer",
        "Expect",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Request-Id",
        "Date",
        "transfer_encoding",
        "Content-Type",
        "content-encoding",
        "Set-Cookie",
        "Range",
        "If-Match",
        "Cache-Control",
    ] {
        check(
            &format!("0\r\na: 1\r\n{name}: x\r\nb: 2\r\n\r\n"),
            Ok(("", "a: 1\r\nb: 2\r\n", "")),
        );
    }
}

/// A body as a peer may frame it: chunks with extensions and leading zeros, trailers.
fn framed() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, String)> {
    let extension = prop_oneof![
        3 => Just(String::new()),
        1 => ";[ -~\t]{0,60}".prop_map(|text| text),
    ];
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..80),
        0..4_usize,
        extension,
    );
    let trailer = "[a-z]{1,9}-t:[ \t]?[!-~]{1,20}";
    let trailers = prop::collection::vec(trailer, 0..4);
    (prop::collection::vec(chunk, 0..8), trailers).prop_map(|(chunks, trailers)| {
        let (mut bytes, mut data, mut kept) = (Vec::new(), Vec::new(), String::new());
        for (chunk, zeros, extension) in chunks {
            let line = format!("{}{:X}{extension}\r\n", "0".repeat(zeros), chunk.len());
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(&chunk);
            bytes.extend_from_slice(b"\r\n");
            data.extend_from_slice(&chunk);
        }
        bytes.extend_from_slice(b"0\r\n");
        for trailer in trailers {
            bytes.extend_from_slice(format!("{trailer}\r\n").as_bytes());
            let (name, value) = trailer.split_once(':').unwrap();
            kept += &format!("{name}: {}\r\n", value.trim());
        }
        bytes.extend_from_slice(b"\r\n");
        (bytes, data, kept)
    })
}

/// Decodes in pieces of `sizes`, over and over: the data, and how much was read.
fn decode_in(
    decoder: &mut ChunkedDecoder,
    bytes: &[u8],
    sizes: &[usize],
) -> Result<(Vec<u8>, usize), Error> {
    let (mut data, mut at) = (Vec::new(), 0);
    for size in sizes.iter().cycle() {
        if decoder.is_done() || at == bytes.len() {
            break;
        }
        let end = (at + size).min(bytes.len());
        let mut window = bytes[at..end].to_vec();
        let Decoded {
            consumed,
            data: there,
        } = decoder.decode(&mut window)?;
        assert!(there <= consumed && consumed <= window.len());
        assert_eq!(
            window[consumed..],
            bytes[at + consumed..end],
            "touched what follows"
        );
        data.extend_from_slice(&window[..there]);
        at += consumed;
    }
    Ok((data, at))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_the_same_however_it_is_cut(
        (bytes, data, trailers) in framed(),
        next in prop::collection::vec(any::<u8>(), 0..40),
        sizes in prop::collection::vec(1..50_usize, 1..6),
    ) {
        let stream = [&bytes[..], &next].concat();
        let mut decoder = ChunkedDecoder::default();
        let (decoded, consumed) = decode_in(&mut decoder, &stream, &sizes).unwrap();
        prop_assert!(decoder.is_done());
        prop_assert_eq!(decoded, data);
        prop_assert_eq!(&stream[consumed..], &next[..]);
        prop_assert_eq!(decoder.trailers(), trailers.as_bytes());
        for end in 0..bytes.len() {
            let mut decoder = ChunkedDecoder::default();
            prop_assert!(decode_in(&mut decoder, &bytes[..end], &[1000]).is_ok());
            prop_assert!(!decoder.is_done() && decoder.trailers().is_empty());
        }
    }

    #[test]
    fn what_we_frame_we_read(
        data in prop::collection::vec(any::<u8>(), 0..300),
        chunk_bytes in 1..100_usize,
        size in 1..64_usize,
    ) {
        let mut bytes = Vec::new();
        for chunk in data.chunks(chunk_bytes) {
            let mut room = [0; CHUNK_SIZE_ROOM];
            let written = write_chunk_size(&mut room, chunk.len());
            bytes.extend_from_slice(&room[CHUNK_SIZE_ROOM - written..]);
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let mut decoder = ChunkedDecoder::default();
        let decoded = decode_in(&mut decoder, &bytes, &[size]).unwrap();
        prop_assert_eq!(decoded, (data, bytes.len()));
        prop_assert!(decoder.is_done());
    }

    #[test]
    fn any_bytes_have_one_verdict_and_bounded_memory(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "([0-9a-f]{1,2}|;x|\r\n|\n|\r|0\r\n|a: b\r\n|[ -~]){0,60}".prop_map(String::into_bytes),
        ],
        size in 1..40_usize,
    ) {
        let mut whole = ChunkedDecoder::default();
        let mut pieces = ChunkedDecoder::default();
        let verdict = decode_in(&mut whole, &bytes, &[1000]);
        prop_assert_eq!(decode_in(&mut pieces, &bytes, &[size]), verdict);
        prop_assert_eq!(whole.trailers(), pieces.trailers());
        prop_assert!(pieces.trailers.capacity() <= 2 * TRAILER_BYTES_MAX);
    }
}
