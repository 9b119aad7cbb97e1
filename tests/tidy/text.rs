//! Rust text without what is not code: enough of a lexer to tell names from prose.

use super::File;

/// `text` with comments and the contents of literals blanked out; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, out.chars().next_back());
        let (taken, after) = match length {
            0 => rest.split_at(first.len_utf8()),
            _ => rest.split_at(length),
        };
        if length == 0 {
            out.push_str(taken);
        } else {
            out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// Bytes of the comment or literal that `rest` begins with; 0 for neither.
fn skipped(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |at| at + 2);
    }
    if rest.starts_with('"') {
        return quoted(rest);
    }
    let in_a_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_a_name && (rest.starts_with('r') || rest.starts_with("br")) {
        return raw(rest);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    0
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A raw string: `r`, hashes, a quote, up to a quote and as many hashes.
fn raw(rest: &str) -> usize {
    let opening = rest.trim_start_matches('b');
    let hashes = opening[1..].len() - opening[1..].trim_start_matches('#').len();
    let start = rest.len() - opening.len() + 1 + hashes;
    if !rest[start..].starts_with('"') {
        return 0;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = rest[start + 1..].find(&closing);
    end.map_or(rest.len(), |at| start + 1 + at + closing.len())
}

/// A character; a lifetime is none.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => rest[3..].find('\'').map_or(0, |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The code of `file` without its tests, which stand at its end or in files of their own.
pub(crate) fn live_code(file: &File) -> String {
    if file.path.ends_with("/tests.rs") || file.path.contains("/tests/") {
        return String::new();
    }
    let code = code(&file.text);
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => code[..at].to_owned(),
        None => code,
    }
}

/// The string literals of `text`, without their quotes. Raw ones are passed over.
pub(crate) fn literals(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('"') {
            let length = quoted(rest);
            found.push(&rest[1..length - 1]);
            at += length;
        } else {
            let length = skipped(rest, text[..at].chars().next_back());
            at += length.max(rest.chars().next().map_or(1, char::len_utf8));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(code(text), expected, "of {text}");
    }

    #[test]
    fn code_without_prose() {
        check("a // b\nc", "a     \nc");
        check("a /* b\n*/ c", "a     \n   c");
        check("a(\"b\\\"c\", d)", "a(      , d)");
        check("r#\"a\"b\"# c", "         c");
        check("br\"a\" bare", "      bare");
        check("'a' 'b '\\n' '\"' x", "    'b          x");
        check("for r in rows", "for r in rows");
        check("x: &'a str = \"//\";", "x: &'a str =     ;");
    }

    #[test]
    fn string_literals() {
        assert_eq!(
            literals("f(\"a/b\"); // \"c\"\n'\"' g(\"d\")"),
            ["a/b", "d"]
        );
    }

    #[test]
    fn live_code_ends_where_tests_begin() {
        let file = |path: &str| File {
            path: path.to_owned(),
            text: "use a;\n#[cfg(test)]\nmod tests {\nuse b;\n}\n".to_owned(),
        };
        assert_eq!(live_code(&file("src/x.rs")), "use a;\n");
        assert_eq!(live_code(&file("src/x/tests.rs")), "");
        assert_eq!(live_code(&file("src/x/tests/y.rs")), "");
    }
}
